"""Moments that the direct kernel finds while it stores, against those of what it has stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convoi.compiler import choose
from convoi.compiler.layouts import forward_axes
from convoi.kernels.correlate import Correlate
from convoi.kernels.epilogue_sums import EpilogueMoments
from convoi.kernels.expression import Expression, Sum
from convoi.kernels.grid import reaches
from convoi.kernels.layout import Layout
from convoi.kernels.moments import Moment, MomentsAccumulate, MomentsFinish
from convoi.kernels.weights import WeightLayout
from convoi.ops import ReLU
from convoi.runtime.buffers import aligned_zeros
from tests.cases import conv
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.tensors import (
    MACHINES,
    chunk_moments,
    inside,
    layout_for,
    per_channel,
    random_array,
    stored,
    tolerance,
)

# channels, filters, spatial, kernel, stride, samples of the convoys of a chunk
SHAPES = [
    (33, 5, (), (), 1, [7, 3]),
    (3, 17, (40,), (9,), 1, [1, 2]),
    (5, 33, (11, 13), (3, 3), 2, [2, 1]),
    (4, 130, (6, 5), (1, 1), 1, [2, 2]),
]


def padding_of(size):
    """Return the padding that keeps odd kernels' extents."""
    return tuple((n // 2, n // 2) for n in size)


def direct_kernel(machine, channels, filters, spatial, kernel, stride=1):
    """Return a kernel that adds a bias and a tensor, and how weights are packed for it."""
    op = conv(filters, kernel, stride=stride, padding=padding_of(kernel))
    axes = forward_axes(op, spatial)
    y = layout_for(machine, filters, op.infer_shape((channels, *spatial))[1:])
    choice = choose.correlate_choice(y, axes, target_named(machine[0]))
    taps = int(np.prod(kernel, dtype=int))
    weights = WeightLayout(filters, channels, taps, 1, y.lanes, choice.blocks)
    x = Layout(channels, spatial, 1, machine[1], reaches(axes, spatial))
    beside = replace(y, halo=((1, 0),) * len(spatial))
    epilogue = Expression(2).then(Sum(), 0, 1)
    return Correlate(
        x, y, weights, axes, kernel, choice.tile, bias=True, epilogue=epilogue, tensors=(beside,)
    )


def packed(weight, kernel):
    """Return weights ``(K, C, *taps)`` as a kernel reads them."""
    indices = kernel.weights.forward_indices()
    memory = aligned_zeros(indices.size, kernel.y.dtype)
    memory[:] = np.append(weight.ravel(), 0)[indices]
    return memory


def run(kernel, x, weight, bias, beside, convoys, target=None):
    """Return what a kernel stores in calls for some samples each, and the chunk's accumulator."""
    accumulator = aligned_zeros(MomentsAccumulate(kernel.y).accumulator_size, kernel.y.dtype)
    accumulator[:] = 7  # what an earlier batch left
    values, at = [], 0
    for i, count in enumerate(convoys):
        some = slice(at, at + count)
        y = aligned_zeros(max(count, 1) * kernel.y.size, kernel.y.dtype)
        buffers = [
            stored(x[some], kernel.x),
            packed(weight, kernel),
            per_channel(bias, kernel.y),
            stored(beside[some], kernel.tensors[0]),
            y,
            accumulator,
        ]
        call_kernel(kernel, buffers, count=count, fresh=i == 0, target=target)
        values.append(inside(y, kernel.y)[:count, ..., : kernel.y.channels].copy())
        at += count
    return np.concatenate(values), accumulator


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "filters", "spatial", "size", "stride", "convoys"), SHAPES)
def test_moments_are_those_of_what_is_stored(
    machine, channels, filters, spatial, size, stride, convoys
):
    target = target_named(machine[0])
    kernel = direct_kernel(machine, channels, filters, spatial, size, stride)
    relu = kernel.epilogue.then(ReLU(), -1)
    kernel = replace(kernel, epilogue=relu, sums=EpilogueMoments())
    x = random_array(kernel.x, sum(convoys))
    weight = np.random.default_rng(1).standard_normal((filters, channels, *size))
    (bias,) = random_array(layout_for(machine, filters, ()), 1, 2)
    beside = random_array(kernel.y, len(x), 3)
    y, accumulator = run(kernel, x, weight, bias, beside, convoys, target)
    op = conv(filters, size, stride=stride, padding=padding_of(size))
    linear = op.reference(x.astype(float), weight, bias.astype(float))
    eps = tolerance(machine[1], 64)
    wanted = np.moveaxis(np.maximum(linear + beside, 0), 1, -1)
    np.testing.assert_allclose(y, wanted, rtol=eps, atol=eps)

    exact = y.astype(np.longdouble).reshape(-1, filters)
    count, mean, variance = chunk_moments(accumulator, kernel.y)
    assert (count == len(exact)).all()
    eps = tolerance(machine[1], 32)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=eps, atol=eps)
    np.testing.assert_allclose(variance, exact.var(axis=0), rtol=eps, atol=eps)


def copying(machine, channels, spatial):
    """Return a kernel that stores its input, and the weights and numbers with which it does."""
    kernel = direct_kernel(machine, channels, channels, spatial, (1,) * len(spatial))
    weight = np.eye(channels).reshape(channels, channels, *(1,) * len(spatial))
    return replace(kernel, sums=EpilogueMoments()), weight, np.zeros(channels)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_large_mean_costs_no_digits_of_the_variance(machine):
    kernel, weight, bias = copying(machine, 17, (40, 30))
    x = random_array(kernel.x, 8) + np.asarray(1e4, machine[1])
    target = target_named(machine[0])
    y, accumulator = run(kernel, x, weight, bias, np.zeros_like(x), [3, 1, 4], target)
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1), x)
    exact = x.astype(np.longdouble)
    eps = tolerance(machine[1], 32)
    _, mean, variance = chunk_moments(accumulator, kernel.y)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=eps / 8)
    np.testing.assert_allclose(variance, exact.var(axis=(0, 2, 3)), rtol=eps)


def test_a_first_value_far_from_all_others_does_no_harm():
    kernel, weight, bias = copying(("x86-64-v2", "float32"), 4, (50, 20))
    x = random_array(kernel.x, 4) + np.float32(1e4)
    x[0, :, 0, 0] = 0
    _, accumulator = run(kernel, x, weight, bias, np.zeros_like(x), [2, 2])
    exact = x.astype(np.float64)
    _, mean, variance = chunk_moments(accumulator, kernel.y)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(axis=(0, 2, 3)), rtol=1e-4)


def test_a_constant_channel_has_no_variance():
    kernel, weight, bias = copying(("x86-64-v2", "float32"), 3, (9, 5))
    x = np.full((3, 3, 9, 5), 0.1, np.float32)
    _, accumulator = run(kernel, x, weight, bias, np.zeros_like(x), [1, 2])
    _, mean, variance = chunk_moments(accumulator, kernel.y)
    np.testing.assert_array_equal(mean, np.float32(0.1))
    np.testing.assert_array_equal(variance, 0)


def test_chunks_are_merged_by_the_kernel_that_finishes_those_of_passes():
    machine = ("x86-64-v2", "float32")
    kernel, weight, bias = copying(machine, 5, (30,))
    x = random_array(kernel.x, 6) * 2 + 3
    zeros = np.zeros_like(x)
    chunks = [(x[:0], [0]), (x[:4], [3, 1]), (x[4:], [2])]
    parts = [run(kernel, some, weight, bias, zeros, convoys)[1] for some, convoys in chunks]
    accumulators = aligned_zeros(sum(map(len, parts)))
    accumulators[:] = np.concatenate(parts)
    finish = MomentsFinish(5, kernel.y.lanes, "float32", 1e-5, None)
    block = aligned_zeros(len(Moment) * kernel.y.stride)
    vectors = [per_channel(v, kernel.y) for v in (np.ones(5), np.zeros(5))]
    call_kernel(finish, [accumulators, np.array([3]), *vectors, block], count=1)
    rows = block.reshape(len(Moment), -1)[:, :5]
    np.testing.assert_allclose(rows[Moment.MEAN], x.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(rows[Moment.VARIANCE], x.var(axis=(0, 2)), rtol=1e-6)
