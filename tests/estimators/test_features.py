from __future__ import annotations

import pickle

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.estimators import (
    FeaturesClassifier,
    MiniRocketClassifier,
    MiniRocketFeatures,
    NetworkFeatures,
    RocketClassifier,
    RocketFeatures,
)
from convoi.signal import MiniRocketKernels, minirocket_features, rocket_features

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(12, 40, 10)


def unequal(channels=2):
    rng = np.random.default_rng(1)
    return [rng.standard_normal((channels, length)) for length in LENGTHS]


def waves(count=40, length=60):
    """Return sines of two frequencies with random phases, and which frequency each has."""
    rng = np.random.default_rng(2)
    y = np.repeat(["fast", "slow"], count // 2)
    speed = np.where(y == "slow", 0.15, 0.4)
    X = np.sin(np.outer(speed, np.arange(length)) + 6 * rng.random((count, 1)))
    return X + 0.1 * rng.standard_normal(X.shape), y


@pytest.fixture(autouse=True)
def _one_thread_of_blas():
    """Matrices are small here: threads that wait for each other take most of the time."""
    with threadpool_limits(1):
        yield


@parametrize_with_checks(
    [
        MiniRocketFeatures(n_kernels=84),
        RocketFeatures(n_kernels=20),
        MiniRocketClassifier(n_kernels=168),
        RocketClassifier(n_kernels=60),
    ]
)
def test_scikit_learns_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", [MiniRocketFeatures, RocketFeatures])
def test_features_are_those_of_the_fitted_kernels(cls):
    X = np.random.default_rng(3).standard_normal((6, 30))
    transformer = cls(84, random_state=0).fit(X)
    if cls is MiniRocketFeatures:
        expected = minirocket_features(X, transformer.kernels_)
    else:
        scaled = (X - X.mean(1, keepdims=True)) / X.std(1, keepdims=True)
        expected = rocket_features(scaled, transformer.kernels_)
    found = transformer.transform(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("cls", [MiniRocketFeatures, RocketFeatures])
def test_series_of_unequal_length_have_features_of_their_own(cls):
    series = unequal()
    transformer = cls(84, random_state=0).fit(series)
    together = transformer.transform(series)
    for item, row in zip(series, together, strict=True):
        np.testing.assert_array_equal(transformer.transform([item])[0], row)


def test_dilations_and_biases_may_be_set():
    X = np.random.default_rng(4).standard_normal((5, 30))
    transformer = MiniRocketFeatures(84, random_state=0).fit(X)
    transformer.kernels_ = MiniRocketKernels([3], [1], np.linspace(-1, 1, 84))
    expected = minirocket_features(X, transformer.kernels_)
    np.testing.assert_array_equal(transformer.transform(X), expected)


def test_series_are_normalised_unless_told_otherwise():
    X = np.random.default_rng(5).standard_normal((4, 30))
    scaled, shifted = RocketFeatures(50, random_state=0), 5 + 3 * X
    np.testing.assert_allclose(
        scaled.fit(X).transform(X), scaled.transform(shifted), rtol=1e-3, atol=1e-4
    )
    raw = RocketFeatures(50, normalize=False, random_state=0).fit(X)
    np.testing.assert_array_equal(raw.transform(X), rocket_features(X, raw.kernels_))


def test_a_constant_channel_is_normalised_to_zero():
    X = np.full((2, 30), 0.3)
    transformer = RocketFeatures(20, random_state=0).fit(X)
    expected = rocket_features(np.zeros((2, 30)), transformer.kernels_)
    np.testing.assert_array_equal(transformer.transform(X), expected)


def test_names_of_features():
    transformer = MiniRocketFeatures(84).fit(np.random.default_rng(0).standard_normal((3, 20)))
    assert transformer.get_feature_names_out()[:2].tolist() == [
        "minirocketfeatures0",
        "minirocketfeatures1",
    ]


@pytest.mark.parametrize(
    ("transformer", "error", "message"),
    [
        (MiniRocketFeatures(0), ArgumentError, "'n_kernels' parameter of MiniRocketFeatures"),
        (
            MiniRocketFeatures(max_dilations_per_kernel=0),
            ArgumentError,
            "'max_dilations_per_kernel' parameter",
        ),
        (MiniRocketFeatures(threads=0), ArgumentError, "'threads' parameter"),
        (RocketFeatures(2.5), ArgumentTypeError, "'n_kernels' parameter of RocketFeatures"),
        (RocketFeatures(normalize="yes"), ArgumentTypeError, "'normalize' parameter"),
        (NetworkFeatures("model"), ArgumentTypeError, "a Network or a fitted estimator"),
        (
            NetworkFeatures(Network(nn.Conv(2, 3), (1, 8, 8), random_state=0)),
            ShapeError,
            "a network for series",
        ),
    ],
)
def test_parameters_that_may_not_be(transformer, error, message):
    with pytest.raises(error, match=message):
        transformer.fit(np.zeros((3, 20)))


def test_other_channels_than_those_that_were_fitted():
    transformer = MiniRocketFeatures(84).fit(unequal())
    with pytest.raises(ShapeError, match=r"must be series of 2 channels, .* Got 3 instead"):
        transformer.transform(unequal(channels=3))


def test_values_that_are_not_finite():
    with pytest.raises(DataError, match="Series 1 has one in channel 0 at time step 2"):
        MiniRocketFeatures(84).fit([np.zeros(5), np.array([1, 2, np.nan])])
    with pytest.raises(ValueError, match="NaN"):
        MiniRocketFeatures(84).fit(np.full((2, 1, 9), np.nan))


def test_features_in_two_threads_are_the_same():
    X = np.random.default_rng(6).standard_normal((40, 90))
    transformer = MiniRocketFeatures(84, random_state=0).fit(X)
    work = (delayed(transformer.transform)(X) for _ in range(6))
    for features in Parallel(n_jobs=2, backend="threading")(work):
        np.testing.assert_array_equal(features, transformer.transform(X))


@pytest.mark.parametrize(
    "classifier",
    [
        MiniRocketClassifier(840, random_state=0),
        RocketClassifier(200, random_state=0),
        FeaturesClassifier(RocketFeatures(200, random_state=0)),
    ],
)
def test_classifiers_tell_waves_apart(classifier):
    X, y = waves()
    fitted = classifier.fit(X[::2], y[::2])
    assert fitted.classes_.tolist() == ["fast", "slow"]
    assert fitted.score(X[1::2], y[1::2]) == 1.0
    assert fitted.decision_function(X).shape == (40,)


def test_a_classifier_of_series_of_unequal_length():
    X, y = waves()
    series = [row[: 40 + number % 20] for number, row in enumerate(X)]
    model = MiniRocketClassifier(840, random_state=0).fit(series[::2], y[::2])
    assert model.score(series[1::2], y[1::2]) == 1.0
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(series), model.predict(series))


def test_a_classifier_needs_labels():
    with pytest.raises(DataError, match="requires y to be passed"):
        MiniRocketClassifier().fit(np.zeros((3, 20)), None)


def test_a_classifier_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        MiniRocketClassifier().predict(np.zeros((3, 20)))


@pytest.fixture(scope="module")
def network():
    layers = nn.Sequential(
        nn.Conv(6, 5, padding="same"), nn.BatchNorm(), nn.ReLU(),
        nn.Conv(4, 3, padding="same"), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(2),
    )  # fmt: skip
    return Network(layers, (1, 60), random_state=0)


def convolved(network, X, name="0"):
    """Return the convolution of rows with the kernels of a network's layer, zeros around."""
    weight, bias = network.parameters[f"{name}.weight"], network.parameters[f"{name}.bias"]
    pad = weight.shape[2] // 2
    X = np.pad(X, ((0, 0), (0, 0), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(X, weight.shape[2], axis=2)
    return np.einsum("nctr,kcr->nkt", windows, weight) + bias[:, np.newaxis]


def pooled(y):
    return np.stack([(y > 0).mean(2), y.max(2)], axis=2).reshape(len(y), -1)


@pytest.mark.parametrize("length", [60, 33])
def test_features_of_learned_kernels(network, length):
    X = np.random.default_rng(7).standard_normal((5, 1, length))
    first = convolved(network, X)
    p = network.parameters
    mean, var, scale, shift = (
        p[f"1.{name}"][:, np.newaxis] for name in ("running_mean", "running_var", "weight", "bias")
    )
    normalised = (first - mean) / np.sqrt(var + 1e-5) * scale + shift
    second = convolved(network, np.maximum(normalised, 0), "3")
    for layer, expected in ((0, normalised), (-1, second)):
        features = NetworkFeatures(network, layer=layer).fit(X).transform(list(X))
        np.testing.assert_allclose(features, pooled(expected), atol=1e-4)


def test_a_layer_by_its_name(network):
    X = np.random.default_rng(8).standard_normal((3, 60))
    by_number = NetworkFeatures(network, layer=1).fit(X)
    by_name = NetworkFeatures(network, layer=by_number.layer_).fit(X)
    np.testing.assert_array_equal(by_number.transform(X), by_name.transform(X))


@pytest.mark.parametrize("layer", ["fifth", 2, -3])
def test_a_layer_that_the_network_has_not(network, layer):
    with pytest.raises(ArgumentError, match="'layer' parameter of NetworkFeatures"):
        NetworkFeatures(network, layer=layer).fit(np.zeros((3, 60)))


def test_channels_that_the_network_does_not_take(network):
    with pytest.raises(ShapeError, match="must be series of 1 channels, as the network"):
        NetworkFeatures(network).fit(np.zeros((3, 2, 60)))


def test_random_and_learned_kernels_share_a_pipeline(network):
    X, y = waves()
    union = FeatureUnion(
        [("learned", NetworkFeatures(network)), ("random", MiniRocketFeatures(84, random_state=0))]
    )
    model = FeaturesClassifier(union).fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) == 1.0
    assert clone(model).get_params()["features__learned__layer"] == 0
    scaled = make_pipeline(NetworkFeatures(network), StandardScaler()).fit(X)
    restored = pickle.loads(pickle.dumps(scaled))
    np.testing.assert_array_equal(restored.transform(X), scaled.transform(X))


def test_one_class_is_refused():
    X, _ = waves(8)
    with pytest.raises(ValueError, match="class"):
        MiniRocketClassifier(84).fit(X, np.ones(8))


def test_one_strength_of_regularisation():
    X, y = waves()
    model = MiniRocketClassifier(84, alphas=(1.0,), random_state=0).fit(X, y)
    assert model.score(X, y) == 1.0
