from __future__ import annotations

import numpy as np
import pytest

from convoi.data import DatasetSplits, SeriesDataset
from convoi.errors import ArgumentError, DataError

UNEQUAL = (np.zeros((2, 3)), np.ones((2, 5)), np.full((2, 4), np.nan))


def test_series_of_unequal_length():
    data = SeriesDataset("walks", UNEQUAL, np.array([0, 1, 1]), ("a", "b"))
    assert (len(data), data.channels, data.sample_shape) == (3, 2, (2, 5))
    assert data.lengths.tolist() == [3, 5, 4]
    assert data.missing
    assert data.is_series
    assert data.labels.tolist() == ["a", "b", "b"]
    assert data.class_counts() == {"a": 1, "b": 2}
    assert repr(data) == (
        "SeriesDataset('walks', 3 series of 2 channels and 3 to 5 time steps, float64, 2 classes)"
    )


def test_parts_of_series_are_series():
    data = SeriesDataset("walks", UNEQUAL, np.array([0.5, 1, 2]))
    part = data.subset([2, 0])
    assert [item.shape[1] for item in part.X] == [4, 3]
    assert part.labels.tolist() == [2, 0.5]
    equal = SeriesDataset("walks", np.zeros((4, 1, 6)), np.array([0, 0, 1, 1]), (3, 4))
    train, validation = equal.split(0.5, random_state=0)
    assert train.X.shape == validation.X.shape == (2, 1, 6)


def test_series_of_one_length_are_a_source_of_samples():
    X = np.random.default_rng(0).standard_normal((4, 1, 6))
    np.testing.assert_array_equal(SeriesDataset("walks", X).source.take([3, 1]), X[[3, 1]])
    with pytest.raises(DataError, match="have unequal lengths, and are no grid"):
        SeriesDataset("walks", UNEQUAL).source  # noqa: B018 - the access raises


def test_a_test_set_may_have_other_lengths_but_not_other_channels():
    train = SeriesDataset("walks", UNEQUAL)
    assert DatasetSplits(train, SeriesDataset("walks", np.zeros((3, 2, 9)))).test is not None
    with pytest.raises(DataError, match="They must be the same"):
        DatasetSplits(train, SeriesDataset("walks", np.zeros((3, 1, 9))))


@pytest.mark.parametrize(
    ("X", "y", "classes"),
    [
        ((), None, None),
        (np.zeros((2, 3)), None, None),
        (np.zeros((2, 1, 0)), None, None),
        (np.zeros((2, 1, 3), np.int64), None, None),
        ((np.zeros((1, 3)), np.zeros((2, 3))), None, None),
        ((np.zeros((1, 3)), np.zeros((1, 3), np.float32)), None, None),
        ((np.zeros((1, 3)), [[1.0]]), None, None),
        (UNEQUAL, np.zeros(2), None),
        (UNEQUAL, np.array([0, 1, 2]), ("a", "b")),
    ],
)
def test_what_is_no_data_set_of_series(X, y, classes):
    with pytest.raises(ArgumentError, match="parameter of SeriesDataset must"):
        SeriesDataset("walks", X, y, classes)
