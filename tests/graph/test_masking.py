"""Masked networks against each series alone, with the network for its own length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convoi import nn, ops
from convoi.errors import ArgumentError
from convoi.graph import (
    INPUT,
    LENGTH,
    TARGET,
    WEIGHT,
    Builder,
    Graph,
    Node,
    align,
    differentiate,
    mask,
    resize,
    run,
)
from convoi.graph.alignment import READS
from tests.compiler.graphs import network
from tests.strategies import graph_parameters, random_graphs

GARBAGE = 1e3


def allowed(op: ops.Operation) -> bool:
    return isinstance(op, tuple(READS))


@st.composite
def series_networks(draw, *, pooled: bool = False, accept=allowed) -> tuple[Graph, list[int]]:
    """Draw a network that works on any length, and lengths that it takes."""
    graph = draw(random_graphs(ranks=(1,), accept=accept))
    (output,) = graph.outputs
    if pooled and len(graph.shape(output)) > 1:
        head = draw(st.sampled_from([ops.GlobalAveragePool(), ops.GlobalMaxPool()]))
        nodes = (*graph.nodes, Node("head", head, (output,)))
        graph = Graph(graph.inputs, nodes, ("head",), graph.parameters)
    shortest = max(a.shortest for a in align(graph).values() if a)
    longest = graph.shape(INPUT)[1]
    lengths = draw(st.lists(st.integers(shortest, longest), min_size=1, max_size=4))
    return graph, lengths


def padded_batch(graph: Graph, lengths, rng) -> tuple[np.ndarray, list[np.ndarray]]:
    channels, longest = graph.shape(INPUT)
    series = [rng.standard_normal((channels, length)) for length in lengths]
    X = np.zeros((len(lengths), channels, longest))
    for sample, one in zip(X, series, strict=True):
        sample[:, : one.shape[1]] = one
    return X, series


def alone(graph: Graph, one: np.ndarray, parameters) -> np.ndarray:
    return run(resize(graph, one.shape[1:]), {INPUT: one[np.newaxis]}, parameters)[
        graph.outputs[0]
    ][0]


@settings(max_examples=60)
@given(drawn=series_networks())
def test_outputs_are_those_of_each_series_alone(drawn):
    graph, lengths = drawn
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    X, series = padded_batch(graph, lengths, rng)
    masked = mask(graph, training=False)
    with np.errstate(all="ignore"):  # behind the end, anything may happen
        outputs = run(masked, {INPUT: X, LENGTH: np.array(lengths)}, parameters)
    alignment = align(graph)[graph.outputs[0]]
    for found, one in zip(outputs[graph.outputs[0]], series, strict=True):
        expected = alone(graph, one, parameters)
        kept = found if alignment is None else found[:, : alignment.extent.of(one.shape[1])]
        np.testing.assert_allclose(kept, expected, rtol=1e-9, atol=1e-9)


def training_run(graph: Graph, arrays, parameters):
    training = differentiate(graph, ops.MeanSquaredError())
    arrays = {**arrays, "seed": np.uint64(0)}
    with np.errstate(all="ignore"):
        values = run(training.graph, arrays, parameters)
    gradients = {name: values[value] for name, value in training.gradients.items()}
    return float(values[training.loss].sum()), gradients


def without_statistics(op: ops.Operation) -> bool:
    # The random numbers of dropout follow from the padded extents.
    return allowed(op) and not isinstance(op, (ops.BatchNorm, ops.Dropout))


@settings(max_examples=60)
@given(drawn=series_networks(pooled=True, accept=without_statistics))
def test_gradients_are_the_sums_over_each_series_alone(drawn):
    compare_with_series_alone(*drawn)


@settings(max_examples=40)
@given(drawn=series_networks(accept=without_statistics))
def test_gradients_of_outputs_for_each_position_are_the_sums_over_each_series_alone(drawn):
    compare_with_series_alone(*drawn)


@settings(max_examples=40)
@given(
    drawn=series_networks(
        pooled=True, accept=lambda op: allowed(op) and not isinstance(op, ops.Dropout)
    )
)
def test_batch_statistics_of_one_series_are_those_of_its_own_positions(drawn):
    graph, lengths = drawn
    compare_with_series_alone(graph, lengths[:1])


def compare_with_series_alone(graph: Graph, lengths) -> None:
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    assume(parameters and any(spec.kind.trainable for spec in graph.parameters.values()))
    X, series = padded_batch(graph, lengths, rng)
    target = rng.standard_normal((len(lengths), *graph.shape(graph.outputs[0])))
    weight = np.full(len(lengths), 1 / len(lengths))
    counts, shares = own_positions(graph, series)
    for row, count in zip(target, counts, strict=True):
        row[..., count:] = 0
    arrays = {INPUT: X, LENGTH: np.array(lengths), TARGET: target, WEIGHT: weight * shares}
    loss, gradients = training_run(mask(graph, training=True), arrays, parameters)
    total = 0.0
    sums = {name: np.zeros_like(gradient) for name, gradient in gradients.items()}
    for number, one in enumerate(series):
        arrays = {
            INPUT: one[np.newaxis],
            TARGET: target[number : number + 1, ..., : counts[number]],
            WEIGHT: weight[number : number + 1],
        }
        part, of_part = training_run(resize(graph, one.shape[1:]), arrays, parameters)
        total += part
        for name, gradient in of_part.items():
            sums[name] += gradient
    assert loss == pytest.approx(total, rel=1e-9)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, sums[name], rtol=1e-6, atol=1e-8, err_msg=name)


def own_positions(graph: Graph, series):
    """Return how many outputs each series has, and how many times as many it is padded to."""
    output = graph.outputs[0]
    alignment, positions = align(graph)[output], graph.shape(output)[-1]
    if alignment is None:
        return [positions] * len(series), 1.0
    counts = [alignment.extent.of(one.shape[1]) for one in series]
    return counts, positions / np.array(counts)


def ragged_loss(graph: Graph, series, target, parameters) -> float:
    """Return the loss of series in training: each alone, but for the statistics of the batch."""
    values = [{INPUT: one[np.newaxis]} for one in series]
    for node in graph.nodes:
        held = [parameters[name] for name in node.parameters]
        if isinstance(node.op, ops.BatchNorm):
            together = np.concatenate([v[node.inputs[0]][0] for v in values], axis=1)
            held[2:] = together.mean(axis=1), together.var(axis=1)
        for v in values:
            v[node.name] = node.op.reference(*(v[name] for name in node.inputs), *held)
    outputs = np.concatenate([v[graph.outputs[0]] for v in values])
    return float(np.square(outputs - target).mean(axis=1).mean())


def test_gradients_through_batch_statistics_are_numeric_ones():
    graph = network(
        (2, 14),
        ops.Conv(3, (3,), (2,), ((1, 1),), (1,), bias=False),
        ops.BatchNorm(eps=0.1),
        ops.Tanh(),
        ops.MaxPool((2,), (1,), ((0, 1),)),
        ops.Conv(4, (3,), (1,), ((2, 0),), (1,)),
        ops.BatchNorm(eps=0.1),
        ops.SiLU(),
        ops.AveragePool((3,), (1,), ((1, 1),)),
        ops.GlobalAveragePool(),
        ops.Dense(2),
    )
    rng = np.random.default_rng(3)
    lengths = [14, 5, 9]
    parameters = graph_parameters(graph, rng)
    X, series = padded_batch(graph, lengths, rng)
    target = rng.standard_normal((3, 2))
    arrays = {INPUT: X, LENGTH: np.array(lengths), TARGET: target, WEIGHT: np.full(3, 1 / 3)}
    loss, gradients = training_run(mask(graph, training=True), arrays, parameters)
    assert loss == pytest.approx(ragged_loss(graph, series, target, parameters), rel=1e-12)
    for name, gradient in gradients.items():
        for index in np.ndindex(gradient.shape):
            value = parameters[name][index]
            around = []
            for step in (1e-6, -1e-6):
                parameters[name][index] = value + step
                around.append(ragged_loss(graph, series, target, parameters))
            parameters[name][index] = value
            slope = (around[0] - around[1]) / 2e-6
            assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-8), (name, index)


def test_what_is_behind_the_end_has_no_influence_past_the_first_layer():
    graph = nn.trace(nn.networks.fcn(2, 4), (1, 12))
    masked = mask(graph, training=False)
    values = run(
        masked,
        {INPUT: np.ones((1, 1, 12)), LENGTH: np.array([7])},
        graph_parameters(graph, np.random.default_rng(0)),
    )
    assert not values["2|mask"][..., 7:].any()


def test_a_layer_for_one_length_only_is_named():
    graph = network((2, 8), ops.Flatten(), ops.Dense(3))
    with pytest.raises(ArgumentError, match=r"The layer '0' \(Flatten\) works on one length only"):
        mask(graph, training=False)


def test_branches_of_different_lengths_are_named():
    build = Builder.for_network((1, 8))
    a = build.layer("a", ops.MaxPool((2,), (2,), ((0, 0),)), INPUT)
    b = build.layer("b", ops.MaxPool((1,), (2,), ((0, 0),)), INPUT)
    graph = build.finish(build.layer("sum", ops.Add(), a, b))
    with pytest.raises(ArgumentError, match=r"'sum' \(Add\) joins branches whose lengths differ"):
        mask(graph, training=False)


def test_images_have_no_lengths():
    with pytest.raises(ArgumentError, match=r"shape \(channels, time\)"):
        mask(network((1, 4, 4), ops.ReLU()), training=False)
