"""Adaptive and fractional pooling, at every vector width, against their definitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from convoi import ops
from convoi.kernels import interval_pool as kernels
from convoi.kernels.layout import Layout
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.support import (
    activation,
    assert_close,
    every_machine,
    gradient,
    machine,
    output,
    written,
)

SEED = np.array([99], np.uint64)


@dataclass(frozen=True)
class Case:
    channels: int
    spatial: tuple[int, ...]
    pooled: tuple[int, ...]
    count: int = 3

    def layouts(self, lanes, dtype):
        """Return the layouts of the input, the output and the input's gradient."""
        rank = len(self.spatial)
        x = Layout(self.channels, self.spatial, lanes, dtype, ((1, 2),) * rank)
        y = Layout(self.channels, self.pooled, lanes, dtype, ((0, 1),) * rank)
        return x, y, Layout(self.channels, self.spatial, lanes, dtype)

    def signal(self, spatial, dtype, seed=0):
        shape = (self.count, self.channels, *spatial)
        return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


CASES = {
    "2 axes": Case(5, (7, 9), (3, 4)),
    "many channels": Case(33, (5, 4), (5, 3)),
    "1 axis": Case(1, (33,), (23,)),
    "nothing": Case(3, (5, 4), (2, 3), count=0),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def check_forward(case, cpu, dtype, kernel_of, expected_of, extra=(), compare=assert_close):
    target, lanes = machine(cpu, dtype)
    x_layout, y_layout, _ = case.layouts(lanes, dtype)
    x, y = case.signal(case.spatial, dtype), output(y_layout, case.count)
    buffers = [activation(x, x_layout), *extra, y]
    call_kernel(kernel_of(x_layout, y_layout), buffers, count=case.count, target=target)
    compare(written(y, y_layout, zero_beyond=False), expected_of(x))


@every_machine
@every_case
def test_adaptive_averages_are_the_definition(case, cpu, dtype):
    op = ops.AdaptiveAveragePool(case.pooled)
    check_forward(case, cpu, dtype, kernels.AdaptiveAveragePool, op.reference)
    target, lanes = machine(cpu, dtype)
    _, dy_layout, dx_layout = case.layouts(lanes, dtype)
    dy, dx = case.signal(case.pooled, dtype, 1), output(dx_layout, case.count)
    kernel = kernels.AdaptiveAveragePoolBackward(dy_layout, dx_layout)
    call_kernel(kernel, [gradient(dy, dy_layout), dx], count=case.count, target=target)
    back = ops.AdaptiveAveragePoolBackward(op, (case.channels, *case.spatial))
    assert_close(written(dx, dx_layout), back.reference(dy))


FRACTIONS = {
    "adaptive": (None, ops.AdaptiveMaxPool),
    "disjoint": (
        kernels.Fraction(overlapping=False, stream=2),
        lambda output: ops.FractionalMaxPoolSampled(output, overlapping=False, stream=2),
    ),
    "overlapping": (
        kernels.Fraction(overlapping=True, stream=7),
        lambda output: ops.FractionalMaxPoolSampled(output, overlapping=True, stream=7),
    ),
}
"""How intervals are found, and the operation that says so."""


every_fraction = pytest.mark.parametrize(("fraction", "make"), FRACTIONS.values(), ids=FRACTIONS)


@every_machine
@every_case
@every_fraction
def test_maxima_and_their_gradients_are_the_definition(case, cpu, dtype, fraction, make):
    target, lanes = machine(cpu, dtype)
    layouts = x_layout, y_layout, dx_layout = case.layouts(lanes, dtype)
    op = make(case.pooled)
    x = case.signal(case.spatial, dtype).round()  # Rounding makes equal maxima.
    dy, dx = case.signal(case.pooled, dtype, 1), output(dx_layout, case.count)
    seeds = [SEED] if fraction else []
    y_expected = op.reference(x, *seeds)
    y = output(y_layout, case.count)
    forward = kernels.IntervalMaxPool(fraction, x_layout, y_layout)
    call_kernel(forward, [activation(x, x_layout), *seeds, y], count=case.count, target=target)
    np.testing.assert_array_equal(written(y, y_layout, zero_beyond=False), y_expected)
    back = ops.FractionalMaxPoolBackward(op) if fraction else ops.AdaptiveMaxPoolBackward(op)
    backward = kernels.IntervalMaxPoolBackward(fraction, x_layout, y_layout, y_layout, dx_layout)
    inputs = [activation(x, x_layout), activation(y_expected, y_layout), gradient(dy, y_layout)]
    call_kernel(backward, [*inputs, *seeds, dx], count=case.count, target=target)
    assert_close(written(dx, layouts[2]), back.reference(x, y_expected, dy, *seeds))


@pytest.mark.parametrize("overlapping", [False, True])
def test_predictions_of_fractional_pooling_have_fixed_intervals(overlapping):
    op = ops.FractionalMaxPool((3, 4), overlapping)
    check_forward(
        CASES["2 axes"],
        "x86-64-v3",
        "float32",
        lambda x, y: kernels.IntervalMaxPool(kernels.Fraction(overlapping), x, y),
        op.reference,
        compare=np.testing.assert_array_equal,
    )


def test_a_window_with_nan_is_nan_and_has_no_gradient():
    target = target_named("x86-64-v3")
    layout, pooled = Layout(2, (5,), 8), Layout(2, (2,), 8)
    x = np.array([[[1, np.nan, 0, 2, 3], [4, 5, 6, 7, 8]]], np.float32)
    y, dx = output(pooled, 1), output(layout, 1)
    forward = kernels.IntervalMaxPool(None, layout, pooled)
    call_kernel(forward, [activation(x, layout), y], count=1, target=target)
    found = written(y, pooled, zero_beyond=False)
    np.testing.assert_array_equal(found, [[[np.nan, 3], [6, 8]]])
    backward = kernels.IntervalMaxPoolBackward(None, layout, pooled, pooled, layout)
    dy = np.ones((1, 2, 2), np.float32)
    inputs = [activation(x, layout), activation(found, pooled), gradient(dy, pooled)]
    call_kernel(backward, [*inputs, dx], count=1, target=target)
    np.testing.assert_array_equal(written(dx, layout), [[[0, 0, 0, 0, 1], [0, 0, 1, 0, 1]]])
