"""Rewriting graphs: each pass on its own, and that the meaning stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings

from convoi import ops
from convoi.compiler.channelwise import ChannelAffine
from convoi.compiler.simplify import (
    drop_dropout,
    fold_batch_norm,
    normalizations_to_affine,
    simplify_inference,
    sink_flatten,
    split_sums,
    window_global_pools,
)
from convoi.compiler.tasks import MOST_OPERANDS
from convoi.graph import INPUT, Builder, run
from tests.cases import conv
from tests.compiler.graphs import network, relative_error, same_conv
from tests.strategies import graph_parameters, random_graphs

if TYPE_CHECKING:
    from convoi.graph import Graph


def kinds(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


def computed(graph: Graph, parameters, recipes=None, n=3):
    made = {name: recipe(parameters) for name, recipe in (recipes or {}).items()}
    held = {**parameters, **made}
    X = np.random.default_rng(5).standard_normal((n, *graph.shape(INPUT)))
    values = run(graph, {INPUT: X}, {name: held[name] for name in graph.parameters})
    return values[graph.outputs[0]]


@settings(max_examples=150)
@given(random_graphs())
def test_a_simplified_graph_computes_the_same(graph: Graph) -> None:
    parameters = graph_parameters(graph, np.random.default_rng(0))
    simplified = simplify_inference(graph)
    got = computed(simplified.graph, parameters, simplified.recipes)
    assert relative_error(got, computed(graph, parameters)) < 1e-11


# Dropout --------------------------------------------------------------------------------------


def test_dropout_is_left_out() -> None:
    graph = network((3, 4), ops.ReLU(), ops.Dropout(0.5), ops.Dropout(0.1), ops.Sigmoid())
    assert kinds(drop_dropout(graph)) == ["ReLU", "Sigmoid"]


@pytest.mark.parametrize("before", [[], [ops.ReLU()]])
def test_dropout_that_is_the_output_is_left_out(before: list[ops.Operation]) -> None:
    graph = network((3, 4), *before, ops.Dropout(0.5), ops.Dropout(0.2))
    dropped = drop_dropout(graph)
    assert len(dropped.nodes) == len(before)
    np.testing.assert_array_equal(computed(dropped, {}), computed(graph, {}))


# Flatten --------------------------------------------------------------------------------------


def test_flatten_moves_behind_pointwise_operations() -> None:
    graph = network((3, 4), ops.Flatten(), ops.ReLU(), ops.Dropout(0.5), ops.Tanh(), ops.Dense(2))
    sunk = sink_flatten(graph)
    assert kinds(sunk) == ["ReLU", "Dropout", "Tanh", "Flatten", "Dense"]
    assert sunk.shape("2") == (3, 4)


def test_a_flatten_that_others_read_stays() -> None:
    build = Builder.for_network((3, 4))
    flat = build.layer("flat", ops.Flatten(), INPUT)
    graph = build.finish(build.layer("add", ops.Add(), build.layer("relu", ops.ReLU(), flat), flat))
    assert kinds(sink_flatten(graph)) == ["Flatten", "ReLU", "Add"]


def test_a_flatten_that_is_an_output_stays() -> None:
    build = Builder.for_network((3, 4))
    flat = build.layer("flat", ops.Flatten(), INPUT)
    graph = build.finish(build.layer("relu", ops.ReLU(), flat), flat)
    assert kinds(sink_flatten(graph)) == ["Flatten", "ReLU"]


# Pools ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "window"), [(ops.GlobalAveragePool(), "AveragePool"), (ops.GlobalMaxPool(), "MaxPool")]
)
def test_global_pools_become_windows_of_the_whole_grid(op: ops.Operation, window: str) -> None:
    graph = network((3, 4, 5), op)
    windowed = window_global_pools(graph)
    assert kinds(windowed) == [window, "Flatten"]
    assert windowed.nodes[0].op.size == (4, 5)  # type: ignore[attr-defined]
    np.testing.assert_allclose(computed(windowed, {}), computed(graph, {}), rtol=1e-13)


# Sums -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, MOST_OPERANDS, MOST_OPERANDS + 1, 40])
def test_sums_of_many_values_are_cut_and_keep_their_order(count: int) -> None:
    build = Builder.for_network((3,))
    values = [build.layer(f"d{i}", ops.Dense(2, bias=False), INPUT) for i in range(count)]
    graph = build.finish(build.layer("sum", ops.Add(), *values))
    cut = split_sums(graph)
    sums = [node for node in cut.nodes if isinstance(node.op, ops.Add)]
    assert len(sums) == max(1, -(-(count - 1) // (MOST_OPERANDS - 1)))
    assert max(len(node.inputs) for node in sums) <= MOST_OPERANDS
    read = [value for node in sums for value in node.inputs if value.startswith("d")]
    assert read == values
    parameters = graph_parameters(graph, np.random.default_rng(0))
    np.testing.assert_array_equal(computed(cut, parameters), computed(graph, parameters))


# Batch norm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("shape", "op"),
    [((3, 5, 4), same_conv(6, (3, 3))), ((4, 7), conv(8, (3,), groups=2)), ((5,), ops.Dense(3))],
    ids=["conv", "grouped", "dense"],
)
def test_batch_norm_is_folded_into_the_layer_before(shape, op, bias: bool) -> None:
    fields = {**vars(op), "bias": bias}
    graph = network(shape, type(op)(**fields), ops.BatchNorm(eps=0.1), ops.ReLU())
    parameters = graph_parameters(graph, np.random.default_rng(0))
    folded = fold_batch_norm(graph)
    assert kinds(folded.graph) == [type(op).__name__, "ReLU"]
    got = computed(folded.graph, parameters, folded.recipes)
    np.testing.assert_allclose(got, computed(graph, parameters), rtol=1e-11, atol=1e-11)


def test_batch_norm_is_not_folded_into_a_layer_that_others_read() -> None:
    build = Builder.for_network((3, 5))
    value = build.layer("conv", same_conv(4, (3,)), INPUT)
    normed = build.layer("norm", ops.BatchNorm(), value)
    graph = build.finish(build.layer("add", ops.Add(), normed, value))
    assert kinds(fold_batch_norm(graph).graph) == ["Conv", "BatchNorm", "Add"]


def test_batch_norm_is_not_folded_into_an_output() -> None:
    build = Builder.for_network((3, 5))
    value = build.layer("conv", same_conv(4, (3,)), INPUT)
    graph = build.finish(build.layer("norm", ops.BatchNorm(), value), value)
    assert kinds(fold_batch_norm(graph).graph) == ["Conv", "BatchNorm"]


def test_folded_weights_follow_the_formula() -> None:
    graph = network((1, 4), conv(1, (1,)), ops.BatchNorm(eps=0.5))
    parameters = {
        "0.weight": np.full((1, 1, 1), 3.0),
        "0.bias": np.array([5.0]),
        "1.weight": np.array([2.0]),
        "1.bias": np.array([7.0]),
        "1.running_mean": np.array([1.0]),
        "1.running_var": np.array([3.5]),
    }
    folded = fold_batch_norm(graph)
    made = {name.rpartition(" ")[2]: make(parameters) for name, make in folded.recipes.items()}
    assert made["weight"].item() == 3.0 * 2.0 / 2.0
    assert made["bias"].item() == (5.0 - 1.0) * 2.0 / 2.0 + 7.0


# Normalisations with known statistics ---------------------------------------------------------


def test_other_normalisations_become_a_scale_and_a_shift() -> None:
    graph = network((3, 4), ops.Standardize(), ops.MaxPool((2,), (2,), ((0, 0),)), ops.BatchNorm())
    parameters = graph_parameters(graph, np.random.default_rng(0))
    affine = normalizations_to_affine(graph)
    assert kinds(affine.graph) == ["ChannelAffine", "MaxPool", "ChannelAffine"]
    assert set(affine.graph.parameters) == {"0|scale", "0|shift", "2|scale", "2|shift"}
    assert not any(spec.kind.trainable for spec in affine.graph.parameters.values())
    got = computed(affine.graph, parameters, affine.recipes)
    np.testing.assert_allclose(got, computed(graph, parameters), rtol=1e-12)


def test_an_affine_has_a_factor_and_a_term_per_channel() -> None:
    x = np.ones((2, 3, 4))
    y = ChannelAffine().reference(x, np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0]))
    assert y[1, :, 2].tolist() == [1.0, 3.0, 5.0]
    assert ChannelAffine().infer_shape((3, 4)) == (3, 4)
