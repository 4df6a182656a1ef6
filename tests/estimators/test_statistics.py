from __future__ import annotations

import numpy as np
import pytest

from convoi.data import as_sample_source
from convoi.estimators.statistics import channel_statistics


def test_mean_and_deviation_are_those_of_the_repeated_samples():
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (20, 2, 4, 5)).astype(np.float32)
    times = rng.integers(1, 4, 20)
    mean, std = channel_statistics(X, times.astype(float))
    repeated = X.astype(np.float64).repeat(times, axis=0)
    np.testing.assert_allclose(mean, repeated.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, repeated.std(axis=(0, 2, 3)), rtol=1e-12)


def test_values_without_spatial_axes_are_channels():
    X = np.array([[1.0, 10.0], [3.0, 30.0]])
    mean, std = channel_statistics(X, np.ones(2))
    assert mean.tolist() == [2.0, 20.0]
    assert std.tolist() == [1.0, 10.0]


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_a_channel_without_deviation_has_the_deviation_one(value):
    mean, std = channel_statistics(np.full((7, 1, 3, 3), value), np.ones(7))
    assert mean == pytest.approx(value)
    assert std == 1


def test_values_far_from_zero_keep_their_deviation():
    rng = np.random.default_rng(0)
    X = 1e8 + rng.normal(size=(500, 1))
    _, std = channel_statistics(X, np.ones(500))
    np.testing.assert_allclose(std, X.std(axis=0), rtol=1e-6)


def test_long_sums_are_made_in_steps(monkeypatch):
    X = np.random.default_rng(0).normal(size=(30, 2, 5))
    expected = channel_statistics(X, np.arange(30.0))
    monkeypatch.setattr("convoi.estimators.statistics._ELEMENTS", 25)
    np.testing.assert_allclose(channel_statistics(X, np.arange(30.0)), expected, rtol=1e-12)


def test_evenly_spaced_samples_stand_for_a_source(monkeypatch):
    monkeypatch.setattr("convoi.estimators.statistics._DRAWN", 4)
    X = np.arange(8.0)[:, None, None]
    mean, _ = channel_statistics(as_sample_source(X), np.ones(8))
    assert mean == np.mean([0, 2, 4, 6])


def test_bytes_are_not_added_as_bytes():
    mean, std = channel_statistics(np.full((300, 1, 2), 255, np.uint8), np.ones(300))
    assert mean == 255
    assert std == 1
