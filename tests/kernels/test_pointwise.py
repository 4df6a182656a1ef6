"""Passes that compute each element by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from convoi.kernels.expression import Affine, Derivative, Expression, Sum
from convoi.kernels.layout import Layout
from convoi.kernels.pointwise import Channels, Pointwise, Tensor
from convoi.ops.formula import NumpyMath
from convoi.ops.pointwise import (
    ELU,
    GELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    PointwiseBackward,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
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

ACTIVATIONS = [
    ReLU(),
    LeakyReLU(0.1),
    ELU(0.7),
    GELU(),
    SiLU(),
    HardSwish(),
    HardSigmoid(),
    Sigmoid(),
    Tanh(),
]

# channels, spatial, halo of the source, halo of the output, samples
SHAPES = [
    (5, (), (), (), 3),
    (33, (), (), (), 1),
    (1, (7,), (), ((1, 2),), 2),
    (16, (9,), (), (), 2),
    (3, (3, 5), ((1, 1), (1, 1)), (), 2),
    (17, (4, 3), (), ((0, 1), (2, 0)), 1),
    (4, (2, 3, 5), ((1, 0), (0, 1), (1, 1)), ((1, 0), (0, 1), (1, 1)), 2),
    (15, (2, 2, 2), (), (), 0),
]


@dataclass(frozen=True)
class Mix:
    """Depends on all of its operands, and on their order."""

    def formula(self, m: Any, x: Any, scale: Any, y: Any, shift: Any) -> Any:
        return m.add(m.fma(x, scale, m.mul(y, 2.0)), shift)


def shaped(vector, array):
    return vector.reshape(-1, *(1,) * (array.ndim - 2))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "spatial", "halo", "output_halo", "count"), SHAPES)
def test_one_source(machine, channels, spatial, halo, output_halo, count):
    source = layout_for(machine, channels, spatial, halo)
    output = layout_for(machine, channels, spatial, output_halo)
    kernel = Pointwise(Expression(1).then(ReLU(), 0), (Tensor(source),), output)
    x = random_array(source, count)
    y = unwritten(count + 1, output)
    call_kernel(
        kernel, [stored(x, source, beyond=3), y], count=count, target=target_named(machine[0])
    )
    np.testing.assert_array_equal(read(y, output, count), np.maximum(x, 0))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "spatial", "halo", "output_halo", "count"), SHAPES)
def test_tensors_and_vectors_per_channel(machine, channels, spatial, halo, output_halo, count):
    source = layout_for(machine, channels, spatial, halo)
    output = layout_for(machine, channels, spatial, output_halo)
    sources = (Tensor(source), Channels(), Tensor(output), Channels())
    kernel = Pointwise(Expression(4).then(Mix(), 0, 1, 2, 3), sources, output)
    x, z = random_array(source, count, 1), random_array(source, count, 2)
    scale, shift = random_array(layout_for(machine, channels, ()), 2, 3)
    y = unwritten(count + 1, output)
    buffers = [
        stored(x, source, beyond=2),
        per_channel(scale, output),
        stored(z, output, beyond=1),
        per_channel(shift, output),
        y,
    ]
    call_kernel(kernel, buffers, count=count, target=target_named(machine[0]))
    expected = x * shaped(scale, x) + z * 2 + shaped(shift, x)
    eps = tolerance(machine[1])
    np.testing.assert_allclose(read(y, output, count), expected, rtol=eps, atol=eps)


def test_many_channels_are_passed_through_in_a_loop():
    layout = Layout(530, (6,), 8)
    kernel = Pointwise(
        Expression(3).then(Affine(), 0, 1, 2), (Tensor(layout), Channels(), Channels()), layout
    )
    x = random_array(layout, 2)
    scale, shift = random_array(Layout(530, (), 8), 2, 3)
    y = unwritten(2, layout)
    vectors = [per_channel(v, layout) for v in (scale, shift)]
    call_kernel(kernel, [stored(x, layout), *vectors, y], count=2)
    expected = x * scale[:, None] + shift[:, None]
    np.testing.assert_allclose(read(y, layout, 2), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("halo", [(), ((1, 1), (2, 0))])
def test_the_output_may_be_the_buffer_of_a_source(halo):
    layout = Layout(5, (6, 7), 8, "float32", halo)
    expression = Expression(2).then(Sum(), 0, 1).then(ReLU(), -1)
    x, z = random_array(layout, 3, 1), random_array(layout, 3, 2)
    buffer, other = stored(x, layout), stored(z, layout)
    kernel = Pointwise(expression, (Tensor(layout), Tensor(layout)), layout)
    call_kernel(kernel, [buffer, other, buffer], count=3)
    np.testing.assert_array_equal(buffer, stored(np.maximum(x + z, 0), layout))


def test_an_expression_without_steps_copies():
    source = Layout(3, (4,), 4, "float32", ((2, 1),))
    output = Layout(3, (4,), 4)
    x = random_array(source, 2)
    y = unwritten(2, output)
    kernel = Pointwise(Expression(1), (Tensor(source),), output)
    call_kernel(kernel, [stored(x, source), y], count=2)
    np.testing.assert_array_equal(read(y, output, 2), x)


@pytest.mark.parametrize("op", ACTIVATIONS, ids=lambda op: op.name)
@pytest.mark.parametrize("machine", MACHINES)
def test_activations_and_their_derivatives(op, machine):
    layout = layout_for(machine, 3, (50,))
    x, dy = random_array(layout, 2, 1) * 4, random_array(layout, 2, 2)
    eps = tolerance(machine[1])
    target = target_named(machine[0])

    y = unwritten(2, layout)
    forward = Pointwise(Expression(1).then(op, 0), (Tensor(layout),), layout)
    call_kernel(forward, [stored(x, layout), y], count=2, target=target)
    result = read(y, layout, 2)
    np.testing.assert_allclose(result, op.reference(x), rtol=eps, atol=eps)

    saved = x if op.derivative_of == "input" else result
    dx = unwritten(2, layout)
    sources = (Tensor(layout), Tensor(layout))
    backward = Pointwise(Expression(2).then(Derivative(op), 0, 1), sources, layout)
    call_kernel(backward, [stored(saved, layout), stored(dy, layout), dx], count=2, target=target)
    expected = PointwiseBackward(op).reference(saved, dy)
    np.testing.assert_allclose(read(dx, layout, 2, beyond=0), expected, rtol=eps, atol=2 * eps)


def test_formulas_mean_the_same_in_numpy_and_in_vectors():
    layout = Layout(4, (25,), 4)
    arrays = [random_array(layout, 1, seed) for seed in range(4)]
    y = unwritten(1, layout)
    kernel = Pointwise(Expression(4).then(Mix(), 3, 1, 0, 2), (Tensor(layout),) * 4, layout)
    call_kernel(kernel, [*(stored(a, layout) for a in arrays), y], count=1)
    a, b, c, d = arrays
    expected = Mix().formula(NumpyMath("float32"), d, b, a, c)
    np.testing.assert_allclose(read(y, layout, 1), expected, rtol=1e-6, atol=1e-6)


def test_sources_must_match_the_expression():
    layout = Layout(4, (5,), 4)
    with pytest.raises(ValueError, match="1 sources for 2 inputs"):
        Pointwise(Expression(2).then(Sum(), 0, 1), (Tensor(layout),), layout)


@pytest.mark.parametrize("other", [Layout(4, (6,), 4), Layout(4, (5,), 8), Layout(3, (5,), 4)])
def test_tensors_must_have_the_same_elements(other):
    with pytest.raises(ValueError, match="different elements"):
        Pointwise(Expression(1), (Tensor(other),), Layout(4, (5,), 4))
