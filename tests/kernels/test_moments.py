"""Means and variances over a batch, and running statistics."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.moments import Moment, MomentsAccumulate, MomentsFinish
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.tensors import (
    MACHINES,
    layout_for,
    per_channel,
    random_array,
    stored,
    tolerance,
)

# channels, spatial, halo, samples of the convoys of each chunk
SHAPES = [
    (5, (), (), [[3, 2], [4]]),
    (33, (), (), [[1]]),
    (1, (7,), ((1, 2),), [[2, 1]]),
    (16, (300,), (), [[2, 1], [3], [1, 1]]),
    (3, (3, 5), ((1, 1), (1, 1)), [[2], [1]]),
    (17, (23, 3), ((0, 1), (2, 0)), [[9]]),
    (4, (2, 3, 5), (), [[2, 2]]),
]


def accumulate(x, layout, chunks, target=None):
    """Return the accumulators of all chunks, one after another, and their number."""
    kernel = MomentsAccumulate(layout)
    size = kernel.accumulator_size
    accumulators = aligned_zeros(size * len(chunks), layout.dtype)
    accumulators[:] = 7  # what an earlier batch left
    at = 0
    for i, convoys in enumerate(chunks):
        own = accumulators[i * size : (i + 1) * size]
        for j, count in enumerate(convoys):
            buffer = stored(x[at : at + count], layout, beyond=2)
            call_kernel(kernel, [buffer, own], count=count, fresh=j == 0, target=target)
            at += count
    assert at == len(x)
    return accumulators, np.array([len(chunks)])


def finish(x, layout, chunks, parameters, *, eps=1e-5, momentum=0.1, target=None):
    """Return the moments' rows; update the running statistics."""
    kernel = MomentsFinish(layout.channels, layout.lanes, layout.dtype, eps, momentum)
    block = aligned_zeros(len(Moment) * layout.stride, layout.dtype)
    sums = accumulate(x, layout, chunks, target)
    call_kernel(kernel, [*sums, *parameters, block], count=1, target=target)
    return block.reshape(len(Moment), layout.stride)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "spatial", "halo", "chunks"), SHAPES)
def test_moments_are_those_of_numpy(machine, channels, spatial, halo, chunks):
    layout = layout_for(machine, channels, spatial, halo)
    x = random_array(layout, sum(map(sum, chunks))) * 3 + 1
    weight, bias, mean, variance = random_array(layout_for(machine, channels, ()), 4, 1)
    parameters = [per_channel(v, layout) for v in (weight, bias, mean, variance)]
    rows = finish(x, layout, chunks, parameters, target=target_named(machine[0]))

    axes = (0, *range(2, x.ndim))
    exact = x.astype(np.longdouble)
    expected_mean, expected_variance = exact.mean(axis=axes), exact.var(axis=axes)
    invstd = 1 / np.sqrt(expected_variance + 1e-5)
    count = x.size // channels
    expected = {
        Moment.MEAN: expected_mean,
        Moment.VARIANCE: expected_variance,
        Moment.INVSTD: invstd,
        Moment.SCALE: weight * invstd,
        Moment.SHIFT: bias - expected_mean * weight * invstd,
        Moment.COUNT: count,
    }
    eps = tolerance(machine[1], 32)
    for row, values in expected.items():
        np.testing.assert_allclose(rows[row, :channels], values, rtol=eps, atol=eps)
    assert not rows[: Moment.COUNT, channels:].any()

    unbiased = expected_variance * count / max(count - 1, 1)
    for buffer, old, new in (
        (parameters[2], mean, expected_mean),
        (parameters[3], variance, unbiased),
    ):
        expected_running = old * 0.9 + new * 0.1
        np.testing.assert_allclose(buffer[:channels], expected_running, rtol=eps, atol=eps)
        assert not buffer[channels:].any()


@pytest.mark.parametrize("machine", MACHINES)
def test_a_large_mean_costs_no_digits_of_the_variance(machine):
    layout = layout_for(machine, 17, (40, 30), ((1, 1), (1, 1)))
    x = random_array(layout, 8) + np.asarray(1e4, machine[1])
    ones = [per_channel(np.ones(17), layout) for _ in range(2)]
    rows = finish(
        x, layout, [[3, 1], [4]], ones, eps=0.0, momentum=None, target=target_named(machine[0])
    )
    exact = x.astype(np.longdouble)
    eps = tolerance(machine[1], 32)
    np.testing.assert_allclose(rows[Moment.MEAN, :17], exact.mean(axis=(0, 2, 3)), rtol=eps / 8)
    np.testing.assert_allclose(rows[Moment.VARIANCE, :17], exact.var(axis=(0, 2, 3)), rtol=eps)


def test_a_first_value_far_from_all_others_does_no_harm():
    layout = Layout(4, (50, 20), 4)
    x = random_array(layout, 4) + np.float32(1e4)
    x[0, :, 0, 0] = 0
    ones = [per_channel(np.ones(4), layout) for _ in range(2)]
    rows = finish(x, layout, [[2], [2]], ones, momentum=None)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(rows[Moment.MEAN, :4], exact.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(rows[Moment.VARIANCE, :4], exact.var(axis=(0, 2, 3)), rtol=1e-4)


def test_one_value_has_no_variance():
    layout = Layout(3, (), 4)
    parameters = [per_channel(v, layout) for v in ([1] * 3, [0] * 3, [0] * 3, [1] * 3)]
    rows = finish(np.float32([[1, 2, 3]]), layout, [[1]], parameters)
    np.testing.assert_array_equal(rows[Moment.MEAN, :3], [1, 2, 3])
    np.testing.assert_array_equal(rows[Moment.VARIANCE, :3], 0)
    np.testing.assert_allclose(parameters[3][:3], 0.9)


def test_constant_channels_without_eps_keep_the_lanes_beyond_at_zero():
    layout = Layout(3, (5,), 4)
    parameters = [per_channel(v, layout) for v in ([1] * 3, [0] * 3)]
    rows = finish(np.ones((2, 3, 5), np.float32), layout, [[2]], parameters, eps=0.0, momentum=None)
    assert np.isinf(rows[Moment.INVSTD, :3]).all()
    assert not rows[: Moment.COUNT, 3:].any()


def test_empty_chunks_count_for_nothing():
    layout = Layout(3, (5,), 4)
    x = random_array(layout, 3)
    ones = [per_channel(np.ones(3), layout) for _ in range(2)]
    rows = finish(x, layout, [[0], [3], [0]], ones, momentum=None)
    np.testing.assert_allclose(rows[Moment.MEAN, :3], x.mean(axis=(0, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows[Moment.VARIANCE, :3], x.var(axis=(0, 2)), rtol=1e-5)
