from __future__ import annotations

import numpy as np
import pytest

from convoi.data.layout import to_samples
from convoi.errors import DataError


def read(array, layout="auto"):
    return to_samples(array, layout=layout, what="'a.npz'")


class TestAxes:
    @pytest.mark.parametrize(
        ("shape", "layout", "expected"),
        [
            ((9, 28, 30), "auto", (9, 1, 28, 30)),
            ((9, 28, 30, 3), "auto", (9, 3, 28, 30)),
            ((9, 3, 28, 30), "auto", (9, 3, 28, 30)),
            ((9, 1, 28, 30), "auto", (9, 1, 28, 30)),
            ((2, 28, 30, 4), "auto", (2, 4, 28, 30)),
            ((9, 3, 28, 3), "channels_first", (9, 3, 28, 3)),
            ((9, 3, 28, 3), "channels_last", (9, 3, 3, 28)),
            ((9, 100), "no_channels", (9, 1, 100)),
            ((9, 6, 100), "channels_first", (9, 6, 100)),
            ((9, 100, 6), "channels_last", (9, 6, 100)),
            ((9, 8, 8, 8), "no_channels", (9, 1, 8, 8, 8)),
            ((9, 8, 8, 8, 2), "channels_last", (9, 2, 8, 8, 8)),
        ],
    )
    def test_the_channels_come_second(self, shape, layout, expected):
        samples, _ = read(np.zeros(shape, np.uint8), layout)
        assert samples.shape == expected

    def test_axes_keep_their_meaning(self):
        array = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
        samples, _ = read(array)
        assert samples[1, 2, 3, 4] == array[1, 3, 4, 2]

    def test_nothing_is_copied_that_need_not_be(self):
        array = np.zeros((4, 8, 8, 3), np.uint8)
        assert np.shares_memory(read(array)[0], array)

    @pytest.mark.parametrize("shape", [(9, 3, 28, 3), (9, 4, 4, 4)])
    def test_two_possible_axes_are_ambiguous(self, shape):
        with pytest.raises(DataError, match=r"where both axis 1 and axis 3 can be the channels"):
            read(np.zeros(shape))

    def test_no_possible_axis_is_ambiguous(self):
        message = r"'a\.npz' .* \(9, 16, 8, 8\), where neither .* Give layout='channels_first'"
        with pytest.raises(DataError, match=message):
            read(np.zeros((9, 16, 8, 8)))

    def test_five_axes_need_a_layout(self):
        with pytest.raises(DataError, match=r"could mean several things\. Give layout="):
            read(np.zeros((9, 1, 8, 8, 8)))

    @pytest.mark.parametrize(
        ("shape", "layout", "message"),
        [
            ((9,), "auto", r"shape \(9,\)\. Samples need at least 3 axes, .*Reshape it\.$"),
            ((9, 64), "auto", "Reshape it, or give layout='no_channels' for series"),
            ((9,), "no_channels", "need at least 2 axes"),
        ],
    )
    def test_flat_samples_are_refused(self, shape, layout, message):
        with pytest.raises(DataError, match=message):
            read(np.zeros(shape), layout)

    @pytest.mark.parametrize("shape", [(0, 28, 28), (9, 0, 28)])
    def test_empty_axes_are_refused(self, shape):
        with pytest.raises(DataError, match="which is empty"):
            read(np.zeros(shape))


class TestValues:
    @pytest.mark.parametrize(
        ("dtype", "expected", "value_range"),
        [
            (np.uint8, np.uint8, (0.0, 255.0)),
            (np.bool_, np.uint8, (0.0, 1.0)),
            (np.float32, np.float32, None),
            (np.float64, np.float32, None),
            (np.float16, np.float32, None),
            (np.int64, np.float32, None),
            (">u2", np.float32, None),
        ],
    )
    def test_samples_become_uint8_or_float32(self, dtype, expected, value_range):
        array = np.arange(27).reshape(3, 3, 3).astype(dtype)
        samples, found = read(array)
        assert samples.dtype == expected
        assert found == value_range
        np.testing.assert_array_equal(samples[:, 0], array)

    def test_stored_booleans_are_0_and_1_whatever_their_bytes(self):
        array = np.array([0, 1, 2, 255], np.uint8).view(np.bool_).reshape(4, 1, 1)
        assert read(array)[0].ravel().tolist() == [0, 1, 1, 1]

    @pytest.mark.parametrize("dtype", [np.complex64, "U3"])
    def test_other_dtypes_are_refused(self, dtype):
        with pytest.raises(DataError, match="holds samples of dtype"):
            read(np.zeros((2, 3, 3), dtype))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
    @pytest.mark.parametrize("step", [1, 1 << 22])
    def test_the_sample_that_is_not_finite_is_named(self, monkeypatch, value, step):
        monkeypatch.setattr("convoi.data.layout._CHECKED_ELEMENTS", step)
        array = np.zeros((7, 4, 4))
        array[5, 3, 3] = value
        with pytest.raises(DataError, match=r"Sample 5 of 'a\.npz' has a value that is NaN"):
            read(array)
