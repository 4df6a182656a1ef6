"""Compiled programs for padded series against the masked graph's definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.compiler import InferenceProgram, TrainingProgram
from convoi.errors import ArgumentError, ShapeError
from convoi.graph import (
    INPUT,
    LENGTH,
    TARGET,
    WEIGHT,
    Builder,
    Graph,
    align,
    differentiate,
    mask,
    run,
)
from convoi.graph.alignment import READS
from tests.compiler.graphs import CPUS, network, on_cpu
from tests.graph.test_masking import padded_batch, series_networks
from tests.strategies import graph_parameters

TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
LENGTHS = [11, 4, 9, 9, 5, 11, 7, 8, 10]


def close(found, expected, dtype: str) -> None:
    scale = 1 + np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def check_inference(graph: Graph, lengths, dtype: str) -> None:
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    X, _ = padded_batch(graph, lengths, rng)
    (output,) = graph.outputs
    arrays = {INPUT: X, LENGTH: np.array(lengths)}
    with np.errstate(all="ignore"):
        expected = run(mask(graph, training=False), arrays, parameters)[output]
    program = InferenceProgram(graph, dtype, threads=2, masked=True)
    program.load(parameters)
    alignment = align(graph)[output]
    for found, wanted, length in zip(program(X, lengths=lengths), expected, lengths, strict=True):
        kept = slice(None if alignment is None else alignment.extent.of(length))
        end = (..., kept) if alignment is not None else ...
        close(found[end], wanted[end], dtype)


@CPUS
@settings(max_examples=8)
@given(drawn=series_networks(), dtype=st.sampled_from(["float32", "float64"]))
def test_programs_compute_what_the_masked_graph_means(cpu, drawn, dtype):
    with on_cpu(cpu):
        check_inference(*drawn, dtype)


@pytest.mark.parametrize("padded_input", [True, False])
def test_a_mask_lies_as_what_it_masks_does(padded_input):
    build = Builder.for_network((1, 9))
    x = build.layer("standard", ops.Standardize(), INPUT)
    y = build.layer("conv", ops.Conv(1, (2,), (1,), ((0, 1),), (1,)), x)
    if padded_input:  # a second reader wants vectors
        y = build.layer("sum", ops.Add(), y, x)
    check_inference(build.finish(y), [9, 4], "float32")


def many_layers(channels: int) -> Graph:
    """Return a network with every kind of mask, for halos, strides and blocks of channels."""
    return network(
        (channels, 11),
        ops.Standardize(),
        ops.Conv(17, (3,), (1,), ((1, 1),), (1,), bias=False),
        ops.BatchNorm(eps=0.1),
        ops.Tanh(),
        ops.MaxPool((3,), (1,), ((1, 1),)),
        ops.Conv(17, (3,), (1,), ((2, 2),), (2,), groups=17),
        ops.AveragePool((3,), (1,), ((1, 1),)),
        ops.Conv(5, (3,), (2,), ((1, 1),), (1,)),
        ops.BatchNorm(eps=0.1),
        ops.ReLU(),
        ops.GlobalAveragePool(),
        ops.Dense(3),
    )


@CPUS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 6])
def test_training_programs_compute_the_masked_gradients(cpu, dtype, channels):
    graph = many_layers(channels)
    rng = np.random.default_rng(1)
    parameters = graph_parameters(graph, rng)
    X, _ = padded_batch(graph, LENGTHS, rng)
    n = len(LENGTHS)
    y, weight = rng.integers(3, size=n), np.full(n, 1 / n)
    training = differentiate(mask(graph, training=True), ops.CrossEntropy())
    arrays = {INPUT: X, LENGTH: np.array(LENGTHS), TARGET: y, WEIGHT: weight}
    values = run(training.graph, arrays, parameters)
    with on_cpu(cpu):
        program = TrainingProgram(graph, ops.CrossEntropy(), None, dtype=dtype, masked=True)
        program.load(parameters)
        loss, gradients, prediction = program.gradients(X, np.arange(n), y, weight, lengths=LENGTHS)
    assert loss == pytest.approx(values[training.loss].sum(), rel=TOLERANCE[dtype])
    close(prediction, values[training.prediction], dtype)
    for name, value in training.gradients.items():
        close(gradients[name], values[value], dtype)


def test_the_operations_of_networks_are_in_the_table_or_refused():
    known = {cls for _, cls in ops.registered() if cls.is_layer()}
    assert {cls for cls in READS if cls is not ops.Pointwise} <= known


@pytest.fixture
def program():
    graph = network((1, 8), ops.Conv(2, (3,), (1,), ((0, 0),), (1,)), ops.GlobalAveragePool())
    made = InferenceProgram(graph, masked=True)
    made.load(graph_parameters(graph, np.random.default_rng(0)))
    return made


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([2], ArgumentError, "lengths from 3 to 8, .* from 2 to 2"),
        ([9], ArgumentError, "lengths from 3 to 8, .* from 9 to 9"),
        ([3, 4], ShapeError, r"shape \(1,\), got \(2,\)"),
        (None, ArgumentError, "must be given to programs .* masked=True"),
    ],
)
def test_lengths_are_checked(program, lengths, error, message):
    with pytest.raises(error, match=message):
        program(np.zeros((1, 1, 8)), lengths=lengths)


def test_a_program_without_masks_takes_no_lengths():
    graph = network((1, 8), ops.ReLU())
    with pytest.raises(ArgumentError, match="masked=False"):
        InferenceProgram(graph)(np.zeros((1, 1, 8)), lengths=[8])


def test_no_series_give_no_outputs(program):
    assert program(np.zeros((0, 1, 8)), lengths=[]).shape == (0, 2)
