"""Segments are cut where layers that wait for their weights meet others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import InferenceProgram, TrainingProgram
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.graph import INPUT, Graph
from convoi.runtime.plan import Extent, Plan
from tests.cases import pool
from tests.compiler.graphs import (
    example,
    expected_training,
    network,
    program_gradients,
    relative_error,
    same_conv,
)


def classifier(units: int, extent: int = 28) -> Graph:
    """Return a convolution whose sample fills the cache, and a dense layer behind it."""
    return network(
        (1, extent, extent),
        same_conv(32, (3, 3)),
        ops.ReLU(),
        pool(ops.MaxPool, (3, 3), stride=(2, 2), padding=((1, 1), (1, 1))),
        same_conv(64, (3, 3)),
        ops.ReLU(),
        pool(ops.MaxPool, (3, 3), stride=(2, 2), padding=((1, 1), (1, 1))),
        ops.Flatten(),
        ops.Dense(units),
    )


def convoys(plan: Plan) -> list[list[str]]:
    """Return the kernels of each segment that convoys pass."""
    return [
        [call.kernel for call in segment.calls]
        for segment in plan.segments
        if segment.extent is Extent.BATCH
    ]


def test_a_large_dense_layer_has_convoys_of_its_own() -> None:
    plan = compile_inference(classifier(256), "float32", current_target()).plan
    convolutions, dense = plan.segments
    assert dense.convoy > convolutions.convoy
    assert [call.kernel for call in dense.calls] == ["Correlate", "Unpack"]


def test_in_training_its_gradients_pass_with_it() -> None:
    loss = ops.CrossEntropy()
    graph = classifier(256, 48)
    plan = compile_training(graph, loss, "float32", current_target(), augment=False).plan
    before, dense, after = convoys(plan)
    assert "Pack" in before
    assert {"CrossEntropy", "WeightGradient", "Correlate"} <= set(dense)
    assert not any("Fast" in kernel for kernel in dense)
    assert "WinnerBackward" in after


def test_a_small_one_passes_with_the_others() -> None:
    plan = compile_inference(classifier(2), "float32", current_target()).plan
    assert len(plan.segments) == 1


def test_results_do_not_depend_on_cuts() -> None:
    graph, loss = classifier(256), ops.CrossEntropy()
    parameters, inputs = example(graph, loss, n=19)
    want_loss, want, output = expected_training(graph, loss, inputs, parameters)
    found = []
    for threads in (1, 2, 3, 8):
        program = TrainingProgram(graph, loss, None, threads=threads)
        program.load(parameters)
        got_loss, gradients, prediction = program_gradients(program, inputs)
        assert got_loss == pytest.approx(want_loss, rel=1e-5)
        assert relative_error(prediction, output) < 1e-5
        assert all(relative_error(gradients[name], want[name]) < 1e-5 for name in want)
        found.append([*gradients.values(), prediction])
    for other in found[1:]:
        for one, several in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, several)


@pytest.mark.parametrize("samples", [1, 2, 3, 7, 15, 16, 17, 31])
def test_small_batches_of_a_dense_layer_are_those_of_a_large_one(samples: int) -> None:
    graph = network((40,), ops.Dense(33), ops.Tanh(), ops.Dense(3))
    parameters, inputs = example(graph, ops.CrossEntropy(), n=31)
    program = InferenceProgram(graph, threads=1)
    program.load(parameters)
    X = inputs[INPUT]
    assert math.isfinite(program(X).sum())
    np.testing.assert_array_equal(program(X[:samples]), program(X)[:samples])
