"""Segments: what a convoy can pass without waiting for the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.compiler.segments import StepSegment, cut_segments
from convoi.compiler.steps import Step, SumOperand, ValueOperand
from convoi.kernels.halo import ClearHalo
from convoi.kernels.layout import Layout
from convoi.runtime.plan import Extent
from tests.cases import pool
from tests.compiler.graphs import network, same_conv

if TYPE_CHECKING:
    from convoi.graph import Graph

KERNEL = ClearHalo(Layout(4, (3,), 4))
"""Segments do not depend on kernels."""


def step(name: str, *reads: str, needs: tuple[str, ...] = (), units: int | None = None) -> Step:
    """Return a step that computes a value of its name; with units, it runs once."""
    operands = tuple(ValueOperand(value) for value in reads)
    whole = units is not None
    own = SumOperand(name, 64) if whole else ValueOperand(name)
    return Step(name, KERNEL, (*operands, own), (name,), needs, whole, units or 1)


def labels(segments: tuple[StepSegment, ...]) -> list[tuple[list[str], bool]]:
    return [([step.label for step in segment.steps], segment.whole) for segment in segments]


def test_steps_that_wait_for_nothing_are_one_segment() -> None:
    steps = [step("a", "input"), step("b", "a"), step("c", "b", "a")]
    assert labels(cut_segments(steps)) == [(["a", "b", "c"], False)]


def test_a_step_that_needs_the_sums_of_all_samples_waits_for_them() -> None:
    steps = [
        step("a", "input"),
        step("sums", "a"),
        step("moments", needs=("sums",), units=1),
        step("normal", "a", needs=("moments",)),
        step("b", "normal"),
        step("aside", "a"),
    ]
    assert labels(cut_segments(steps)) == [
        (["a", "sums", "aside"], False),
        (["moments"], True),
        (["normal", "b"], False),
    ]


def test_a_late_step_runs_where_it_is_first_read() -> None:
    steps = [
        step("a", "input"),
        step("sums", "a"),
        step("moments", needs=("sums",), units=1),
        step("b", "a", needs=("moments",)),
        replace(step("again", "input"), late=True),
        replace(step("again too", "again"), late=True),
        step("c", "again too", "b"),
    ]
    assert labels(cut_segments(steps)) == [
        (["a", "sums"], False),
        (["moments"], True),
        (["b", "again", "again too", "c"], False),
    ]


def test_what_is_made_of_parameters_comes_first() -> None:
    steps = [
        step("a", "input"),
        step("weights", units=16),
        step("b", "a", needs=("weights",)),
    ]
    segments = cut_segments(steps)
    assert labels(segments) == [(["weights"], True), (["a", "b"], False)]
    assert segments[0].units == 16


def test_steps_that_run_once_share_a_segment_if_they_have_the_same_units() -> None:
    steps = [step(name, units=units) for name, units in [("a", 4), ("b", 4), ("c", 8), ("d", 4)]]
    segments = cut_segments(steps)
    assert labels(segments) == [(["a", "b"], True), (["c"], True), (["d"], True)]
    assert [segment.units for segment in segments] == [4, 8, 4]


def test_a_step_that_runs_once_waits_for_another_that_it_needs() -> None:
    steps = [step("a", units=4), step("b", needs=("a",), units=4), step("c", needs=("b",))]
    assert labels(cut_segments(steps)) == [(["a"], True), (["b"], True), (["c"], False)]


@pytest.mark.parametrize("value", ["second", "third"])
def test_a_value_under_another_name_comes_when_its_memory_is_written(value: str) -> None:
    aliases = {"second": "normal", "third": "second"}

    def root(name: str) -> str:
        return root(aliases[name]) if name in aliases else name

    steps = [
        step("sums", "input"),
        step("moments", needs=("sums",), units=1),
        step("normal", "input", needs=("moments",)),
        step("b", value),
    ]
    assert labels(cut_segments(steps, root))[-1] == (["normal", "b"], False)


def extents(graph: Graph, *, training: bool) -> list[Extent]:
    target = current_target()
    loss = ops.MeanSquaredError()
    compiled = (
        compile_training(graph, loss, "float32", target, augment=False)
        if training
        else compile_inference(graph, "float32", target)
    )
    return [segment.extent for segment in compiled.plan.segments]


def test_prediction_is_one_segment_even_with_batch_norm() -> None:
    layers = [same_conv(4, (3,)), ops.BatchNorm(), pool(ops.MaxPool, (2,)), ops.BatchNorm()]
    assert extents(network((3, 8), *layers), training=False) == [Extent.BATCH]


def test_training_without_batch_statistics_is_one_segment() -> None:
    layers = [same_conv(4, (3,)), ops.ReLU(), ops.Flatten(), ops.Dense(2)]
    assert extents(network((3, 8), *layers), training=True) == [Extent.BATCH]


def test_each_batch_norm_divides_both_passes_of_training() -> None:
    batch, fixed = Extent.BATCH, Extent.FIXED
    layers = [same_conv(4, (3,)), ops.BatchNorm(), ops.ReLU()]
    expected = [batch, fixed, batch, fixed, batch]
    assert extents(network((3, 8), *layers), training=True) == expected
    expected = [batch, fixed, batch, fixed, batch, fixed, batch, fixed, batch]
    assert extents(network((3, 8), *layers, *layers), training=True) == expected
