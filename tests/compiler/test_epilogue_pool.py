"""Pools that convolutions make of what they compute, instead of passes over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import InferenceProgram, TrainingProgram, select
from convoi.compiler.explaining import explain_program
from convoi.compiler.pipeline import Compiled, compile_inference, compile_training
from convoi.graph import INPUT, Builder, Graph, run
from convoi.kernels.epilogue_pool import NO_POOL
from tests.cases import conv, pool
from tests.compiler.graphs import (
    CPUS,
    example,
    expected_training,
    network,
    on_cpu,
    program_gradients,
    relative_error,
    same_conv,
)
from tests.strategies import graph_parameters

if TYPE_CHECKING:
    from convoi.compiler.steps import Step

LOSS = ops.CrossEntropy()
MANY = 7
"""Samples of several convoys, which they do not fill."""


def direct() -> Graph:
    return network(
        (3, 15, 18),
        same_conv(20, (5, 5)),
        ops.ReLU(),
        pool(ops.MaxPool, (2, 2)),
        conv(16, (1, 1), bias=False),
        ops.ReLU(),
        pool(ops.MaxPool, (3, 3)),
        ops.Flatten(),
        ops.Dense(4),
    )


def fast() -> Graph:
    return network(
        (16, 12, 16),
        same_conv(40, (3, 3)),
        ops.ReLU(),
        pool(ops.MaxPool, (2, 2)),
        same_conv(16, (1, 3)),
        pool(ops.MaxPool, (1, 2)),
        ops.Flatten(),
        ops.Dense(4),
    )


def series() -> Graph:
    return network(
        (2, 50),
        same_conv(9, (7,), stride=2),
        pool(ops.MaxPool, (3,)),
        same_conv(24, (3,)),
        ops.ReLU(),
        pool(ops.MaxPool, (4,)),
        ops.Flatten(),
        ops.Dense(4),
    )


def volume() -> Graph:
    return network(
        (2, 4, 7, 9),
        same_conv(9, (3, 3, 3)),
        ops.ReLU(),
        pool(ops.MaxPool, (1, 2, 2)),
        ops.Flatten(),
        ops.Dense(4),
    )


def grouped() -> Graph:
    return network(
        (8, 9, 8),
        same_conv(16, (3, 3), groups=4),
        pool(ops.MaxPool, (2, 2)),
        ops.Flatten(),
        ops.Dense(4),
    )


def added() -> Graph:
    """Return a network that pools a sum, which the second convolution makes."""
    build = Builder.for_network((16, 10, 11))
    first = build.layer("first", same_conv(17, (1, 1)), INPUT)
    second = build.layer("second", same_conv(17, (1, 1)), first)
    value = build.layer("relu", ops.ReLU(), build.layer("sum", ops.Add(), second, first))
    value = build.layer("pool", pool(ops.MaxPool, (2, 2)), value)
    return build.finish(build.layer("flat", ops.Flatten(), value))


def averages() -> Graph:
    return network(
        (3, 15, 18),
        same_conv(20, (5, 5)),
        ops.ReLU(),
        pool(ops.AveragePool, (2, 3)),
        same_conv(40, (3, 3)),
        pool(ops.AveragePool, (2, 2)),
        ops.Flatten(),
        ops.Dense(4),
    )


ALL = (direct, fast, series, volume, grouped, added, averages)
GRAPHS = pytest.mark.parametrize("make", ALL)
LIMITS = {"float32": 2e-5, "float64": 1e-10}
DTYPES = pytest.mark.parametrize("dtype", LIMITS)


def predicting(graph: Graph) -> Compiled:
    return compile_inference(graph, "float32", current_target(), link=False)


def training(graph: Graph) -> Compiled:
    return compile_training(graph, LOSS, "float32", current_target(), augment=False, link=False)


def steps(compiled: Compiled) -> list[Step]:
    return [step for segment in compiled.memory.steps for step in segment.steps]


def pooling(compiled: Compiled) -> int:
    """Return how many steps pool in passing."""
    return sum(getattr(step.kernel, "pool", NO_POOL) != NO_POOL for step in steps(compiled))


def passes(compiled: Compiled) -> list[str]:
    """Return the pools that are passes over memory."""
    names = [type(step.kernel).__name__ for step in steps(compiled)]
    return [name for name in names if name in {"MaxPool", "MaxPoolWinners", "AveragePool"}]


@CPUS
@DTYPES
@GRAPHS
def test_predictions_are_those_of_the_definition(cpu, dtype, make) -> None:
    graph = make()
    parameters = graph_parameters(graph, np.random.default_rng(0))
    X = np.random.default_rng(1).standard_normal((MANY, *graph.shape(INPUT)))
    want = run(graph, {INPUT: X}, parameters)[graph.outputs[0]]
    with on_cpu(cpu):
        assert pooling(predicting(graph))
        program = InferenceProgram(graph, dtype=dtype, threads=1)
        program.load(parameters)
        for n in (1, MANY):
            assert relative_error(program(X[:n]), want[:n]) < LIMITS[dtype]


@CPUS
@GRAPHS
def test_gradients_are_those_of_the_definition(cpu, make) -> None:
    graph = make()
    parameters, inputs = example(graph, LOSS, MANY)
    loss, want, prediction = expected_training(graph, LOSS, inputs, parameters)
    with on_cpu(cpu):
        program = TrainingProgram(graph, LOSS, None, dtype="float64", threads=1)
        program.load(parameters)
        found = program_gradients(program, inputs)
    assert found[0] == pytest.approx(loss, rel=1e-10)
    assert relative_error(found[2], prediction) < 1e-10
    scale = max(float(np.abs(value).max()) for value in want.values())
    assert max(relative_error(found[1][name], want[name], scale) for name in want) < 1e-10


@pytest.mark.parametrize("make", [direct, fast, series, volume, grouped, added])
def test_maxima_take_no_pass_over_memory(make) -> None:
    graph = make()
    for compiled in (predicting(graph), training(graph)):
        assert pooling(compiled)
        assert passes(compiled) == []


def test_fast_convolutions_find_gradients_of_winners() -> None:
    """Single precision, where forms of fast convolution are used."""
    graph = fast()
    parameters, inputs = example(graph, LOSS, MANY)
    _, want, _ = expected_training(graph, LOSS, inputs, parameters)
    program = TrainingProgram(graph, LOSS, None, dtype="float32", threads=1)
    program.load(parameters)
    _, found, _ = program_gradients(program, inputs)
    scale = max(float(np.abs(value).max()) for value in want.values())
    assert max(relative_error(found[name], want[name], scale) for name in want) < 5e-5
    kernels = {type(s.kernel).__name__ for s in steps(training(graph)) if s.label in {"1", "3"}}
    assert kernels == {"FastCorrelate"}


def test_what_is_pooled_is_written_nowhere() -> None:
    graph = network(
        (3, 16, 16), same_conv(16, (3, 3)), ops.ReLU(), pool(ops.MaxPool, (2, 2)), ops.Flatten()
    )
    compiled = training(graph)
    (kernel,) = (s.kernel for s in steps(compiled) if s.label == "1")
    (call,) = (call for call in compiled.plan.calls if call.label == "1")
    (noted,) = kernel.pool.extra
    assert kernel.y.spatial == noted.spatial == (8, 8)
    assert call.traffic.per_unit == compiled.input.bytes + kernel.y.bytes + noted.bytes


def test_a_value_that_others_read_is_stored() -> None:
    build = Builder.for_network((3, 8, 8))
    value = build.layer("conv", same_conv(16, (3, 3)), INPUT)
    left = build.layer("pool", pool(ops.MaxPool, (2, 2)), value)
    right = build.layer("strided", conv(16, (2, 2), stride=2), value)
    graph = build.finish(build.layer("sum", ops.Add(), left, right))
    assert passes(predicting(graph)) == ["MaxPool"]
    assert passes(training(graph)) == ["MaxPoolWinners"]


def test_the_average_of_rectified_values_takes_a_pass_in_training() -> None:
    """The rectifier's gradient asks which of them were positive."""
    graph = network(
        (3, 8, 8), same_conv(16, (3, 3)), ops.ReLU(), pool(ops.AveragePool, (2, 2)), ops.Flatten()
    )
    assert passes(training(graph)) == ["AveragePool"]
    assert passes(predicting(graph)) == []


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((3, 3), {"stride": (2, 2)}),
        ((2, 2), {"padding": ((1, 0), (0, 1))}),
        ((2, 2), {"stride": (3, 3)}),
        ((7, 7), {}),
    ],
    ids=["overlapping", "padded", "gaps", "larger than a tile"],
)
def test_windows_that_do_not_fit_into_tiles_take_a_pass(size, options) -> None:
    graph = network(
        (3, 14, 14), same_conv(16, (3, 3)), pool(ops.MaxPool, size, **options), ops.Flatten()
    )
    assert pooling(predicting(graph)) == 0
    assert passes(predicting(graph)) == ["MaxPool"]


@CPUS
@pytest.mark.parametrize("make", [direct, fast, series])
def test_threads_share_a_pooling_kernel(cpu, make, monkeypatch) -> None:
    monkeypatch.setattr(select, "SHARE_WORK", 1)
    graph = make()
    X = np.random.default_rng(1).standard_normal((1, *graph.shape(INPUT)), np.float32)
    found = set()
    with on_cpu(cpu):
        for threads in (1, 3):
            program = InferenceProgram(graph, threads=threads)
            program.load(graph_parameters(graph, np.random.default_rng(0)))
            found.add(program(X).tobytes())
        kernels = [step.kernel for step in steps(predicting(graph))]
    assert len(found) == 1
    assert any(getattr(k, "pool", NO_POOL) != NO_POOL and k.units > 1 for k in kernels)


def test_nan_wins() -> None:
    graph = network((1, 6, 6), same_conv(16, (1, 1)), pool(ops.MaxPool, (2, 2)))
    program = InferenceProgram(graph, threads=1)
    program.load(graph_parameters(graph, np.random.default_rng(0)))
    X = np.random.default_rng(1).standard_normal((1, 1, 6, 6), np.float32)
    X[0, 0, 2, 5] = np.nan
    assert pooling(predicting(graph)) == 1
    expected = np.zeros((1, 16, 3, 3), bool)
    expected[0, :, 1, 2] = True
    np.testing.assert_array_equal(np.isnan(program(X)), expected)


def test_an_explanation_tells_which_kernel_pools() -> None:
    records = explain_program(direct(), "float32", training=False, fast=True, batch_size=8)
    fused = {record.layer: record.fused for record in records}
    assert fused["1"] == ("ReLU", "MaxPool")
    assert "2" not in fused
