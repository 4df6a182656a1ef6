"""Activations that the way back computes again instead of keeping them for the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import TrainingProgram
from convoi.compiler.pipeline import compile_training
from convoi.compiler.recompute import recompute_activations
from convoi.graph import INPUT, Builder, Graph, differentiate, run
from tests.cases import pool
from tests.compiler.graphs import (
    example,
    expected_training,
    network,
    program_gradients,
    relative_error,
    same_conv,
)

if TYPE_CHECKING:
    from convoi.compiler.recompute import Recomputed

LOSS = ops.CrossEntropy()


def normalized(activation: ops.Operation) -> Graph:
    """Return a network with an activation between a normalisation and a convolution."""
    return network(
        (3, 9, 8),
        same_conv(20, (3, 3)),
        ops.BatchNorm(),
        activation,
        same_conv(18, (3, 3)),
        ops.BatchNorm(),
        ops.ReLU(),
        ops.GlobalAveragePool(),
    )


def recomputed(graph: Graph) -> Recomputed:
    training = differentiate(graph, LOSS)
    return recompute_activations(training.graph, training.loss)


def names(graph: Graph) -> set[str]:
    """Return what is computed again, by the names in the network."""
    return {value.split("/")[0] for value in recomputed(graph).values}


@pytest.mark.parametrize("activation", [ops.ReLU(), ops.SiLU(), ops.Tanh()], ids=str)
def test_gradients_are_those_of_the_definition(activation: ops.Operation) -> None:
    graph = normalized(activation)
    parameters, inputs = example(graph, LOSS, 5)
    program = TrainingProgram(graph, LOSS, None, dtype="float64", threads=1)
    program.load(parameters)
    loss, gradients, _ = program_gradients(program, inputs)
    want_loss, want, _ = expected_training(graph, LOSS, inputs, parameters)
    assert loss == pytest.approx(want_loss)
    assert max(relative_error(gradients[name], want[name]) for name in want) < 1e-10


def test_the_rewritten_graph_computes_the_same() -> None:
    graph = normalized(ops.SiLU())
    parameters, inputs = example(graph, LOSS, 3)
    training = differentiate(graph, LOSS)
    again = recompute_activations(training.graph, training.loss)
    want = run(training.graph, dict(inputs), dict(parameters))
    got = run(again.graph, dict(inputs), dict(parameters))
    assert again.values
    for value in training.gradients.values():
        np.testing.assert_array_equal(got[value], want[value])


def segments(graph: Graph) -> list[list[str]]:
    """Return the labels of the calls of each segment."""
    target = current_target()
    plan = compile_training(graph, LOSS, "float32", target, augment=False, link=False).plan
    return [[call.label for call in segment.calls] for segment in plan.segments]


def test_an_activation_is_computed_again_in_the_segment_that_reads_it() -> None:
    found = segments(normalized(ops.ReLU()))
    (segment,) = [labels for labels in found if "2/again" in labels]
    assert segment.index("2/again") < segment.index("3/conv_backward_weight sums")
    assert "2" not in segment


def test_what_the_same_segment_has_computed_is_not_computed_again() -> None:
    graph = normalized(ops.ReLU())
    assert "5/again" in recomputed(graph).values
    assert not any("5/again" in labels for labels in segments(graph))


def test_nothing_but_what_is_normalised_is_computed_again() -> None:
    assert names(normalized(ops.ReLU())) == {"1", "2", "4", "5"}
    plain = network((3, 9, 8), same_conv(20, (3, 3)), ops.ReLU(), same_conv(9, (3, 3)))
    assert not names(plain)


def test_what_a_sum_waits_for_is_kept() -> None:
    build = Builder.for_network((3, 9, 8))
    value = build.layer("first", same_conv(18, (3, 3)), INPUT)
    value = build.layer("norm", ops.BatchNorm(), value)
    shortcut = build.layer("relu", ops.ReLU(), value)
    value = build.layer("second", same_conv(18, (3, 3)), shortcut)
    value = build.layer("sum", ops.Add(), value, shortcut)
    assert not names(build.finish(value))


def test_a_pooled_activation_is_computed_again() -> None:
    graph = network(
        (3, 8, 8), same_conv(20, (3, 3)), ops.BatchNorm(), ops.ReLU(), pool(ops.MaxPool, (2, 2))
    )
    assert names(graph) == {"1", "2"}


def test_outputs_and_features_are_kept() -> None:
    output = network((3, 9, 8), same_conv(20, (3, 3)), ops.BatchNorm(), ops.ReLU())
    assert not names(output)
    features = network((3,), ops.Dense(20), ops.BatchNorm(), ops.ReLU(), ops.Dense(4))
    assert not names(features)
