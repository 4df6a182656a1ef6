"""The gradient of a bias."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.channel_sum import ChannelSumAccumulate
from convoi.kernels.layout import Layout
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.tensors import MACHINES, layout_for, random_array, stored, tolerance

# channels, spatial, halo, samples
SHAPES = [
    (5, (), (), 3),
    (33, (), (), 1),
    (1, (7,), ((1, 2),), 2),
    (16, (300,), (), 2),
    (3, (3, 5), ((1, 1), (1, 1)), 2),
    (17, (23, 3), ((0, 1), (2, 0)), 9),
    (4, (2, 3, 5), (), 2),
    (15, (2, 2, 2), (), 0),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "spatial", "halo", "count"), SHAPES)
def test_sums_are_those_of_numpy(machine, channels, spatial, halo, count):
    layout = layout_for(machine, channels, spatial, halo)
    kernel = ChannelSumAccumulate(layout)
    dy = random_array(layout, count)
    accumulator = aligned_zeros(kernel.accumulator_size, layout.dtype)
    accumulator[: layout.stride] = 99
    buffers = [stored(dy, layout), accumulator]
    call_kernel(kernel, buffers, count=count, target=target_named(machine[0]))
    expected = dy.astype(np.float64).sum(axis=(0, *range(2, dy.ndim)))
    rtol = tolerance(machine[1])
    np.testing.assert_allclose(accumulator[:channels], expected, rtol=rtol, atol=64 * rtol)
    assert not accumulator[channels:].any()


def test_sums_go_on_unless_they_are_fresh():
    layout = Layout(5, (4,), 8)
    kernel = ChannelSumAccumulate(layout)
    accumulator = aligned_zeros(kernel.accumulator_size)
    one = stored(np.ones((1, 5, 4), np.float32), layout)
    for fresh, total in ((True, 4), (False, 8), (False, 12), (True, 4)):
        call_kernel(kernel, [one, accumulator], count=1, fresh=fresh)
        np.testing.assert_array_equal(accumulator[:5], total)
    call_kernel(kernel, [one, accumulator], count=0, fresh=True)
    assert not accumulator.any()


def test_many_channels_take_several_groups():
    layout = Layout(150, (3, 2), 8)
    kernel = ChannelSumAccumulate(layout)
    dy = random_array(layout, 4)
    accumulator = aligned_zeros(kernel.accumulator_size)
    call_kernel(kernel, [stored(dy, layout), accumulator], count=4)
    np.testing.assert_allclose(accumulator[:150], dy.sum(axis=(0, 2, 3)), rtol=1e-5, atol=1e-5)


def test_long_sums_keep_their_precision():
    layout = Layout(3, (2**18,), 4)
    dy = np.full((1, 3, 2**18), 0.1, np.float32)
    kernel = ChannelSumAccumulate(layout)
    accumulator = aligned_zeros(kernel.accumulator_size)
    call_kernel(kernel, [stored(dy, layout), accumulator], count=1)
    np.testing.assert_allclose(accumulator[:3], dy.astype(float).sum(axis=(0, 2)), rtol=2e-5)
