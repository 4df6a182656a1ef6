"""Convolution, against SciPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from convoi import ops
from convoi.errors import ArgumentError, ShapeError
from tests.cases import Case, cases, conv, make_inputs, make_parameters
from tests.strategies import convolutions, input_shapes


def scipy_conv(op, x, weight):
    """Correlate or convolve channel by channel with SciPy, on zeros and holes put in by hand."""
    rank = len(op.kernel)
    padded = np.pad(x, ((0, 0), (0, 0), *op.padding))
    spans = tuple(d * (r - 1) + 1 for r, d in zip(op.kernel, op.dilation, strict=True))
    spread = np.zeros((*weight.shape[:2], *spans))
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in op.dilation))] = weight
    slide = scipy.signal.convolve if op.flip else scipy.signal.correlate
    filters_per_group = op.filters // op.groups
    channels_per_group = x.shape[1] // op.groups
    result = []
    for sample in padded:
        for k in range(op.filters):
            first = k // filters_per_group * channels_per_group
            total = sum(
                slide(sample[first + c], spread[k, c], mode="valid", method="direct")
                for c in range(channels_per_group)
            )
            result.append(total[tuple(slice(None, None, s) for s in op.stride)] if rank else total)
    return np.reshape(result, (len(x), op.filters, *np.shape(result)[1:]))


@pytest.mark.parametrize("case", cases(lambda op: isinstance(op, ops.Conv) and bool(op.kernel)))
def test_agrees_with_scipy(case, rng):
    (x,) = make_inputs(case, rng)
    weight, *bias = make_parameters(case, rng)
    expected = scipy_conv(case.op, x, weight)
    if bias:
        expected += bias[0].reshape(-1, *(1,) * (x.ndim - 2))
    np.testing.assert_allclose(case.op.reference(x, weight, *bias), expected, atol=1e-12)


@given(st.data())
def test_any_convolution_agrees_with_scipy(data):
    shape = data.draw(input_shapes(ranks=(1, 2, 3)).filter(lambda shape: shape[0] <= 8))
    case = Case(data.draw(convolutions(shape)), (shape,))
    rng = np.random.default_rng(0)
    (x,) = make_inputs(case, rng, n=1)
    weight, *_ = make_parameters(case, rng)
    bias = [np.zeros(case.op.filters)] * case.op.bias
    expected = scipy_conv(case.op, x, weight)
    np.testing.assert_allclose(case.op.reference(x, weight, *bias), expected, atol=1e-12)


def test_flip_reverses_the_kernel_along_all_axes(rng):
    x, weight = rng.standard_normal((1, 2, 4, 5)), rng.standard_normal((3, 2, 2, 3))
    flipped = conv(3, (2, 3), bias=False, flip=True).reference(x, weight)
    plain = conv(3, (2, 3), bias=False).reference(x, weight[:, :, ::-1, ::-1])
    np.testing.assert_array_equal(flipped, plain)


def test_without_spatial_axes_is_a_matrix_product(rng):
    x, weight, bias = rng.standard_normal((2, 5)), rng.standard_normal((3, 5)), np.arange(3.0)
    expected = x @ weight.T + bias
    np.testing.assert_allclose(conv(3, ()).reference(x, weight, bias), expected)
    np.testing.assert_allclose(ops.Dense(3).reference(x, weight, bias), expected)


def test_a_group_sees_its_own_channels_only(rng):
    x, weight = rng.standard_normal((1, 4, 6)), rng.standard_normal((6, 2, 3))
    op = conv(6, (3,), groups=2, bias=False)
    y = op.reference(x, weight)
    x[:, 2:] = 0
    np.testing.assert_array_equal(op.reference(x, weight)[:, :3], y[:, :3])


@pytest.mark.parametrize(
    ("op", "shape", "multiply_adds", "parameters"),
    [
        (conv(32, (3, 3), padding=1), (16, 28, 28), 32 * 28 * 28 * 16 * 9, 32 * 16 * 9 + 32),
        (conv(32, (3, 3), stride=2, bias=False), (16, 9, 9), 32 * 4 * 4 * 16 * 9, 32 * 16 * 9),
        (conv(16, (5,), groups=16), (16, 20), 16 * 16 * 5, 16 * 5 + 16),
        (ops.Dense(10), (100,), 1000, 1010),
    ],
)
def test_cost_counts_products(op, shape, multiply_adds, parameters):
    cost = op.cost(shape)
    assert (cost.multiply_adds, cost.parameters) == (multiply_adds, parameters)


def test_gradients_cost_as_much_as_the_convolution():
    op, shape = conv(8, (3, 3), stride=2, groups=2, bias=False), (4, 9, 8)
    forward = op.cost(shape).multiply_adds
    dy = op.infer_shape(shape)
    assert ops.ConvBackwardData(op, shape).cost(dy).multiply_adds == forward
    assert ops.ConvBackwardWeight(op).cost(shape, dy).multiply_adds == forward


def test_fan_in_is_the_number_of_inputs_of_an_output():
    weight, bias = conv(8, (3, 5), groups=2).parameters((4, 9, 9))
    assert (weight.shape, weight.fan_in) == ((8, 2, 3, 5), 30)
    assert (bias.shape, bias.fan_in) == ((8,), 30)


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        (
            conv(1, (5, 5)),
            (1, 3, 3),
            (
                "Conv: the kernel (5, 5) is larger than the padded input (3, 3). "
                "Use padding='same' or a smaller kernel."
            ),
        ),
        (
            conv(1, (3, 3), dilation=2, padding=((0, 1), (2, 2))),
            (1, 3, 3),
            (
                "Conv: the kernel (3, 3) is larger than the padded input (4, 7) "
                "(it spans (5, 5) with its dilation). Use padding='same' or a smaller kernel."
            ),
        ),
        (
            conv(4, (3,), groups=2),
            (3, 9),
            (
                "Conv: the 3 channels of the input cannot be split into 2 groups. "
                "Use a number of groups that divides the number of channels."
            ),
        ),
        (
            conv(4, (3, 3)),
            (3, 9),
            (
                "Conv: expected an input of shape (channels, height, width), got (3, 9). "
                "Give an input with these axes, or attributes for as many axes as the input has."
            ),
        ),
        (
            ops.Dense(3),
            (3, 9),
            (
                "Dense: expected an input of shape (features,), got (3, 9). "
                "Put Flatten or a global pooling layer in front of it."
            ),
        ),
    ],
)
def test_refuses_inputs_that_do_not_fit(op, shape, message):
    with pytest.raises(ShapeError) as error:
        op.infer_shape(shape)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": 0}, "'filters' parameter of Conv must be an integer greater than or equal"),
        (
            {"kernel": (0,)},
            r"'kernel' parameter of Conv must be a tuple of at most 3 integers >= 1",
        ),
        ({"kernel": (1,) * 4}, r"'kernel' .* at most 3 integers >= 1. Got \(1, 1, 1, 1\) instead"),
        ({"stride": (1, 1)}, r"'stride' .* a tuple of 1 integers >= 1. Got \(1, 1\) instead"),
        ({"stride": (0,)}, "'stride' parameter of Conv must be a tuple of 1 integers >= 1"),
        (
            {"padding": ((-1, 0),)},
            r"'padding' .* a tuple of 1 pairs \(low, high\) of integers >= 0",
        ),
        ({"padding": (1,)}, r"'padding' .* a tuple of 1 pairs \(low, high\) of integers >= 0"),
        ({"dilation": (True,)}, "'dilation' parameter of Conv must be a tuple of 1 integers >= 1"),
        ({"groups": 3}, "'groups' parameter of Conv must be a divisor of filters=4. Got 3 instead"),
    ],
)
def test_refuses_attributes_without_a_meaning(changes, message):
    attributes = {**vars(conv(4, (3,))), **changes}
    with pytest.raises(ArgumentError, match=message):
        ops.Conv(**attributes)
