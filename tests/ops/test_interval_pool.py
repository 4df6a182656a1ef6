"""Adaptive and fractional pooling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convoi import ops
from convoi.errors import ShapeError
from convoi.ops.interval_pool import adaptive_intervals, fractional_intervals

EXTENTS = st.integers(1, 300).flatmap(lambda x: st.tuples(st.just(x), st.integers(1, x)))


@given(EXTENTS)
def test_adaptive_intervals_cover_the_axis_and_have_nearly_equal_lengths(extents):
    extent, count = extents
    intervals = adaptive_intervals(extent, count)
    assert intervals[0][0] == 0
    assert intervals[-1][1] == extent
    assert all(a[0] < b[0] <= a[1] for a, b in itertools.pairwise(intervals))
    lengths = {b - a for a, b in intervals}
    assert max(lengths) - min(lengths) <= 2
    if extent % count == 0:
        assert lengths == {extent // count}


@given(EXTENTS, st.integers(0, 2**16 - 1))
def test_fractional_intervals_follow_one_another_and_differ_by_one(extents, phase):
    extent, count = extents
    intervals = fractional_intervals(extent, count, phase, overlapping=False)
    assert len(intervals) == count
    assert intervals[0][0] == 0
    assert intervals[-1][1] == extent
    assert all(a[1] == b[0] for a, b in itertools.pairwise(intervals))
    assert {b - a for a, b in intervals} <= {extent // count, -(-extent // count)}


@given(EXTENTS, st.integers(0, 2**16 - 1))
def test_overlapping_intervals_reach_into_the_next(extents, phase):
    extent, count = extents
    plain = fractional_intervals(extent, count, phase, overlapping=False)
    longer = fractional_intervals(extent, count, phase, overlapping=True)
    assert longer == [(a, min(b + 1, extent)) for a, b in plain]


def test_adaptive_pools_of_a_divisor_are_ordinary_pools(rng):
    x = rng.standard_normal((2, 3, 6, 8))
    window = ((2, 4), (2, 4), ((0, 0), (0, 0)))
    average, largest = ops.AdaptiveAveragePool((3, 2)), ops.AdaptiveMaxPool((3, 2))
    np.testing.assert_allclose(average.reference(x), ops.AveragePool(*window).reference(x))
    np.testing.assert_array_equal(largest.reference(x), ops.MaxPool(*window).reference(x))


def test_adaptive_pools_look_at_the_windows_that_pytorch_documents(rng):
    x = rng.standard_normal((1, 1, 7, 5))
    rows, columns = ((0, 3), (2, 5), (4, 7)), ((0, 3), (2, 5))
    blocks = [[x[0, 0, a:b, c:d] for c, d in columns] for a, b in rows]
    average = ops.AdaptiveAveragePool((3, 2)).reference(x)[0, 0]
    largest = ops.AdaptiveMaxPool((3, 2)).reference(x)[0, 0]
    np.testing.assert_allclose(average, [[block.mean() for block in row] for row in blocks])
    np.testing.assert_array_equal(largest, [[block.max() for block in row] for row in blocks])


def test_a_larger_output_repeats_values(rng):
    x = rng.standard_normal((1, 2, 3))
    np.testing.assert_array_equal(ops.AdaptiveMaxPool((6,)).reference(x), np.repeat(x, 2, axis=-1))


def test_samples_have_intervals_of_their_own_and_channels_the_same(rng):
    one = rng.standard_normal((1, 1, 1, 51))
    x = np.broadcast_to(one[0], (30, 2, 1, 51))
    y = ops.FractionalMaxPoolSampled((1, 37), stream=4).reference(x, np.uint64(3))
    np.testing.assert_array_equal(y[:, 0], y[:, 1])
    assert len(np.unique(y[:, 0, 0], axis=0)) > 10


def test_predictions_have_the_phase_of_one_half(rng):
    x = rng.standard_normal((2, 1, 10))
    y = ops.FractionalMaxPool((7,)).reference(x)
    starts = [int((i + 0.5) * 10 / 7) - int(0.5 * 10 / 7) for i in range(8)]
    expected = [x[:, 0, a:b].max(axis=-1) for a, b in itertools.pairwise(starts)]
    np.testing.assert_array_equal(y[:, 0], np.stack(expected, axis=-1))


def test_fractional_pooling_refuses_to_enlarge():
    with pytest.raises(ShapeError, match="cannot shrink to"):
        ops.FractionalMaxPool((6,)).infer_shape((1, 5))


def test_fractional_pooling_refuses_axes_whose_bounds_it_could_not_compute():
    assert ops.FractionalMaxPool((2,)).infer_shape((1, 2**23)) == (1, 2)
    with pytest.raises(ShapeError, match="positions is longer than 8388608"):
        ops.FractionalMaxPool((2,)).infer_shape((1, 2**23 + 1))
