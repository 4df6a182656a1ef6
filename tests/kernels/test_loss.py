"""Losses and their gradients."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.loss import CrossEntropy, ElementwiseLoss
from convoi.ops import losses
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.tensors import (
    MACHINES,
    layout_for,
    random_array,
    read,
    stored,
    tolerance,
    unwritten,
)

# channels, spatial, halo of the prediction, halo of the gradient, samples
SHAPES = [
    (5, (), (), (), 3),
    (33, (), (), (), 2),
    (1, (7,), (), ((1, 2),), 2),
    (16, (9,), (), (), 2),
    (3, (3, 5), ((1, 1), (1, 1)), (), 2),
    (100, (2, 3), (), ((0, 1), (2, 0)), 1),
    (4, (2, 3, 2), (), (), 1),
]


def weights(count, dtype):
    buffer = aligned_zeros(count, dtype)
    buffer[:] = np.linspace(0.2, 0.7, count)
    return buffer


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("channels", "spatial", "halo", "gradient_halo", "count"), SHAPES)
def test_cross_entropy(machine, smoothing, channels, spatial, halo, gradient_halo, count):
    target = target_named(machine[0])
    layout = layout_for(machine, channels, spatial, halo)
    gradient = layout_for(machine, channels, spatial, gradient_halo)
    x = random_array(layout, count) * 4
    classes = np.random.default_rng(1).integers(0, channels, (count, *spatial))
    weight = weights(count, machine[1])
    loss, dx = aligned_zeros(count, machine[1]), unwritten(count, gradient)
    buffers = [stored(x, layout, beyond=9), np.ascontiguousarray(classes), weight, loss, dx]
    kernel = CrossEntropy(layout, gradient, smoothing)
    call_kernel(kernel, buffers, count=count, target=target)

    op = losses.CrossEntropy(smoothing)
    given = (x.astype(np.float64), classes, weight.astype(np.float64))
    eps = tolerance(machine[1], 32)
    np.testing.assert_allclose(loss, op.reference(*given), rtol=eps, atol=eps)
    expected = op.derivative(*given)
    np.testing.assert_allclose(
        read(dx, gradient, count, beyond=0), expected, rtol=eps, atol=eps / 8
    )

    alone = aligned_zeros(count, machine[1])
    kernel = CrossEntropy(layout, None, smoothing)
    call_kernel(kernel, [*buffers[:3], alone], count=count, target=target)
    np.testing.assert_array_equal(alone, loss)


@pytest.mark.parametrize("channels", [5, 70])
def test_cross_entropy_of_large_logits_is_finite(channels):
    layout = Layout(channels, (), 8)
    x = np.zeros((2, channels), np.float32)
    x[:, 1] = 1e4
    classes = np.array([1, 0])
    loss, dx = aligned_zeros(2), unwritten(2, layout)
    weight = np.ones(2, np.float32)
    kernel = CrossEntropy(layout, layout)
    call_kernel(kernel, [stored(x, layout), classes, weight, loss, dx], count=2)
    np.testing.assert_array_equal(loss, [0, 1e4])
    one_hot = np.eye(channels)
    np.testing.assert_array_equal(
        read(dx, layout, 2, beyond=0), [0 * one_hot[1], one_hot[1] - one_hot[0]]
    )


def test_a_number_that_is_no_class_reads_nothing_outside():
    layout = Layout(3, (), 4)
    loss = aligned_zeros(2)
    x = stored(np.float32([[1, 2, 3], [1, 2, 3]]), layout)
    classes = np.array([3, -1])
    call_kernel(CrossEntropy(layout, None), [x, classes, np.ones(2, np.float32), loss], count=2)
    np.testing.assert_allclose(loss, np.log(np.exp([-2, -1, 0]).sum()), rtol=1e-6)


LOSSES = [losses.MeanSquaredError(), losses.MeanAbsoluteError(), losses.Huber(0.7)]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("op", LOSSES, ids=lambda op: op.name)
@pytest.mark.parametrize(("channels", "spatial", "halo", "gradient_halo", "count"), SHAPES)
def test_elementwise_losses(machine, op, channels, spatial, halo, gradient_halo, count):
    target = target_named(machine[0])
    layout = layout_for(machine, channels, spatial, halo)
    gradient = layout_for(machine, channels, spatial, gradient_halo)
    x, wanted = random_array(layout, count), random_array(layout, count, 1)
    weight = weights(count, machine[1])
    loss, dx = aligned_zeros(count, machine[1]), unwritten(count, gradient)
    buffers = [stored(x, layout, beyond=9), stored(wanted, layout), weight, loss, dx]
    kernel = ElementwiseLoss(layout, gradient, op)
    call_kernel(kernel, buffers, count=count, target=target)

    given = [a.astype(np.float64) for a in (x, wanted, weight)]
    eps = tolerance(machine[1], 32)
    np.testing.assert_allclose(loss, op.reference(*given), rtol=eps)
    expected = op.derivative(*given)
    np.testing.assert_allclose(
        read(dx, gradient, count, beyond=0), expected, rtol=eps, atol=eps / 8
    )

    alone = aligned_zeros(count, machine[1])
    kernel = ElementwiseLoss(layout, None, op)
    call_kernel(kernel, [*buffers[:3], alone], count=count, target=target)
    np.testing.assert_array_equal(alone, loss)


@pytest.mark.parametrize("kernel", [CrossEntropy, ElementwiseLoss])
def test_the_gradient_must_have_the_elements_of_the_prediction(kernel):
    extra = (losses.MeanSquaredError(),) if kernel is ElementwiseLoss else ()
    with pytest.raises(ValueError, match="different elements"):
        kernel(Layout(4, (5,), 4), Layout(4, (6,), 4), *extra)
