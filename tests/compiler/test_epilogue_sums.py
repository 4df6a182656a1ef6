"""Moments that convolutions find over what they store, instead of passes over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import StepSettings, TrainingProgram, UpdateRule
from convoi.compiler.explaining import explain_program
from convoi.compiler.pipeline import Compiled, compile_training
from convoi.graph import INPUT, TARGET, Builder, Graph
from convoi.kernels.epilogue_sums import EpilogueMoments
from tests.cases import conv
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

if TYPE_CHECKING:
    from convoi.compiler.steps import Step

LOSS = ops.CrossEntropy()
MANY = 37
"""Samples of several chunks and convoys, which they do not fill."""


def plain() -> Graph:
    return network(
        (3, 9, 11),
        same_conv(20, (3, 3)),
        ops.BatchNorm(),
        ops.ReLU(),
        conv(17, (1, 1), stride=2, bias=False),
        ops.BatchNorm(),
        ops.Flatten(),
        ops.Dense(6),
        ops.BatchNorm(),
    )


def added() -> Graph:
    """Return a network in which a sum is normalised, which the second convolution makes."""
    build = Builder.for_network((16, 10, 10))
    first = build.layer("first", same_conv(16, (3, 3)), INPUT)
    second = build.layer("second", same_conv(16, (3, 3)), first)
    value = build.layer("sum", ops.Add(), second, first)
    value = build.layer("norm", ops.BatchNorm(), value)
    value = build.layer("relu", ops.ReLU(), value)
    return build.finish(build.layer("mean", ops.GlobalAveragePool(), value))


def branched() -> Graph:
    """Return a network with a convolution whose result three layers read."""
    build = Builder.for_network((4, 13))
    value = build.layer("conv", same_conv(16, (3,)), INPUT)
    left = build.layer("left", ops.BatchNorm(), value)
    right = build.layer("right", ops.BatchNorm(eps=1e-2), build.layer("tanh", ops.Tanh(), value))
    value = build.layer("sum", ops.Add(), left, right, value)
    return build.finish(build.layer("mean", ops.GlobalAveragePool(), value))


def twice() -> Graph:
    """Return a network that normalises the result of a convolution in two ways."""
    build = Builder.for_network((4, 13))
    value = build.layer("conv", same_conv(16, (3,)), INPUT)
    both = [build.layer(f"norm{i}", ops.BatchNorm(eps=10.0**-i), value) for i in (1, 2)]
    value = build.layer("sum", ops.Add(), *both)
    return build.finish(build.layer("mean", ops.GlobalAveragePool(), value))


GRAPHS = pytest.mark.parametrize("make", [plain, added, branched, twice])


def compiled(graph: Graph, dtype: str = "float32", *, masked: bool = False) -> Compiled:
    return compile_training(
        graph, LOSS, dtype, current_target(), augment=False, link=False, masked=masked
    )


def steps(graph: Graph, dtype: str = "float32", *, masked: bool = False) -> list[Step]:
    segments = compiled(graph, dtype, masked=masked).memory.steps
    return [step for segment in segments for step in segment.steps]


def summing(graph: Graph, dtype: str = "float32") -> list[str]:
    """Return the labels of the steps that find moments in passing."""
    found = (s for s in steps(graph, dtype) if getattr(s.kernel, "sums", None) == EpilogueMoments())
    return [step.label for step in found]


def passes(graph: Graph, *, masked: bool = False) -> list[str]:
    """Return the labels of the passes over memory for moments."""
    found = steps(graph, masked=masked)
    return [s.label for s in found if type(s.kernel).__name__.endswith("MomentsAccumulate")]


def check_against_definition(graph: Graph, dtype: str, limit: float) -> None:
    parameters, inputs = example(graph, LOSS, MANY)
    loss, want, prediction = expected_training(graph, LOSS, inputs, parameters)
    assert summing(graph, dtype)
    program = TrainingProgram(graph, LOSS, None, dtype=dtype, threads=1)
    program.load(parameters)
    found = program_gradients(program, inputs)
    assert found[0] == pytest.approx(loss, rel=limit)
    assert relative_error(found[2], prediction) < limit
    scale = max(float(np.abs(value).max()) for value in want.values())
    assert max(relative_error(found[1][name], want[name], scale) for name in want) < limit


@CPUS
@GRAPHS
def test_gradients_are_those_of_the_definition(cpu, make) -> None:
    with on_cpu(cpu):
        check_against_definition(make(), "float64", 1e-10)


@GRAPHS
def test_float32_is_as_exact_as_it_can_be(make) -> None:
    check_against_definition(make(), "float32", 5e-5)


@GRAPHS
def test_steps_are_bit_identical_for_any_number_of_threads(make) -> None:
    graph = make()
    parameters, inputs = example(graph, LOSS, MANY)
    results = set()
    for threads in (1, 2, 3):
        program = TrainingProgram(graph, LOSS, UpdateRule("sgd"), threads=threads)
        program.load(parameters)
        for step in range(2):
            rows = np.random.default_rng(step).permutation(MANY)
            weight = np.full(MANY, 1 / MANY)
            target = inputs[TARGET][rows]
            program.step(inputs[INPUT], rows, target, weight, StepSettings(0.1, step + 1))
        results.add(b"".join(array.tobytes() for array in program.parameters().values()))
    assert len(results) == 1


@pytest.mark.parametrize(
    ("make", "expected"),
    [(plain, ["0", "3", "6"]), (added, ["sum"]), (branched, ["conv"]), (twice, ["conv"])],
)
def test_the_kernel_that_stores_a_value_finds_its_moments(make, expected: list[str]) -> None:
    assert summing(make()) == expected


def test_one_of_two_normalisations_takes_a_pass() -> None:
    assert passes(twice()) == ["norm2/batch_moments sums"]


def test_what_no_convolution_stores_takes_a_pass() -> None:
    assert passes(branched()) == ["right/batch_moments sums"]


def test_a_depthwise_convolution_takes_a_pass() -> None:
    graph = network((16, 9, 9), same_conv(16, (3, 3), groups=16), ops.BatchNorm(), ops.Flatten())
    assert passes(graph) == ["1/batch_moments sums"]


def test_a_masked_network_takes_passes_that_know_the_ends() -> None:
    graph = network((3, 30), same_conv(16, (3,)), ops.BatchNorm(), ops.GlobalAveragePool())
    assert passes(graph) == []
    assert passes(graph, masked=True) == ["1/masked_batch_moments sums"]


def test_a_value_whose_moments_are_found_in_passing_is_not_read_for_them() -> None:
    program = compiled(plain())
    calls = {call.label: call for call in program.plan.calls}
    (kernel,) = (step.kernel for step in steps(plain()) if step.label == "0")
    traffic = calls["0"].traffic
    assert traffic.per_unit == program.input.bytes + kernel.y.bytes
    # Of the weights, the bias and, read and written, four rows of sums.
    assert traffic.per_convoy == 4 * (kernel.weights.size + (1 + 2 * 4) * kernel.y.stride)
    assert "1/batch_moments sums" not in calls


def test_an_explanation_tells_which_kernel_finds_moments() -> None:
    records = explain_program(plain(), "float32", training=True, fast=True, batch_size=8)
    fused = {record.layer: record.fused for record in records}
    assert fused["0"] == fused["3"] == ("BatchMoments",)
    assert fused["2/pointwise_backward"] == ("PointwiseBackward",)
