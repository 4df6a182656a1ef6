from __future__ import annotations

import numpy as np
import pytest

from convoi.estimators.multiset import as_multiset


def as_counts(X, y, weight):
    """Return what the samples of a multiset count, by their values."""
    multiset = as_multiset(X, y, weight)
    return [
        (X[index].tobytes(), y[index].tobytes(), count)
        for index, count in zip(multiset.indices, multiset.weight, strict=True)
    ]


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (40, 2, 2)).astype(np.float32)
    return X, rng.integers(3, size=40), rng.integers(0, 4, 40).astype(float)


def test_equal_samples_are_merged_and_their_weights_added():
    X = np.array([[1.0], [0.0], [1.0], [1.0]])
    y = np.array([5, 5, 5, 6])
    multiset = as_multiset(X, y, np.array([1.0, 2.0, 3.0, 4.0]))
    assert X[multiset.indices].tolist() == [[0.0], [1.0], [1.0]]
    assert y[multiset.indices].tolist() == [5, 5, 6]
    assert multiset.weight.tolist() == [2.0, 4.0, 4.0]


def test_samples_without_weight_are_left_out():
    multiset = as_multiset(np.arange(4.0)[:, None], np.zeros(4), np.array([0.0, 1.0, 0.0, 2.0]))
    assert sorted(multiset.indices) == [1, 3]


def test_the_order_of_the_samples_does_not_matter(samples):
    X, y, weight = samples
    order = np.random.default_rng(1).permutation(len(X))
    assert as_counts(X, y, weight) == as_counts(X[order], y[order], weight[order])


def test_a_weight_is_a_number_of_repetitions(samples):
    X, y, weight = samples
    times = weight.astype(int)
    repeated = X.repeat(times, axis=0), y.repeat(times)
    assert as_counts(X, y, weight) == as_counts(*repeated, np.ones(len(repeated[0])))


def test_weights_are_added_in_one_order_whatever_that_of_the_samples():
    weight = np.random.default_rng(0).uniform(size=50)
    X, y = np.ones((50, 3)), np.ones(50)
    assert as_multiset(X, y, weight).weight == as_multiset(X, y, weight[::-1]).weight


def test_values_of_several_outputs_tell_samples_apart():
    y = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 2.0]])
    multiset = as_multiset(np.zeros((3, 1)), y, np.ones(3))
    assert y[multiset.indices].tolist() == [[1.0, 2.0], [1.0, 3.0]]
    assert multiset.weight.tolist() == [2.0, 1.0]


def test_views_of_any_strides_are_taken(samples):
    X, y, weight = samples
    assert as_counts(np.moveaxis(X, 1, 2), y, weight) == as_counts(
        X.swapaxes(1, 2).copy(), y, weight
    )


def test_long_comparisons_are_made_in_steps(monkeypatch, samples):
    expected = as_counts(*samples)
    monkeypatch.setattr("convoi.estimators.multiset._COMPARED_BYTES", 48)
    assert as_counts(*samples) == expected


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int64, np.float16, np.float32, np.float64, ">f4", ">i2"]
)
def test_the_order_is_that_of_the_values_in_any_dtype(dtype):
    X = np.array([[-2, 1], [0, 0], [1, -1], [-1, 3], [-1, -3], [1, -2], [100, 0]], dtype)
    multiset = as_multiset(X, np.zeros(7), np.ones(7))
    assert X[multiset.indices].tolist() == sorted(X.tolist())


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.float32])
def test_unsigned_values_are_ordered_too(dtype):
    X = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype)
    multiset = as_multiset(X, np.zeros(4), np.ones(4))
    assert multiset.indices.tolist() == [3, 1, 0, 2]


def test_negative_zero_is_zero():
    assert len(as_multiset(np.array([[0.0], [-0.0]]), np.zeros(2), np.ones(2)).indices) == 1


def test_samples_that_are_equal_in_float32_are_equal():
    X = np.array([[1.0], [1.0 + 1e-12]])
    assert len(as_multiset(X, np.zeros(2), np.ones(2)).indices) == 1


def test_values_to_predict_are_compared_in_full():
    y = np.array([1.0, 1.0 + 1e-12])
    assert len(as_multiset(np.zeros((2, 1)), y, np.ones(2)).indices) == 2
