"""Blurred and stochastic pooling, at every vector width, against their definitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from convoi import ops
from convoi.kernels import weighted_pool as kernels
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

SEED = np.array([2**40 + 17], np.uint64)
STREAM = 3


@dataclass(frozen=True)
class Case:
    channels: int
    spatial: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    count: int = 3

    @property
    def window(self):
        return (self.size, self.stride, self.padding)

    def layouts(self, lanes, dtype):
        """Return the layouts of the input, the output and the input's gradient."""
        pooled = ops.BlurPool(*self.window).infer_shape((1, *self.spatial))[1:]
        rank = len(self.spatial)
        x = Layout(self.channels, self.spatial, lanes, dtype, ((1, 2),) * rank)
        y = Layout(self.channels, pooled, lanes, dtype, ((2, 0),) * rank)
        return x, y, Layout(self.channels, self.spatial, lanes, dtype)


CASES = {
    "3x3 same": Case(5, (7, 6), (3, 3), (2, 2), ((1, 1), (0, 1))),
    "wide": Case(33, (11, 9), (8, 7), (2, 1), ((3, 4), (3, 3)), count=2),
    "1 axis": Case(1, (15,), (5,), (4,), ((2, 2),)),
    "3 axes": Case(4, (3, 4, 4), (2, 2, 2), (2, 1, 2), ((0, 0), (1, 1), (0, 0))),
    "nothing": Case(3, (4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), count=0),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def signal(case, spatial, dtype, seed=0):
    shape = (case.count, case.channels, *spatial)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@every_machine
@every_case
def test_blurred_pooling_and_its_gradient_are_the_definition(case, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    x_layout, y_layout, dx_layout = case.layouts(lanes, dtype)
    x, dy = signal(case, case.spatial, dtype), signal(case, y_layout.spatial, dtype, 1)
    op = ops.BlurPool(*case.window)
    y, dx = output(y_layout, case.count), output(dx_layout, case.count)
    forward = kernels.BlurPool(x_layout, y_layout, *case.window)
    call_kernel(forward, [activation(x, x_layout), y], count=case.count, target=target)
    assert_close(written(y, y_layout, zero_beyond=False), op.reference(x))
    backward = kernels.BlurPoolBackward(y_layout, dx_layout, *case.window)
    call_kernel(backward, [gradient(dy, y_layout), dx], count=case.count, target=target)
    expected = ops.BlurPoolBackward(op, (case.channels, *case.spatial)).reference(dy)
    assert_close(written(dx, dx_layout), expected)


@every_machine
@every_case
def test_stochastic_pooling_takes_the_same_values_to_the_bit(case, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    x_layout, y_layout, dx_layout = case.layouts(lanes, dtype)
    x, dy = signal(case, case.spatial, dtype), signal(case, y_layout.spatial, dtype, 1)
    op = ops.StochasticPoolSampled(*case.window, STREAM)
    y, dx = output(y_layout, case.count), output(dx_layout, case.count)
    forward = kernels.StochasticPoolSampled(*case.window, STREAM, x_layout, y_layout)
    call_kernel(forward, [activation(x, x_layout), SEED, y], count=case.count, target=target)
    np.testing.assert_array_equal(written(y, y_layout, zero_beyond=False), op.reference(x, SEED[0]))
    backward = kernels.StochasticPoolBackward(*case.window, STREAM, x_layout, y_layout, dx_layout)
    inputs = [activation(x, x_layout), gradient(dy, y_layout), SEED]
    call_kernel(backward, [*inputs, dx], count=case.count, target=target)
    expected = ops.StochasticPoolBackward(op).reference(x, dy, SEED[0])
    assert_close(written(dx, dx_layout), expected)


@every_machine
@every_case
def test_predictions_of_stochastic_pooling_are_the_definition(case, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    x_layout, y_layout, _ = case.layouts(lanes, dtype)
    x, y = signal(case, case.spatial, dtype), output(y_layout, case.count)
    kernel = kernels.StochasticPool(x_layout, y_layout, *case.window)
    call_kernel(kernel, [activation(x, x_layout), y], count=case.count, target=target)
    expected = ops.StochasticPool(*case.window).reference(x)
    assert_close(written(y, y_layout, zero_beyond=False), expected)


def test_the_sample_number_counts_from_the_batch_on():
    case, target = CASES["3x3 same"], target_named("x86-64-v3")
    x_layout, y_layout, _ = case.layouts(8, "float32")
    x, y = signal(case, case.spatial, "float32"), output(y_layout, 1)
    kernel = kernels.StochasticPoolSampled(*case.window, STREAM, x_layout, y_layout)
    call_kernel(kernel, [activation(x[2:], x_layout), SEED, y], count=1, first=2, target=target)
    expected = ops.StochasticPoolSampled(*case.window, STREAM).reference(x, SEED[0])
    np.testing.assert_array_equal(written(y, y_layout, zero_beyond=False), expected[2:])


def test_nothing_positive_is_zero_and_what_is_not_finite_is_nan():
    target = target_named("x86-64-v3")
    layout, pooled = Layout(1, (6,), 4), Layout(1, (3,), 4)
    x, y = np.array([[[-1, 0, np.inf, 1, np.nan, 2]]], np.float32), output(pooled, 1)
    kernel = kernels.StochasticPoolSampled((2,), (2,), ((0, 0),), STREAM, layout, pooled)
    call_kernel(kernel, [activation(x, layout), SEED, y], count=1, target=target)
    np.testing.assert_array_equal(written(y, pooled, zero_beyond=False)[0, 0], [0, np.nan, np.nan])
