"""Batch normalisation forward and backward."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.expression import Derivative, Expression
from convoi.kernels.layout import Layout
from convoi.kernels.moments import Moment
from convoi.kernels.norm import (
    Coefficient,
    GradientSumsAccumulate,
    GradientSumsFinish,
    Normalize,
    NormBackward,
)
from convoi.kernels.pointwise import Channels, Pointwise, Tensor
from convoi.ops.batchnorm import BatchNormalize, BatchNormBackward, BatchNormGradientSums
from convoi.ops.pointwise import ReLU
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.tensors import (
    MACHINES,
    layout_for,
    per_channel,
    random_array,
    read,
    stored,
    tolerance,
    unwritten,
)

EPS = 1e-5

# channels, spatial, halo of x, halo of dy, samples of each chunk
SHAPES = [
    (5, (), (), (), [3, 4]),
    (33, (), (), (), [6]),
    (1, (7,), ((1, 2),), (), [2, 1]),
    (16, (300,), (), (), [2, 3, 1]),
    (3, (3, 5), (), ((1, 1), (1, 1)), [2, 1]),
    (17, (23, 3), ((0, 1), (2, 0)), ((0, 1), (2, 0)), [5]),
    (4, (2, 3, 5), (), (), [2, 2]),
]


def moments_block(x, weight, layout):
    """Return the block of moments and, apart, mean and variance in float64."""
    axes = (0, *range(2, x.ndim))
    exact = x.astype(np.float64)
    mean, variance = exact.mean(axis=axes), exact.var(axis=axes)
    block = aligned_zeros(len(Moment) * layout.stride, layout.dtype)
    rows = block.reshape(len(Moment), layout.stride)
    own = slice(layout.channels)
    rows[Moment.MEAN, own] = mean
    rows[Moment.VARIANCE, own] = variance
    rows[Moment.INVSTD, own] = 1 / np.sqrt(variance + EPS)
    rows[Moment.SCALE, own] = weight / np.sqrt(variance + EPS)
    rows[Moment.COUNT] = x.size // layout.channels
    return block, np.stack([mean, variance])


def gradient_sums(kernel, arrays, layouts, block, chunks, *, stored_gradient=None, target=None):
    """Run the accumulation over chunks; return accumulators and their number."""
    size = kernel.accumulator_size
    accumulators = aligned_zeros(size * len(chunks), block.dtype.name)
    accumulators[:] = 7
    at = 0
    for i, count in enumerate(chunks):
        own = accumulators[i * size : (i + 1) * size]
        for j, convoy in enumerate(part for part in (count // 2, count - count // 2) if part):
            x, *sources = (
                stored(a[at : at + convoy], layout)
                for a, layout in zip(arrays, layouts, strict=True)
            )
            outputs = []
            if stored_gradient is not None:
                outputs = [stored_gradient[at * kernel.gradient.size :]]
            buffers = [x, block, *sources, *outputs, own]
            call_kernel(kernel, buffers, count=convoy, fresh=j == 0, target=target)
            at += convoy
    return accumulators, np.array([len(chunks)])


def gradient_blocks(layout, sums, block, target=None):
    """Run the finishing kernel; return the gradients of weight and bias, and coefficients."""
    kernel = GradientSumsFinish(layout.channels, layout.lanes, layout.dtype)
    dweight, dbias = (aligned_zeros(layout.stride, layout.dtype) for _ in range(2))
    coefficients = aligned_zeros(len(Coefficient) * layout.stride, layout.dtype)
    call_kernel(kernel, [*sums, block, dweight, dbias, coefficients], count=1, target=target)
    return dweight, dbias, coefficients


def backward(layout, dy_layout, buffers, block, coefficients, count, target=None):
    """Run the backward pass on the buffers of g and x; return dx."""
    rows = (Moment.MEAN, Moment.SCALE)
    vectors = [block[row * layout.stride :] for row in rows]
    vectors += [coefficients[row * layout.stride :] for row in Coefficient]
    sources = (Tensor(dy_layout), Tensor(layout), *(Channels(),) * 4)
    kernel = Pointwise(Expression(6).then(NormBackward(), *range(6)), sources, layout)
    dx = unwritten(count, layout)
    call_kernel(kernel, [*buffers, *vectors, dx], count=count, target=target)
    return read(dx, layout, count, beyond=0)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "spatial", "halo", "dy_halo", "chunks"), SHAPES)
def test_gradients_are_those_of_the_definition(machine, channels, spatial, halo, dy_halo, chunks):
    target = target_named(machine[0])
    layout = layout_for(machine, channels, spatial, halo)
    dy_layout = layout_for(machine, channels, spatial, dy_halo)
    count = sum(chunks)
    x = random_array(layout, count) * 2 + 3
    dy = random_array(dy_layout, count, 1)
    (weight,) = random_array(layout_for(machine, channels, ()), 1, 2)
    block, moments = moments_block(x, weight, layout)

    kernel = GradientSumsAccumulate(layout, Expression(1), (Tensor(dy_layout),))
    sums = gradient_sums(kernel, [x, dy], [layout, dy_layout], block, chunks, target=target)
    dweight, dbias, coefficients = gradient_blocks(layout, sums, block, target)
    wide = [a.astype(np.float64) for a in (x, moments, dy)]
    expected_sums = BatchNormGradientSums(EPS).reference(*wide)
    eps = tolerance(machine[1], 64)
    np.testing.assert_allclose(dbias[:channels], expected_sums[0], rtol=eps, atol=eps)
    np.testing.assert_allclose(dweight[:channels], expected_sums[1], rtol=eps, atol=eps)
    assert not dweight[channels:].any()
    assert not dbias[channels:].any()

    buffers = [stored(dy, dy_layout), stored(x, layout, beyond=2)]
    dx = backward(layout, dy_layout, buffers, block, coefficients, count, target)
    expected = BatchNormBackward(EPS).reference(*wide, expected_sums, weight)
    np.testing.assert_allclose(dx, expected, rtol=eps, atol=eps)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_derivative_of_an_activation_is_fused_and_stored(machine):
    target = target_named(machine[0])
    layout = layout_for(machine, 17, (5, 6), ((1, 1), (1, 1)))
    flat = layout_for(machine, 17, (5, 6))
    x, z, dy = (random_array(layout, 5, seed) for seed in range(3))
    block, moments = moments_block(x, np.ones(17), layout)
    expression = Expression(2).then(Derivative(ReLU()), 1, 0)
    kernel = GradientSumsAccumulate(layout, expression, (Tensor(flat), Tensor(layout)), layout)
    g = unwritten(5, layout)
    sums = gradient_sums(
        kernel,
        [x, dy, z],
        [layout, flat, layout],
        block,
        [3, 2],
        stored_gradient=g,
        target=target,
    )
    dweight, dbias, _ = gradient_blocks(layout, sums, block, target)
    expected = dy * (z > 0)
    np.testing.assert_array_equal(read(g, layout, 5, beyond=0), expected)
    wide = [a.astype(np.float64) for a in (x, moments, expected)]
    expected_sums = BatchNormGradientSums(EPS).reference(*wide)
    eps = tolerance(machine[1], 64)
    np.testing.assert_allclose(dbias[:17], expected_sums[0], rtol=eps, atol=eps)
    np.testing.assert_allclose(dweight[:17], expected_sums[1], rtol=eps, atol=eps)


def test_an_activation_may_be_computed_again_from_x():
    layout = Layout(5, (40,), 8)
    x, dy = random_array(layout, 3, 0), random_array(layout, 3, 1)
    weight, bias = random_array(Layout(5, (), 8), 2, 2)
    block, moments = moments_block(x, weight, layout)
    vectors = [
        block[Moment.MEAN * layout.stride :],
        block[Moment.SCALE * layout.stride :],
        per_channel(bias, layout),
    ]
    expression = Expression(5).then(Normalize(), 1, 2, 3, 4).then(Derivative(ReLU()), -1, 0)
    sources = (Tensor(layout), Tensor(layout), Channels(), Channels(), Channels())
    kernel = GradientSumsAccumulate(layout, expression, sources)
    accumulator = aligned_zeros(kernel.accumulator_size)
    held = stored(x, layout)
    buffers = [held, block, stored(dy, layout), held, *vectors, accumulator]
    call_kernel(kernel, buffers, count=3)
    z = BatchNormalize(eps=EPS).reference(x, moments, weight, bias)
    expected = (dy * (z > 0)).sum(axis=(0, 2))
    np.testing.assert_allclose(accumulator[:5], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_large_mean_costs_no_digits(machine):
    target = target_named(machine[0])
    layout = layout_for(machine, 16, (50, 20))
    mean = 1e4 if machine[1] == "float32" else 1e8
    x = (random_array(layout, 2) + mean).astype(machine[1])
    dy = random_array(layout, 2, 1)
    weight, bias = random_array(layout_for(machine, 16, ()), 2, 2)
    block, moments = moments_block(x, weight, layout)
    # The mean is rounded when it is stored, which is not an error of the kernels.
    mean = block.reshape(len(Moment), -1)[Moment.MEAN, :16].astype(np.float64)
    normal = (x - mean[:, None, None]) / np.sqrt(moments[1] + EPS)[:, None, None]

    y = unwritten(2, layout)
    vectors = [
        block[Moment.MEAN * layout.stride :],
        block[Moment.SCALE * layout.stride :],
        per_channel(bias, layout),
    ]
    sources = (Tensor(layout), Channels(), Channels(), Channels())
    kernel = Pointwise(Expression(4).then(Normalize(), 0, 1, 2, 3), sources, layout)
    call_kernel(kernel, [stored(x, layout), *vectors, y], count=2, target=target)
    expected = normal * weight[:, None, None] + bias[:, None, None]
    eps = tolerance(machine[1])
    np.testing.assert_allclose(read(y, layout, 2), expected, rtol=eps, atol=eps)

    kernel = GradientSumsAccumulate(layout, Expression(1), (Tensor(layout),))
    sums = gradient_sums(kernel, [x, dy], [layout] * 2, block, [1, 1], target=target)
    dweight, _, coefficients = gradient_blocks(layout, sums, block, target)
    products = (dy * normal).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(dweight[:16], products, rtol=16 * eps, atol=64 * eps)

    buffers = [stored(dy, layout), stored(x, layout)]
    dx = backward(layout, layout, buffers, block, coefficients, 2, target)
    total = dy.astype(np.float64).sum(axis=(0, 2, 3))[:, None, None]
    through = (total + normal * products[:, None, None]) / 2000
    scale = (weight / np.sqrt(moments[1] + EPS))[:, None, None]
    np.testing.assert_allclose(dx, (dy - through) * scale, rtol=eps, atol=2 * eps)


def test_a_stored_gradient_must_have_the_elements_of_x():
    layout = Layout(4, (5,), 4)
    with pytest.raises(ValueError, match="different elements"):
        GradientSumsAccumulate(layout, Expression(1), (Tensor(layout),), Layout(4, (6,), 4))
