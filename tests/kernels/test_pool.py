from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.lp_pool import LpPool, LpPoolBackward
from convoi.kernels.pool import AveragePool, AveragePoolBackward, MaxPool, MaxPoolBackward
from convoi.kernels.windows import Windows
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


@dataclass(frozen=True)
class Case:
    channels: int
    spatial: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    halo: tuple[tuple[int, int], ...] = ()
    count: int = 2

    @property
    def pooled(self):
        return tuple(
            (x + sum(p) - r) // s + 1
            for x, r, s, p in zip(self.spatial, self.size, self.stride, self.padding, strict=True)
        )

    def layouts(self, lanes, dtype):
        x = Layout(self.channels, self.spatial, lanes, dtype, self.halo)
        # The gradients lie differently from the activations.
        dx = Layout(self.channels, self.spatial, lanes, dtype, ((1, 2),) * len(self.spatial))
        y = Layout(self.channels, self.pooled, lanes, dtype, ((2, 1),) * len(self.spatial))
        dy = Layout(self.channels, self.pooled, lanes, dtype)
        return x, dx, y, dy

    @property
    def window(self):
        return {"size": self.size, "stride": self.stride, "padding": self.padding}

    def windows(self):
        """Yield (index of an output position, slices of the input that its window sees)."""
        for p in itertools.product(*map(range, self.pooled)):
            starts = [
                i * s - lo for i, s, (lo, _) in zip(p, self.stride, self.padding, strict=True)
            ]
            yield (
                (..., *p),
                tuple(slice(max(0, a), a + r) for a, r in zip(starts, self.size, strict=True)),
            )

    def signal(self, shape, dtype, seed=0):
        return (
            np.random.default_rng(seed)
            .normal(size=(self.count, self.channels, *shape))
            .astype(dtype)
        )


CASES = {
    "2x2": Case(5, (6, 8), (2, 2), (2, 2), ((0, 0), (0, 0))),
    "2x2 with a tail": Case(17, (7, 5), (2, 2), (2, 2), ((0, 0), (0, 0)), ((1, 0), (0, 1))),
    "2x2 padded": Case(16, (5, 4), (2, 2), (2, 2), ((1, 0), (1, 1))),
    "3x3 overlapping": Case(33, (6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), count=1),
    "3x3 stride 2": Case(15, (7, 8), (3, 3), (2, 2), ((0, 1), (1, 1)), ((1, 1), (1, 1)), count=3),
    "gaps": Case(3, (9, 8), (2, 1), (3, 2), ((1, 0), (0, 0))),
    "many gaps": Case(4, (15,), (1,), (2,), ((0, 0),)),
    "1 axis": Case(1, (11,), (3,), (3,), ((1, 2),)),
    "3 axes": Case(4, (3, 4, 5), (2, 2, 2), (1, 2, 2), ((0, 0), (1, 1), (0, 1))),
    "no axes": Case(17, (), (), (), ()),
    "global": Case(33, (9, 11), (9, 11), (9, 11), ((0, 0), (0, 0)), ((1, 1), (0, 0))),
    "global 1 axis": Case(3, (67,), (67,), (1,), ((0, 0),)),
    "large and clipped": Case(5, (9, 10), (7, 9), (2, 1), ((3, 2), (5, 4))),
    "large and not overlapping": Case(16, (13, 7), (6, 7), (6, 7), ((2, 3), (0, 0))),
    "nothing": Case(5, (4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), count=0),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def reduced(case, x, function):
    y = np.zeros((*x.shape[:2], *case.pooled), x.dtype)
    axes = tuple(range(2, x.ndim))
    for at, seen in case.windows():
        y[at] = function(x[(..., *seen)], axes)
    return y


def max_pool_gradient(case, x, dy):
    dx = np.zeros_like(x)
    for at, seen in case.windows():
        block = x[(..., *seen)]
        taps = math.prod(block.shape[2:])
        flat = block.reshape(*block.shape[:2], taps)
        first = np.arange(taps) == flat.argmax(axis=-1)[..., None]
        dx[(..., *seen)] += (first * dy[at][..., None]).reshape(block.shape)
    return dx


@every_machine
@every_case
def test_max_pool_is_the_largest_value_of_each_window(case, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    layout, _, pooled, _ = case.layouts(lanes, dtype)
    x, y = case.signal(case.spatial, dtype), output(pooled, case.count)
    kernel = MaxPool(layout, pooled, **case.window)
    call_kernel(kernel, [activation(x, layout), y], count=case.count, target=target)
    np.testing.assert_array_equal(written(y, pooled, zero_beyond=False), reduced(case, x, np.max))


@pytest.mark.parametrize("name", ["2x2", "3x3 overlapping", "global", "large and clipped"])
def test_max_pool_propagates_nan_and_takes_infinities(name):
    case, target = CASES[name], target_named("x86-64-v3")
    layout, _, pooled, _ = case.layouts(8, "float32")
    x = case.signal(case.spatial, "float32")
    special = np.random.default_rng(1).random(x.shape)
    x[special < 0.6] = -np.inf
    x[special < 0.1] = np.nan
    y = output(pooled, case.count)
    kernel = MaxPool(layout, pooled, **case.window)
    call_kernel(kernel, [activation(x, layout), y], count=case.count, target=target)
    np.testing.assert_array_equal(written(y, pooled, zero_beyond=False), reduced(case, x, np.max))


@every_machine
@every_case
def test_max_pool_gradient_goes_to_the_first_maximum(case, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    layout, dx_layout, pooled, dy_layout = case.layouts(lanes, dtype)
    x = case.signal(case.spatial, dtype).round()  # Rounding makes equal maxima.
    y, dy = reduced(case, x, np.max), case.signal(case.pooled, dtype, seed=1)
    dx = output(dx_layout, case.count)
    kernel = MaxPoolBackward(layout, pooled, dy_layout, dx_layout, **case.window)
    inputs = [activation(x, layout), activation(y, pooled), gradient(dy, dy_layout)]
    call_kernel(kernel, [*inputs, dx], count=case.count, target=target)
    assert_close(written(dx, dx_layout), max_pool_gradient(case, x, dy))


@pytest.mark.parametrize("name", ["2x2", "3x3 overlapping", "global"])
def test_max_pool_gradient_passes_a_fused_relu(name):
    case, target = CASES[name], target_named("x86-64-v3")
    layout, dx_layout, pooled, dy_layout = case.layouts(8, "float32")
    x = np.maximum(case.signal(case.spatial, "float32") - 1, 0)
    y, dy = reduced(case, x, np.max), case.signal(case.pooled, "float32", seed=1)
    dx = output(dx_layout, case.count)
    kernel = MaxPoolBackward(layout, pooled, dy_layout, dx_layout, **case.window, relu=True)
    inputs = [activation(x, layout), activation(y, pooled), gradient(dy, dy_layout)]
    call_kernel(kernel, [*inputs, dx], count=case.count, target=target)
    assert_close(written(dx, dx_layout), max_pool_gradient(case, x, dy) * (x > 0))


def test_max_pool_gradient_of_a_window_of_nan_is_zero():
    case, target = CASES["2x2"], target_named("x86-64-v3")
    layout, dx_layout, pooled, dy_layout = case.layouts(8, "float32")
    x = case.signal(case.spatial, "float32")
    x[:, :, 0, 0] = np.nan
    y, dy = reduced(case, x, np.max), case.signal(case.pooled, "float32", seed=1)
    dx = output(dx_layout, case.count)
    kernel = MaxPoolBackward(layout, pooled, dy_layout, dx_layout, **case.window)
    inputs = [activation(x, layout), activation(y, pooled), gradient(dy, dy_layout)]
    call_kernel(kernel, [*inputs, dx], count=case.count, target=target)
    assert np.all(written(dx, dx_layout)[:, :, :2, :2] == 0)


def average_counts(case, count_padding):
    size = np.prod(case.size, dtype=int)
    inside = reduced(case, np.ones((1, 1, *case.spatial)), np.sum)
    return np.full_like(inside, size) if count_padding else inside


@every_machine
@every_case
def test_average_pool_is_the_mean_of_each_window(case, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    layout, _, pooled, _ = case.layouts(lanes, dtype)
    x, y = case.signal(case.spatial, dtype), output(pooled, case.count)
    count_padding = cpu == "x86-64-v2"
    kernel = AveragePool(layout, pooled, **case.window, count_padding=count_padding)
    call_kernel(kernel, [activation(x, layout), y], count=case.count, target=target)
    expected = reduced(case, x, np.sum) / average_counts(case, count_padding)
    assert_close(written(y, pooled, zero_beyond=False), expected)


@every_machine
@every_case
def test_average_pool_gradient_is_shared_among_the_positions(case, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    _, dx_layout, _, dy_layout = case.layouts(lanes, dtype)
    dy, dx = case.signal(case.pooled, dtype), output(dx_layout, case.count)
    count_padding = cpu == "x86-64-v4"
    kernel = AveragePoolBackward(dy_layout, dx_layout, **case.window, count_padding=count_padding)
    call_kernel(kernel, [gradient(dy, dy_layout), dx], count=case.count, target=target)
    shares = dy / average_counts(case, count_padding)
    expected = np.zeros((case.count, case.channels, *case.spatial))
    for at, seen in case.windows():
        view = expected[(..., *seen)]
        view += shares[at].reshape(*view.shape[:2], *(1,) * len(seen))
    assert_close(written(dx, dx_layout), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("name", ["2x2 padded", "3x3 stride 2", "large and clipped", "1 axis"])
def test_lp_pool_is_the_norm_of_each_window(name, p, dtype):
    case = CASES[name]
    target, lanes = machine("x86-64-v3", dtype)
    layout, dx_layout, pooled, dy_layout = case.layouts(lanes, dtype)
    x = case.signal(case.spatial, dtype)
    x[:, :, :2] = 0  # Some windows have the norm zero.
    y = output(pooled, case.count)
    kernel = LpPool(layout, pooled, **case.window, p=p)
    call_kernel(kernel, [activation(x, layout), y], count=case.count, target=target)
    norms = reduced(case, np.abs(x.astype("float64")) ** p, np.sum) ** (1 / p)
    assert_close(written(y, pooled, zero_beyond=False), norms)

    dy, dx = case.signal(case.pooled, dtype, seed=1), output(dx_layout, case.count)
    back = LpPoolBackward(layout, pooled, dy_layout, dx_layout, **case.window, p=p)
    inputs = [activation(x, layout), activation(norms, pooled), gradient(dy, dy_layout)]
    call_kernel(back, [*inputs, dx], count=case.count, target=target)
    expected = np.zeros(x.shape)
    for at, seen in case.windows():
        values = x[(..., *seen)].astype("float64")
        wide = (*values.shape[:2], *(1,) * len(seen))
        norm = np.where(norms[at] == 0, 1, norms[at]).reshape(wide)
        slope = np.sign(values) * (np.abs(values) / norm) ** (p - 1)
        expected[(..., *seen)] += slope * dy[at].reshape(wide)
    assert_close(written(dx, dx_layout), expected)


def test_pooling_refuses_layouts_whose_channels_lie_differently():
    x, y = Layout(5, (4,), 8), Layout(5, (2,), 4)
    with pytest.raises(ValueError, match="keeps channels, lanes and dtype"):
        Windows((x,), (y,), (2,), (2,), ((0, 0),))
