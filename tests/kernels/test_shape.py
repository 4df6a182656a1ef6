from __future__ import annotations

import math

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.shape import CopyPositions, Flatten, Unflatten
from tests.kernels.harness import call_kernel
from tests.kernels.support import activation, every_machine, gradient, machine, output, written


def signal(shape, dtype):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@every_machine
@pytest.mark.parametrize(
    ("channels", "padding", "count"),
    [
        (5, (), 2),
        (1, ((2, 1),), 3),
        (17, ((1, 2), (0, 3)), 2),
        (16, ((0, 0), (1, 1)), 1),
        (3, ((1, 0), (2, 1), (0, 2)), 2),
        (4, ((3, 3), (1, 1)), 0),
    ],
)
def test_positions_are_padded_with_zeros_and_cropped_again(channels, padding, count, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    inner = (4, 3, 5)[: len(padding)]
    outer = tuple(n + lo + hi for n, (lo, hi) in zip(inner, padding, strict=True))
    small = Layout(channels, inner, lanes, dtype, ((1, 1),) * len(inner))
    large = Layout(channels, outer, lanes, dtype, ((0, 2),) * len(inner))
    low = tuple(lo for lo, _ in padding)
    x = signal((count, channels, *inner), dtype)
    expected = np.pad(x, ((0, 0), (0, 0), *padding))

    y = output(large, count)
    call_kernel(
        CopyPositions(small, large, low), [gradient(x, small), y], count=count, target=target
    )
    np.testing.assert_array_equal(written(y, large), expected)

    back = output(small, count)
    crop = CopyPositions(large, small, tuple(-lo for lo in low))
    call_kernel(crop, [y, back], count=count, target=target)
    np.testing.assert_array_equal(written(back, small), x)


@pytest.mark.parametrize("offset", [-9, -2, 2, 9])
def test_positions_moved_out_of_the_target_are_lost(offset):
    source, shifted = Layout(3, (5,), 4), Layout(3, (6,), 4)
    x, y = signal((1, 3, 5), "float32"), output(shifted, 1)
    target, _ = machine("x86-64-v2", "float32")
    kernel = CopyPositions(source, shifted, (offset,))
    call_kernel(kernel, [gradient(x, source), y], count=1, target=target)
    padded = np.pad(x, ((0, 0), (0, 0), (10, 10)))
    np.testing.assert_array_equal(written(y, shifted), padded[..., 10 - offset : 16 - offset])


def test_positions_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        CopyPositions(Layout(5, (2,), 4), Layout(3, (2,), 4), (0,))


@every_machine
@pytest.mark.parametrize(
    ("shape", "halo", "count"),
    [
        ((5,), (), 2),
        ((33,), (), 1),
        ((1, 7), ((1, 1),), 2),
        ((3, 2, 2), (), 3),
        ((17, 5, 5), (), 2),
        ((16, 4, 4), (), 1),
        ((4, 6, 21), ((1, 2), (3, 0)), 2),
        ((15, 3, 4, 5), ((0, 1), (0, 0), (0, 0)), 1),
        ((3, 2, 2, 3), ((0, 0), (1, 2), (0, 0)), 2),
        ((5, 2), (), 0),
    ],
    ids=str,
)
def test_flattening_is_in_c_order_and_can_be_undone(shape, halo, count, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    channels, *spatial = shape
    grid = Layout(channels, tuple(spatial), lanes, dtype, halo)
    flat = Layout(math.prod(shape), (), lanes, dtype)
    x = signal((count, *shape), dtype)

    y = output(flat, count)
    call_kernel(Flatten(grid, flat), [activation(x, grid), y], count=count, target=target)
    np.testing.assert_array_equal(written(y, flat), x.reshape(count, flat.channels))

    back = output(grid, count)
    call_kernel(Unflatten(flat, grid), [y, back], count=count, target=target)
    np.testing.assert_array_equal(written(back, grid), x)


def test_flattening_takes_layouts_without_padding():
    target, _ = machine("x86-64-v3", "float32")
    for channels in (1, 3):
        grid, flat = Layout(channels, (3, 9), 1), Layout(27 * channels, (), 8)
        x, y, back = signal((2, channels, 3, 9), "float32"), output(flat, 2), output(grid, 2)
        call_kernel(Flatten(grid, flat), [activation(x, grid), y], count=2, target=target)
        np.testing.assert_array_equal(written(y, flat), x.reshape(2, -1))
        call_kernel(Unflatten(flat, grid), [y, back], count=2, target=target)
        np.testing.assert_array_equal(written(back, grid), x)
