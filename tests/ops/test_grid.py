"""The geometry of sliding windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convoi.ops import Window, output_extent, same_padding
from convoi.ops.grid import crop, pad

SIZES = st.integers(1, 12)
STEPS = st.integers(1, 4)


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "dilation", "expected"),
    [
        (28, 3, 1, 1, (1, 1)),
        (28, 5, 1, 1, (2, 2)),
        (28, 2, 1, 1, (0, 1)),
        (28, 3, 2, 1, (0, 1)),
        (27, 3, 2, 1, (1, 1)),
        (10, 3, 1, 3, (3, 3)),
        (10, 1, 3, 1, (0, 0)),
        (1, 7, 1, 1, (3, 3)),
        (224, 7, 2, 1, (2, 3)),
    ],
)
def test_same_padding_follows_same_upper(extent, kernel, stride, dilation, expected):
    assert same_padding(extent, kernel, stride, dilation) == expected


@given(st.integers(1, 60), SIZES, STEPS, STEPS)
def test_same_padding_gives_the_extent_over_the_stride(extent, kernel, stride, dilation):
    low, high = same_padding(extent, kernel, stride, dilation)
    assert output_extent(extent, kernel, stride, dilation, (low, high)) == -(-extent // stride)
    assert 0 <= high - low <= 1


@given(st.integers(1, 30), SIZES, STEPS, STEPS, st.integers(0, 5), st.integers(0, 5))
def test_output_extent_counts_the_windows_that_fit(extent, kernel, stride, dilation, low, high):
    last = extent + low + high - dilation * (kernel - 1)
    starts = range(0, max(last, 0), stride)
    assert output_extent(extent, kernel, stride, dilation, (low, high)) == len(starts)


def test_patches_show_what_each_window_sees():
    x = np.arange(6.0).reshape(1, 1, 6)
    patches = Window((2,), (3,), ((1, 0),), (2,)).patches(x, fill=-1)
    np.testing.assert_array_equal(patches, [[[[-1, 1], [2, 4]]]])


@given(st.data())
def test_scatter_is_the_adjoint_of_patches(data):
    rank = data.draw(st.integers(0, 3))
    axes = [
        data.draw(st.tuples(st.integers(1, 7), st.integers(1, 3), STEPS, STEPS, st.integers(0, 2)))
        for _ in range(rank)
    ]
    spatial = tuple(max(x, d * (r - 1) + 1) for x, r, _, d, _ in axes)
    window = Window(
        tuple(axis[1] for axis in axes),
        tuple(axis[2] for axis in axes),
        tuple((axis[4], axis[4]) for axis in axes),
        tuple(axis[3] for axis in axes),
    )
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, *spatial))
    patches = window.patches(x)
    given_back = rng.standard_normal(patches.shape)
    scattered = window.scatter(given_back, spatial)
    np.testing.assert_allclose((patches * given_back).sum(), (x * scattered).sum(), atol=1e-10)


def test_crop_undoes_pad():
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    padding = ((1, 0), (2, 3))
    padded = pad(x, padding, fill=7)
    assert padded.shape == (1, 1, 4, 9)
    assert (padded[0, 0, 0] == 7).all()
    np.testing.assert_array_equal(crop(padded, padding), x)
