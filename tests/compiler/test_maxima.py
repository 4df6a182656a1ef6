"""Pools that note where their maxima were."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import TrainingProgram
from convoi.compiler.maxima import Winner, WinnerBackward, keep_winners
from convoi.compiler.pipeline import compile_training
from convoi.graph import Graph, differentiate, run
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

LOSS = ops.CrossEntropy()


def pooled(*between: ops.Operation, size: int = 2, stride: int = 2) -> Graph:
    """Return a network with a pool behind a convolution and perhaps other operations."""
    return network(
        (3, 9, 8),
        same_conv(17, (3, 3)),
        *between,
        pool(ops.MaxPool, (size, size), stride=(stride, stride)),
        conv(5, (2, 2)),
        ops.GlobalAveragePool(),
    )


NETWORKS = {
    "pool": pooled(),
    "rectified": pooled(ops.ReLU()),
    "normalised": pooled(ops.BatchNorm(), ops.ReLU()),
    "overlapping": pooled(ops.ReLU(), size=3, stride=1),
    "sigmoid": pooled(ops.Sigmoid()),
    "large": pooled(ops.ReLU(), size=7, stride=1),
}
EACH = pytest.mark.parametrize("name", NETWORKS)


def rewritten(graph: Graph) -> Graph:
    return keep_winners(differentiate(graph, LOSS).graph)


def operations(graph: Graph) -> list[type]:
    return [type(node.op) for node in rewritten(graph).nodes]


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@CPUS
def test_gradients_are_those_of_the_definition(name: str, dtype: str, cpu) -> None:
    graph = NETWORKS[name]
    parameters, inputs = example(graph, LOSS, 5)
    with on_cpu(cpu):
        program = TrainingProgram(graph, LOSS, None, dtype=dtype, threads=1)
    program.load(parameters)
    loss, gradients, _ = program_gradients(program, inputs)
    want_loss, want, _ = expected_training(graph, LOSS, inputs, parameters)
    assert loss == pytest.approx(want_loss, rel=1e-5)
    worst = max(relative_error(gradients[n], want[n]) for n in want)
    assert worst < (1e-10 if dtype == "float64" else 1e-4)


@EACH
def test_the_rewritten_graph_computes_the_same(name: str) -> None:
    graph = NETWORKS[name]
    parameters, inputs = example(graph, LOSS, 3)
    training = differentiate(graph, LOSS)
    want = run(training.graph, dict(inputs), dict(parameters))
    got = run(keep_winners(training.graph), dict(inputs), dict(parameters))
    for value in training.gradients.values():
        np.testing.assert_allclose(got[value], want[value], rtol=1e-12, atol=1e-15)


def test_the_rectifier_in_front_of_a_pool_needs_no_gradient_of_its_own() -> None:
    found = operations(NETWORKS["rectified"])
    assert {Winner, WinnerBackward} <= set(found)
    assert not {ops.PointwiseBackward, ops.MaxPoolBackward} & set(found)
    assert ops.PointwiseBackward in operations(NETWORKS["sigmoid"])


def test_windows_with_many_taps_keep_their_input() -> None:
    assert Winner not in operations(NETWORKS["large"])
    assert ops.MaxPoolBackward in operations(NETWORKS["large"])


def test_nothing_normalised_is_computed_again_for_a_pool() -> None:
    plan = compile_training(
        NETWORKS["normalised"], LOSS, "float32", current_target(), augment=False, link=False
    ).plan
    assert not [call.label for call in plan.calls if call.label.endswith("again")]
    assert "WinnerBackward" in {call.kernel for call in plan.calls}
