from __future__ import annotations

import numpy as np
import pytest

from convoi import config
from convoi.errors import ArgumentError, ShapeError
from convoi.signal import RocketKernels, rocket_features

each_cpu = pytest.mark.parametrize("cpu", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])


def definition(series, kernels):
    """Return the features of one series (channels, time) in float64."""
    length = series.shape[1]
    ones, zeros = np.ones(len(kernels), int), np.zeros(len(kernels), int)
    counts = ones if kernels.channels_per_kernel is None else kernels.channels_per_kernel
    indices = zeros if kernels.channel_indices is None else kernels.channel_indices
    features, weight, channel = [], 0, 0
    for i in range(len(kernels)):
        taps, dilation, count = kernels.lengths[i], kernels.dilations[i], counts[i]
        reach = (taps - 1) * dilation
        padding = max(kernels.paddings[i], -((length - reach - 1) // 2))
        w = kernels.weights[weight : weight + taps * count].reshape(count, taps)
        x = np.pad(series[indices[channel : channel + count]], ((0, 0), (padding, padding)))
        positions = length + 2 * padding - reach
        y = kernels.biases[i] + sum(
            w[:, r].astype(float) @ x[:, r * dilation : r * dilation + positions]
            for r in range(taps)
        )
        features += [np.mean(y > 0), y.max()]
        weight, channel = weight + taps * count, channel + count
    return np.array(features)


@each_cpu
@pytest.mark.parametrize(("channels", "length"), [(1, 60), (3, 40), (1, 1), (2, 5), (1, 300)])
def test_features_are_those_of_the_definition(cpu, channels, length):
    kernels = RocketKernels.random(length, channels=channels, n_kernels=60, random_state=1)
    X = np.random.default_rng(2).standard_normal((3, channels, length)).astype(np.float32)
    with config.override(cpu=cpu):
        found = rocket_features(X, kernels)
    expected = np.array([definition(item.astype(float), kernels) for item in X])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@each_cpu
def test_every_number_of_positions_around_the_lanes(cpu):
    kernels = RocketKernels([3, 1], [1, 1], [0, 2], [0.5, -1.0], [1.0, -2.0, 1.0, 3.0])
    rng = np.random.default_rng(3)
    series = [rng.integers(-5, 6, (1, length)).astype(float) for length in range(1, 70)]
    with config.override(cpu=cpu):
        found = rocket_features(series, kernels)
    expected = np.array([definition(item, kernels) for item in series])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


def test_features_do_not_depend_on_the_other_series_nor_on_threads():
    rng = np.random.default_rng(4)
    series = [rng.standard_normal((2, length)) for length in rng.integers(1, 90, 20)]
    kernels = RocketKernels.random(60, channels=2, n_kernels=50, random_state=0)
    together = rocket_features(series, kernels, threads=2)
    alone = np.concatenate([rocket_features([item], kernels, threads=1) for item in series])
    np.testing.assert_array_equal(together, alone)


def test_random_kernels_are_those_of_the_publication():
    kernels = RocketKernels.random(1000, channels=12, n_kernels=3000, random_state=0)
    assert set(kernels.lengths) == {7, 9, 11}
    reach = (kernels.lengths - 1) * kernels.dilations
    assert reach.max() <= 999
    assert kernels.dilations.min() == 1
    assert set(
        np.unique(kernels.paddings[kernels.paddings > 0] - reach[kernels.paddings > 0] // 2)
    ) == {0}
    assert 0.45 < np.mean(kernels.paddings > 0) < 0.55
    assert np.abs(kernels.biases).max() <= 1
    counts = kernels.channels_per_kernel
    assert counts.min() == 1
    assert (counts <= np.minimum(12, kernels.lengths)).all()
    groups = np.repeat(kernels.lengths, counts)
    sums = np.add.reduceat(kernels.weights, np.cumsum(groups) - groups)
    np.testing.assert_allclose(sums, 0, atol=1e-5)
    ends = np.cumsum(counts)
    chosen = [kernels.channel_indices[end - n : end] for end, n in zip(ends, counts, strict=True)]
    assert all(len(set(channels)) == len(channels) for channels in chosen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [1], [0], [0.0], []), "'lengths' parameter of RocketKernels must be one integer"),
        (([3], [0], [0], [0.0], np.zeros(3)), "'dilations' parameter of RocketKernels"),
        (([3], [2**40], [0], [0.0], np.zeros(3)), "'dilations' parameter of RocketKernels"),
        (([3], [1], [-1], [0.0], np.zeros(3)), "'paddings' parameter of RocketKernels"),
        (([3], [1, 1], [0], [0.0], np.zeros(3)), "'dilations' parameter of RocketKernels"),
        (([3], [1], [0], [np.inf], np.zeros(3)), "'biases' parameter .* 1 finite numbers"),
        (([3], [1], [0], [0.0], np.zeros(4)), "'weights' parameter .* 3 finite numbers"),
        (([3], [1], [0], [0.0], np.zeros(3), [1], [-1]), "numbers of channels"),
    ],
)
def test_kernels_that_may_not_be(arguments, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        RocketKernels(*arguments)


def test_series_with_fewer_channels_than_the_kernels():
    kernels = RocketKernels([1], [1], [0], [0.0], [1.0], [1], [2])
    with pytest.raises(ShapeError, match="must have at least 3 channels"):
        rocket_features(np.zeros((1, 2, 9)), kernels)
