from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.linear_model import Ridge

from convoi import SeriesClassifier, nn
from convoi.errors import ArgumentError, ModelFileError
from convoi.estimators.fixed_kernels import FixedKernels, _factor, _leave_one_out
from convoi.nn.model_file import read_model, write_model


def narrow(outputs):
    return nn.networks.fcn(outputs, 4)


def waves(count=30, channels=1, lengths=(24, 25)):
    """Return slow, middling and fast waves, and which is which."""
    rng = np.random.default_rng(0)
    y = np.array(["fast", "middling", "slow"])[np.arange(count) % 3]
    frequency = {"fast": 1.5, "middling": 0.8, "slow": 0.3}
    X = [
        np.sin(np.arange(n) * frequency[label] + rng.uniform(0, 6, (channels, 1)))
        for label, n in zip(y, rng.integers(*lengths, count), strict=True)
    ]
    return X, y


@pytest.fixture
def voting():
    return SeriesClassifier(narrow, epochs=1, ensemble=1, fixed_kernels=True, random_state=0)


def test_what_is_left_out_is_predicted_as_by_fits_to_the_others():
    rng = np.random.default_rng(0)
    Z, weight, alpha = rng.normal(size=(12, 20)), rng.uniform(0.5, 3, 12), 0.7
    target = rng.normal(size=(12, 2))
    fitted = Ridge(alpha).fit(Z, target, weight).predict(Z)
    found = _leave_one_out(Z, target, weight, alpha, fitted)
    for i in range(12):
        rest = np.arange(12) != i
        other = Ridge(alpha).fit(Z[rest], target[rest], weight[rest])
        np.testing.assert_allclose(found[i], other.predict(Z[i : i + 1])[0], rtol=1e-9)


def test_the_factor_gives_probabilities_that_occur():
    # Outputs of 1 and -1 that are right in three of four cases: p = 3/4 asks for e^(2 f) = 3.
    outputs = np.tile([1.0, -1.0], (4, 1))
    codes = np.array([0, 0, 0, 1])
    assert _factor(outputs, codes, np.ones(4)) == pytest.approx(np.log(3) / 2, rel=1e-3)
    weighted = _factor(outputs[2:], codes[2:], np.array([3.0, 1.0]))
    assert weighted == pytest.approx(np.log(3) / 2, rel=1e-3)


def test_fixed_kernels_have_half_of_the_votes(voting):
    X, y = waves()
    voting.fit(X[:20], y[:20])
    samples = voting.normalization_(np.stack(X))
    networks = softmax(voting.network_(samples), axis=1)
    kernels = voting.fixed_kernels_.probabilities(samples, threads=1)
    np.testing.assert_allclose(voting.predict_proba(X), (networks + kernels) / 2, atol=1e-6)
    assert (kernels[20:].argmax(axis=1) == np.arange(20, 30) % 3).mean() > 0.8


def test_they_vote_beside_an_ensemble_of_both_kinds(voting):
    X, y = waves(channels=2)
    voting.set_params(ensemble=2, normalize="both").fit(X, y)
    samples = voting.normalization_(np.stack(X))
    networks = voting.network_(samples) / 2
    kernels = voting.fixed_kernels_.probabilities(samples[:, :2], threads=1)
    np.testing.assert_allclose(voting.predict_proba(X), (networks + kernels) / 2, atol=1e-6)


@pytest.mark.parametrize("lengths", [(24, 25), (5, 30)], ids=["equal", "unequal"])
def test_probabilities_depend_on_the_series_alone(voting, lengths, tmp_path):
    X, y = waves(channels=2, lengths=lengths)
    expected = voting.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(voting.predict_proba(X[7:8])[0], expected[7])
    one_thread = clone(voting).set_params(threads=1).fit(X, y)
    np.testing.assert_array_equal(one_thread.predict_proba(X), expected)
    voting.save(tmp_path / "model.convoi")
    loaded = SeriesClassifier.load(tmp_path / "model.convoi")
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)


def test_a_class_without_series_is_improbable():
    X, _ = waves()
    codes = np.arange(30) % 2
    kernels = FixedKernels.fit(np.stack(X), codes, np.ones(30), 3, seed=0, threads=1)
    assert kernels.probabilities(np.stack(X), threads=1)[:, 2].max() < 0.5


def test_they_vote_where_nothing_is_decided_by_the_user():
    X, y = waves()
    default = SeriesClassifier(epochs=1, random_state=0)
    assert default.fit(X, y).fixed_kernels_ is not None
    for given in ({"network": narrow}, {"ensemble": 2}, {"fixed_kernels": False}):
        other = clone(default).set_params(epochs=1, **{"ensemble": "auto", **given})
        assert other.fit(X, y).fixed_kernels_ is None
    short = [x[:, :16] for x in X]
    assert clone(default).fit(short, y).fixed_kernels_ is None


def test_missing_values_are_not_for_them(voting):
    X, y = waves()
    with pytest.raises(ArgumentError, match="fixed kernels of SeriesClassifier take no missing"):
        voting.set_params(missing="mask").fit(X, y)
    X[3][0, 5] = np.nan
    unable = SeriesClassifier(epochs=1, missing="mask", random_state=0).fit(X, y)
    assert unable.fixed_kernels_ is None


def test_partial_fit_leaves_them_as_they_are(voting, tmp_path):
    X, y = waves()
    assert clone(voting).partial_fit(X, y).fixed_kernels_ is None
    voting.set_params(ensemble=2).fit(X, y)
    kernels = voting.fixed_kernels_
    assert voting.partial_fit(X, y).fixed_kernels_ is kernels
    voting.save(tmp_path / "model.convoi")
    loaded = SeriesClassifier.load(tmp_path / "model.convoi")
    expected = loaded.predict_proba(X)
    with pytest.raises(ArgumentError, match="one by one"):
        loaded.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)


def halved(name):
    def damage(extra, arrays):
        return extra, {**arrays, name: arrays[name][..., ::2].copy()}

    return damage


def emptied(name):
    return lambda extra, arrays: (extra, {**arrays, name: np.zeros_like(arrays[name])})


def raised(arrays, name):
    return {**arrays, name: arrays[name] + 2**62}


def changed(**entries):
    def damage(extra, arrays):
        return {**extra, "fixed_kernels": {**extra["fixed_kernels"], **entries}}, arrays

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        changed(dilations=0),
        changed(dilations=1 << 70),
        changed(biases=84),
        changed(choices=None),
        emptied("fixed_kernels.dilations"),
        emptied("fixed_kernels.features_per_dilation"),
        lambda extra, arrays: (extra, raised(arrays, "fixed_kernels.channel_indices")),
        lambda extra, arrays: (extra, raised(arrays, "fixed_kernels.features_per_dilation")),
        halved("fixed_kernels.weight"),
        halved("fixed_kernels.bias"),
        halved("fixed_kernels.biases"),
        lambda extra, arrays: ({**extra, "fixed_kernels": None}, arrays),
        lambda extra, arrays: ({**extra, "fixed_kernels": [1]}, arrays),
        lambda extra, _: (extra, {}),
        lambda extra, arrays: (extra, {name: array * np.nan for name, array in arrays.items()}),
    ],
)
def test_a_damaged_file_is_refused(voting, tmp_path, damage):
    X, y = waves(channels=2)
    path = tmp_path / "model.convoi"
    voting.fit(X, y).save(path)
    model = read_model(path)
    extra, arrays = damage(model.extra, model.arrays)
    write_model(path, model.graph, model.parameters, extra, arrays)
    with pytest.raises(ModelFileError, match="cannot be used"):
        SeriesClassifier.load(path)
