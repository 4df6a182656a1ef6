from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from convoi import config
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.signal import MiniRocketKernels, minirocket_features

GOLDEN = json.loads((Path(__file__).parent / "golden" / "minirocket.json").read_text())
WEIGHTS = np.full((84, 9), -1)
for _row, _chosen in zip(WEIGHTS, combinations(range(9), 3), strict=True):
    _row[list(_chosen)] = 2

CPUS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


def definition(series, kernels):
    """Return the features of one series (channels, time): the definition, a kernel at a time."""
    length = series.shape[1]
    features, begin = [], 0
    counts, indices = kernels.channels_per_combination, kernels.channel_indices
    if counts is None:
        counts, indices = np.ones(84 * len(kernels.dilations), int), np.zeros(10**4, int)
    ends = np.cumsum(counts)
    for j, dilation in enumerate(kernels.dilations):
        x = np.pad(series, ((0, 0), (4 * dilation, 4 * dilation)))
        taps = np.stack([x[:, i * dilation : i * dilation + length] for i in range(9)])
        for k in range(84):
            chosen = indices[ends[84 * j + k] - counts[84 * j + k] : ends[84 * j + k]]
            C = WEIGHTS[k] @ taps[:, chosen].sum(axis=1)
            if (j + k) % 2 and length > 8 * dilation:
                C = C[4 * dilation : -4 * dilation]
            end = begin + kernels.features_per_dilation[j]
            features.append((kernels.biases[begin:end, np.newaxis] < C).mean(axis=1))
            begin = end
    return np.concatenate(features)


def whole_numbers(rng, channels, length):
    """Return a series whose convolutions are exact in float32, whatever the order of the sums."""
    return rng.integers(-9, 10, (channels, length)).astype(np.float64)


def some_kernels(rng, channels, dilations):
    per_dilation = rng.integers(1, 4, len(dilations))
    counts = indices = None
    if channels > 1:
        counts = rng.integers(1, channels + 1, 84 * len(dilations))
        indices = np.concatenate([rng.permutation(channels)[:count] for count in counts])
    # Never a value that the convolution of whole numbers has.
    biases = rng.integers(-20, 20, 84 * per_dilation.sum()) + 0.5
    return MiniRocketKernels(dilations, per_dilation, biases, counts, indices)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_the_definition_at_each_vector_width(channels):
    rng = np.random.default_rng(channels)
    kernels = some_kernels(rng, channels, [1, 2, 5])
    lengths = (1, 3, 8, 9, 15, 16, 17, 33, 41, 64, 65, 97, 130, 257)
    series = [whole_numbers(rng, channels, length) for length in lengths]
    expected = np.array([definition(item, kernels) for item in series])
    for cpu in CPUS:
        with config.override(cpu=cpu):
            found = minirocket_features(series, kernels, threads=1)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0, err_msg=cpu)


@pytest.mark.parametrize("case", GOLDEN["cases"])
@pytest.mark.parametrize("cpu", CPUS)
def test_features_equal_those_of_aeon_with_the_same_parameters(case, cpu):
    given = {k: np.array(v) for k, v in case.items() if k not in {"X", "features"}}
    kernels = MiniRocketKernels(**given)
    with config.override(cpu=cpu):
        found = minirocket_features(np.array(case["X"], np.float32), kernels)
    np.testing.assert_allclose(found, np.array(case["features"]), rtol=0, atol=1e-6)


def test_a_dilation_beyond_the_series_leaves_the_middle_tap():
    rng = np.random.default_rng(0)
    X = whole_numbers(rng, 1, 40)
    biases = rng.integers(-20, 20, 84) + 0.5
    found = [minirocket_features(X, MiniRocketKernels([d], [1], biases)) for d in (40, 50, 2**40)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_features_do_not_depend_on_the_other_series_nor_on_threads():
    rng = np.random.default_rng(3)
    series = [rng.standard_normal((2, length)) for length in rng.integers(9, 200, 37)]
    kernels = MiniRocketKernels.fit(series, n_features=504, random_state=0)
    together = minirocket_features(series, kernels, threads=2)
    alone = np.concatenate([minirocket_features([item], kernels, threads=1) for item in series])
    np.testing.assert_array_equal(together, alone)


def test_forms_of_series_that_say_the_same():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((5, 30))
    kernels = MiniRocketKernels.fit(X, n_features=168, random_state=0)
    expected = minirocket_features(X, kernels)
    unequal = np.empty(5, object)
    unequal[:] = list(X)
    for form in (
        X[:, np.newaxis],
        list(X),
        X.tolist(),
        unequal,
        np.asfortranarray(X),
        X[:, ::-1][:, ::-1],
    ):
        np.testing.assert_array_equal(minirocket_features(form, kernels), expected)


@pytest.mark.parametrize(
    ("length", "dilations", "per_dilation"),
    [
        # floor(2 ** (i / 31 * log2((length - 1) / 8))) for i in range(32): 119 features of a
        # kernel over 32 dilations, some of them equal.
        (24, [1, 2], [79, 40]),
        (9, [1], [119]),
        (3, [1], [119]),
    ],
)
def test_dilations_follow_the_length_of_the_series(length, dilations, per_dilation):
    X = np.random.default_rng(0).standard_normal((4, length))
    kernels = MiniRocketKernels.fit(X, random_state=0)
    np.testing.assert_array_equal(kernels.dilations, dilations)
    np.testing.assert_array_equal(kernels.features_per_dilation, per_dilation)
    assert len(kernels) == 9996


def test_biases_are_quantiles_of_convolutions():
    """With one training series, each bias splits the convolution at a known proportion."""
    series = np.random.default_rng(5).standard_normal((1, 700))
    kernels = MiniRocketKernels.fit(series, n_features=840, max_dilations=3, random_state=0)
    features = minirocket_features(series, kernels)[0]
    quantiles = np.arange(1, 841) * ((np.sqrt(5) + 1) / 2) % 1
    stage = np.repeat(np.arange(len(kernels.dilations)), 84 * kernels.features_per_dilation)
    within = np.concatenate(
        [np.repeat(np.arange(84), count) for count in kernels.features_per_dilation]
    )
    padded = (stage + within) % 2 == 0
    np.testing.assert_allclose(features[padded], 1 - quantiles[padded], atol=2 / 700)


def test_biases_do_not_depend_on_how_many_kernels_are_convolved_at_a_time(monkeypatch):
    X = np.random.default_rng(6).standard_normal((3, 2, 90))
    whole = MiniRocketKernels.fit(X, n_features=168, random_state=0)
    monkeypatch.setattr("convoi.signal.minirocket._ELEMENTS", 1000)
    in_portions = MiniRocketKernels.fit(X, n_features=168, random_state=0)
    np.testing.assert_array_equal(whole.biases, in_portions.biases)


def test_the_same_random_state_gives_the_same_kernels():
    X = np.random.default_rng(0).standard_normal((6, 4, 30))
    first, second, other = (
        MiniRocketKernels.fit(X, n_features=168, random_state=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.biases, second.biases)
    np.testing.assert_array_equal(first.channel_indices, second.channel_indices)
    assert (first.biases != other.biases).any()


def test_series_without_values_lie_above_no_bias():
    kernels = MiniRocketKernels.fit(np.zeros((3, 50)), n_features=84, random_state=0)
    np.testing.assert_array_equal(minirocket_features(np.zeros((2, 50)), kernels), 0)


def test_no_series_give_no_rows():
    kernels = MiniRocketKernels([1], [1], np.zeros(84))
    assert minirocket_features(np.empty((0, 30)), kernels).shape == (0, 84)


def test_kernels_are_not_fitted_to_no_series():
    with pytest.raises(ArgumentError, match="must have at least one series"):
        MiniRocketKernels.fit(np.empty((0, 30)))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros(30), ShapeError, r"'X' parameter .* shape \(n, time\) .* Got an array of shape"),
        (np.zeros((2, 0)), ShapeError, "'X' parameter"),
        (np.zeros((2, 2, 2, 2)), ShapeError, "'X' parameter"),
        (np.array([["a"]]), ArgumentTypeError, "'X' parameter"),
        ([np.zeros(3), np.zeros((2, 3))], ShapeError, "Series 0 has 1, and series 1 has 2"),
        ([np.zeros(3), np.zeros(0)], ShapeError, "That is series 1"),
        ([np.zeros(3), np.array(["a", "b"])], ArgumentTypeError, "That is series 1"),
        ([np.zeros(3), np.array([1, np.nan])], DataError, "Series 1 has one in channel 0 at time"),
        (np.full((1, 2, 9), 1e39), DataError, "Series 0 has one in channel 0 at time step 0"),
        (3, ShapeError, "'X' parameter"),
    ],
)
def test_series_that_cannot_be_used(X, error, message):
    kernels = MiniRocketKernels([1], [1], np.zeros(84))
    with pytest.raises(error, match=message):
        minirocket_features(X, kernels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [1], np.zeros(84)), "'dilations' parameter of MiniRocketKernels must be"),
        (([1.5], [1], np.zeros(84)), "'dilations' parameter of MiniRocketKernels must be"),
        (([], [], np.zeros(0)), "'dilations' parameter of MiniRocketKernels must be"),
        (([1], [1, 1], np.zeros(168)), "one entry for each of the 1 dilations. Got 2"),
        (([1], [1], np.zeros(83)), r"must be 84 numbers, .* Got an array of shape \(83,\)"),
        (([1], [1], np.full(84, np.nan)), "with NaN"),
        (([1], [1], np.zeros(84), np.ones(83, int), np.zeros(83, int)), "numbers of channels"),
        (([1], [1], np.zeros(84), np.ones(84, int), np.full(84, -1)), "numbers of channels"),
        (([1], [1], np.zeros(84), np.ones(84, int), None), "numbers of channels"),
    ],
)
def test_kernels_that_may_not_be(arguments, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        MiniRocketKernels(*arguments)


def test_series_with_fewer_channels_than_the_kernels():
    X = np.random.default_rng(0).standard_normal((5, 3, 30))
    kernels = MiniRocketKernels.fit(X, n_features=84, random_state=0)
    with pytest.raises(ShapeError, match="must have at least 3 channels"):
        minirocket_features(X[:, :2], kernels)
