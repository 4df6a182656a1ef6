"""What is refused, and what the messages say."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

import convoi
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError

X = np.arange(12.0).reshape(3, 4)


def refused(error, message, *args, **options):
    with pytest.raises(error, match=message):
        convoi.convolve(*args, **options)


def test_a_kernel_longer_than_the_input_in_valid_mode():
    refused(
        ShapeError,
        "length 5 along axis 0, and the input has 3.*mode='same'",
        np.ones(3),
        np.ones(5),
        mode="valid",
    )


def test_a_dilated_kernel_that_reaches_too_far_in_valid_mode():
    refused(
        ShapeError, "taps 4 apart reach over 5", np.ones(4), np.ones(2), mode="valid", dilation=4
    )


@pytest.mark.parametrize(("x", "kernel", "name"), [([], [1], "x"), ([1], [], "kernel")])
def test_a_sliding_axis_of_length_zero(x, kernel, name):
    refused(ShapeError, f"The '{name}' parameter of convolve has length 0 along axis 0", x, kernel)


def test_a_single_number():
    refused(ShapeError, "single number", 3.0, [1.0])


def test_repeated_axes():
    refused(
        ArgumentError,
        r"each axis once. Got \(0, -2\), which are the axes \(0, 0\)",
        X,
        X,
        axes=(0, -2),
    )


@pytest.mark.parametrize("axes", [(), (2,), (-3,)])
def test_axes_that_are_not_there(axes):
    refused(ArgumentError, "integers from -2 to 1", X, X, axes=axes)


def test_axes_that_are_no_integers():
    refused(ArgumentTypeError, "'axes'", X, X, axes="0")


def test_axes_that_do_not_broadcast():
    refused(
        ShapeError, "axis 0 has length 3 in x .* and 2 in the kernel", X, np.ones((2, 2)), axes=1
    )


def test_an_unknown_mode_lists_the_valid_ones():
    refused(ArgumentError, "'full', 'same', 'valid'. Got 'ful'", X, X, mode="ful")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("symm", "symmetric"),
        ("nearest", "edge"),
        ("mirror", "reflect"),
        ("fill", "constant"),
        ("circular", "wrap"),
    ],
)
def test_a_boundary_of_another_library_is_translated(theirs, ours):
    refused(ArgumentError, f"{theirs!r} of .* is boundary={ours!r} here", X, X, boundary=theirs)


def test_an_unknown_boundary_lists_the_names_of_other_libraries():
    refused(ArgumentError, "'replicate' is 'edge'", X, X, boundary="zero-padded")


def test_an_unknown_method():
    refused(
        ArgumentError,
        "'oaconvolve' of scipy.signal is method='overlap-add'",
        X,
        X,
        method="oaconvolve",
    )


def test_an_unknown_treatment_of_nan():
    refused(ArgumentError, "'interpolate' of astropy is nan='ignore'", X, X, nan="interpolate")


@pytest.mark.parametrize("bad", [0, -1])
@pytest.mark.parametrize("name", ["stride", "dilation"])
def test_strides_and_dilations_below_one(name, bad):
    refused(ArgumentError, f"The '{name}' parameter of convolve", X, X, **{name: bad})


def test_one_stride_too_many():
    refused(ArgumentError, "'stride'", X, X, stride=(1, 1, 1))


@pytest.mark.parametrize("x", [[Decimal(1)], ["a"], np.ones(3, np.longdouble)])
def test_arrays_that_hold_no_supported_numbers(x):
    refused(ArgumentTypeError, r"astype\(numpy.float64\)", np.array(x), [1.0])


def test_a_fill_value_that_the_result_cannot_hold():
    refused(ArgumentError, "a value that int64 can hold. Got 0.5", [1, 2], [1], fill_value=0.5)
    refused(ArgumentError, "a value that float64 can hold", [1.0, 2], [1], fill_value=1j)
    refused(ArgumentTypeError, "'fill_value'", [1.0, 2], [1], fill_value="0")


def test_a_kernel_that_is_not_separable():
    refused(ArgumentError, "outer product", X, np.eye(3), method="separable")


def test_integers_that_a_transform_cannot_give_exactly():
    large = np.full(50, 2**62)
    refused(ArgumentError, "would not come out exactly", large, large, method="fft")


def test_an_output_array_that_does_not_fit():
    refused(
        ArgumentError, r"writeable array of shape \(6,\)", np.ones(4), np.ones(3), out=np.empty(5)
    )
    refused(ArgumentError, "float64 can be cast", np.ones(4), np.ones(3), out=np.empty(6, int))
    refused(ArgumentTypeError, "'out'", np.ones(4), np.ones(3), out=[0] * 6)


def test_ignoring_nan_needs_a_kernel_with_a_sum():
    refused(ArgumentError, "do not sum to 0", [1.0, np.nan, 2, 3], [1.0, -1], nan="ignore")


def test_a_masked_kernel():
    refused(ArgumentError, "without masked taps", [1.0, 2], np.ma.masked_equal([1, 2], 1))
