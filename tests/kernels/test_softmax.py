"""Softmax and its gradient."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.softmax import Softmax, SoftmaxBackward
from convoi.ops import softmax as ops
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

# channels, spatial, halo of the input, halo of the output, samples
SHAPES = [
    (5, (), (), (), 3),
    (33, (), (), (), 1),
    (1, (7,), (), ((1, 2),), 2),
    (16, (9,), (), (), 2),
    (3, (3, 5), ((1, 1), (1, 1)), (), 2),
    (100, (2, 3), (), ((0, 1), (2, 0)), 1),
    (4, (2, 3, 2), (), (), 2),
    (15, (2,), (), (), 0),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "spatial", "halo", "output_halo", "count"), SHAPES)
def test_both_directions(machine, channels, spatial, halo, output_halo, count):
    target = target_named(machine[0])
    source = layout_for(machine, channels, spatial, halo)
    output = layout_for(machine, channels, spatial, output_halo)
    x, dy = random_array(source, count) * 5, random_array(output, count, 1)
    y, dx = unwritten(count, output), unwritten(count, source)

    call_kernel(
        Softmax(source, output), [stored(x, source, beyond=9), y], count=count, target=target
    )
    eps = tolerance(machine[1], 32)
    result = read(y, output, count, beyond=0) if count else x
    np.testing.assert_allclose(result, ops.Softmax().reference(x), rtol=eps, atol=eps / 1e3)

    kernel = SoftmaxBackward(output, output, source)
    buffers = [stored(result, output), stored(dy, output), dx]
    call_kernel(kernel, buffers, count=count, target=target)
    expected = ops.SoftmaxBackward().reference(result, dy)
    if count:
        np.testing.assert_allclose(read(dx, source, count, beyond=0), expected, rtol=eps, atol=eps)


@pytest.mark.parametrize("channels", [3, 70])
def test_large_values_do_not_overflow(channels):
    layout = Layout(channels, (), 8)
    x = np.float32([np.linspace(-1e30, 1e30, channels), np.full(channels, 500)])
    y = unwritten(2, layout)
    call_kernel(Softmax(layout, layout), [stored(x, layout), y], count=2)
    expected = [np.eye(channels)[-1], np.full(channels, 1 / channels)]
    np.testing.assert_allclose(read(y, layout, 2, beyond=0), expected, rtol=1e-6)


@pytest.mark.parametrize("channels", [3, 70])
def test_nan_spoils_its_position_only(channels):
    layout = Layout(channels, (2,), 8)
    x = random_array(layout, 1)
    x[0, 1, 0] = np.nan
    y = unwritten(1, layout)
    call_kernel(Softmax(layout, layout), [stored(x, layout), y], count=1)
    result = read(y, layout, 1, beyond=0)
    assert np.isnan(result[0, :, 0]).all()
    np.testing.assert_allclose(result[0, :, 1].sum(), 1, rtol=1e-6)


@pytest.mark.parametrize("channels", [3, 70])
def test_the_output_may_be_the_buffer_of_the_input(channels):
    layout = Layout(channels, (5,), 8)
    x = random_array(layout, 2)
    buffer = stored(x, layout)
    call_kernel(Softmax(layout, layout), [buffer, buffer], count=2)
    expected = ops.Softmax().reference(x)
    np.testing.assert_allclose(buffer, stored(expected, layout), rtol=1e-5, atol=1e-7)
