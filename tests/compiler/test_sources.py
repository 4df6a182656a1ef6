"""The caller's arrays: what is read in place, what is converted, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.compiler.sources import FEW, are_below, open_source
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError

SHAPE = (3, 4, 5)


def numbers(dtype, shape=(6, *SHAPE)):
    return (np.arange(np.prod(shape)) % 100).reshape(shape).astype(dtype)


READ_IN_PLACE = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float32", "float64",
]  # fmt: skip


@pytest.mark.parametrize("dtype", READ_IN_PLACE)
def test_most_dtypes_are_read_in_place(dtype: str) -> None:
    X = numbers(dtype)
    source = open_source(X, SHAPE)
    assert source.array is X
    assert (source.address, source.dtype, len(source)) == (X.ctypes.data, dtype, 6)
    assert source.geometry.tolist() == list(X.strides)


@pytest.mark.parametrize(
    ("dtype", "converted"),
    [(">f4", "float64"), (">i2", "float32"), ("float16", "float32"), ("longdouble", "float64")],
)
def test_other_dtypes_are_converted(dtype: str, converted: str) -> None:
    X = numbers(dtype)
    source = open_source(X, SHAPE)
    assert source.dtype == converted
    np.testing.assert_array_equal(source.array, X)


def test_only_the_rows_that_are_wanted_are_converted() -> None:
    X = numbers("float16")
    source = open_source(X, SHAPE, [4, 1])
    assert (source.rows, len(source)) == (None, 2)
    np.testing.assert_array_equal(source.array, X[[4, 1]])


def test_rows_of_what_is_read_in_place_are_read_by_number() -> None:
    X = numbers("uint8")
    source = open_source(X, SHAPE, np.array([4, 1, 4], np.uint16))
    assert source.array is X
    assert source.rows is not None
    assert (source.rows.dtype, source.rows.tolist(), len(source)) == (np.int64, [4, 1, 4], 3)


@pytest.mark.parametrize(
    ("X", "contiguous", "channels_last"),
    [
        (numbers("float32"), True, False),
        (np.moveaxis(numbers("float32", (6, 4, 5, 3)), -1, 1), False, True),
        (numbers("float32", (6, 3, 4, 10))[..., ::2], False, False),
        (numbers("float32")[..., ::-1], False, False),
        (np.swapaxes(numbers("float32", (6, 3, 5, 4)), 2, 3), False, False),
        (np.broadcast_to(np.float32(1), (6, *SHAPE)), False, False),
    ],
    ids=["contiguous", "channels last", "every other", "mirrored", "transposed", "broadcast"],
)
def test_strides_decide_how_rows_are_read(X, contiguous: bool, channels_last: bool) -> None:
    source = open_source(X, SHAPE)
    assert (source.contiguous, source.channels_last) == (contiguous, channels_last)
    assert source.array is X


def test_features_of_plain_rows_are_adjacent() -> None:
    source = open_source(numbers("float64", (6, 7)), (7,))
    assert (source.contiguous, source.channels_last) == (False, True)


def test_a_list_becomes_an_array() -> None:
    source = open_source([[1, 2], [3, 4]], (2,))
    assert source.array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("shape", [(), (3,), (6, 3, 4), (6, 4, 5, 3), (6, 1, 3, 4, 5)], ids=str)
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    message = r"'X' parameter must have the shape \(n, 3, 4, 5\), got .* Arrange it as samples"
    with pytest.raises(ShapeError, match=message):
        open_source(np.zeros(shape), SHAPE)


@pytest.mark.parametrize("dtype", ["complex64", "U3", "O", "M8[s]"])
def test_what_is_no_real_number_is_refused(dtype: str) -> None:
    with pytest.raises(ArgumentTypeError, match="must be an array of booleans, integers or flo"):
        open_source(np.zeros((2, *SHAPE), dtype), SHAPE)


@pytest.mark.parametrize("rows", [[-1], [0, 6], [2**40]])
def test_rows_outside_of_the_array_are_refused(rows: list[int]) -> None:
    message = r"'indices' parameter must hold row numbers from 0 to 5, got numbers from"
    with pytest.raises(ArgumentError, match=message):
        open_source(numbers("uint8"), SHAPE, rows)


@pytest.mark.parametrize("rows", [[0.0, 1.0], [True, False]])
def test_rows_that_are_no_integers_are_refused(rows) -> None:
    with pytest.raises(ArgumentTypeError, match="'indices' parameter must be an array of integ"):
        open_source(numbers("uint8"), SHAPE, rows)


def test_rows_have_one_axis() -> None:
    with pytest.raises(ShapeError, match=r"must have one axis, got the shape \(1, 2\)"):
        open_source(numbers("uint8"), SHAPE, [[0, 1]])


@pytest.mark.parametrize("rows", [None, []])
def test_there_may_be_no_samples(rows) -> None:
    assert len(open_source(numbers("uint8")[:0], SHAPE, rows)) == 0


@pytest.mark.parametrize("shape", [(3,), (2, 5), (FEW,), (FEW + 1,), (9, FEW)])
def test_numbers_are_looked_through_to_both_ends(shape):
    numbers = np.zeros(shape, np.int64)
    assert are_below(numbers, 1)
    for wrong in (-1, 1, -(2**63), 2**63 - 1):
        numbers.flat[-1] = wrong
        assert not are_below(numbers, 1)
    assert are_below(numbers[:0], 0)
