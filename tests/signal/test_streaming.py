from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convoi
from convoi.errors import ArgumentError, ConvoiError, ShapeError
from convoi.signal import Stream


def streamed(stream, x, axis, lengths):
    parts, start = [], 0
    for length in [*lengths, x.shape[axis]]:
        part = [slice(None)] * x.ndim
        part[axis] = slice(start, start + length)
        parts.append(stream(x[tuple(part)]))
        start += length
    return np.concatenate([*parts, stream.finish()], axis)


@settings(max_examples=60)
@given(
    st.sampled_from([1, 2, 5, 16, 33, 70]),
    st.lists(st.integers(0, 90), max_size=6),
    st.sampled_from(["float32", "float64", "complex64", "int16"]),
    st.sampled_from([(), (3,)]),
)
def test_direct_chunks_are_the_whole_bit_by_bit(taps, lengths, dtype, batch):
    generator = np.random.default_rng(taps)
    x = (100 * generator.normal(size=(*batch, 500))).astype(dtype)
    kernel = (100 * generator.normal(size=taps)).astype(dtype)
    y = streamed(Stream(kernel, method="direct"), x, -1, lengths)
    np.testing.assert_array_equal(y, convoi.convolve(x, kernel, method="direct"))


@pytest.mark.parametrize("axis", [-1, -2])
def test_pictures_come_row_by_row_or_column_by_column(axis):
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=(60, 50)), generator.normal(size=(4, 7))
    y = streamed(Stream(kernel, axis=axis, method="direct"), x, axis, [1, 2, 20])
    np.testing.assert_array_equal(y, convoi.convolve(x, kernel, method="direct"))


@pytest.mark.parametrize("method", ["auto", "fft", "overlap-add"])
def test_other_methods_agree_to_rounding(method):
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=3000), generator.normal(size=200)
    y = streamed(Stream(kernel, method=method), x, -1, [100, 1500])
    np.testing.assert_allclose(y, convoi.convolve(x, kernel), rtol=1e-9, atol=1e-9)


def test_only_the_reach_of_the_kernel_is_kept():
    stream = Stream(np.ones(5))
    stream(np.zeros(100_000))
    assert stream._history.shape == (4,)
    assert stream._history.base is None


def test_a_finished_stream_is_closed():
    stream = Stream([1.0, 1])
    with pytest.raises(ConvoiError, match="at least one chunk"):
        stream.finish()
    stream([1.0])
    stream.finish()
    with pytest.raises(ConvoiError, match="make a new one"):
        stream([1.0])


def test_chunks_that_do_not_fit_the_ones_before():
    stream = Stream(np.ones((2, 2)), axis=-2)
    stream(np.ones((3, 4)))
    with pytest.raises(ShapeError, match="one shape but along the axis -2"):
        stream(np.ones((3, 5)))
    with pytest.raises(ShapeError, match="at least the 2 axes"):
        stream(np.ones(3))


def test_a_kernel_without_the_axis():
    with pytest.raises(ArgumentError, match="'axis'"):
        Stream(np.ones(3), axis=-2)
    with pytest.raises(ArgumentError, match="at least one element"):
        Stream(np.ones(0))
