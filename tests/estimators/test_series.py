from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from convoi import SeriesClassifier, SeriesRegressor, nn
from convoi.errors import ArgumentError, DataError, ModelFileError
from convoi.estimators import load_estimator
from convoi.nn import UnequalSeries
from convoi.nn.model_file import read_model, write_model

pd = pytest.importorskip("pandas")

QUICK = {"network": "fcn", "epochs": 8, "ensemble": 1, "random_state": 0}


def narrow(outputs):
    return nn.networks.fcn(outputs, 4)


def waves(count=40, channels=1, seed=0, lengths=(20, 21)):
    """Return slow and fast waves, and which is which."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(count) % 2, "fast", "slow")
    X = []
    for label, length in zip(y, rng.integers(*lengths, count), strict=True):
        steps = np.arange(length) * (1.5 if label == "fast" else 0.4)
        phases = rng.uniform(0, 6, (channels, 1))
        X.append(np.sin(steps + phases) + rng.normal(0, 0.2, (channels, length)))
    return X, y


@pytest.fixture
def quick():
    return SeriesClassifier(narrow, epochs=8, learning_rate=0.02, ensemble=1, random_state=0)


@pytest.fixture
def unequal():
    return waves(lengths=(12, 40))


def test_series_of_unequal_length_are_learned(quick, unequal):
    X, y = unequal
    quick.fit(X[:30], y[:30])
    assert quick.score(X[30:], y[30:]) >= 0.9
    assert quick.length_ is None
    assert quick.classes_.tolist() == ["fast", "slow"]


def test_a_series_has_the_same_probabilities_alone_and_among_others(quick, unequal):
    X, y = unequal
    together = quick.fit(X, y).predict_proba(X)
    for x, row in zip(X, together, strict=True):
        np.testing.assert_array_equal(quick.predict_proba([x])[0], row)


@pytest.mark.parametrize("channels", [1, 3])
def test_all_containers_of_series_of_one_length_mean_the_same(quick, channels):
    X, y = waves(channels=channels)
    grid = np.stack(X)
    expected = quick.fit(grid, y).predict_proba(grid)
    index = pd.MultiIndex.from_product([range(len(X)), range(grid.shape[2])])
    containers = {
        "list": X,
        "objects": _objects(X),
        "nested": pd.DataFrame([[pd.Series(c) for c in x] for x in X]),
        "multiindex": pd.DataFrame(np.moveaxis(grid, 1, 2).reshape(-1, channels), index=index),
        "frames": [pd.DataFrame(x.T) for x in X],
    }
    if channels == 1:
        containers |= {
            "rows": grid[:, 0],
            "lists": grid[:, 0].tolist(),
            "vectors": [x[0] for x in X],
        }
    for name, container in containers.items():
        found = clone(quick).fit(container, y)
        np.testing.assert_array_equal(found.predict_proba(container), expected, err_msg=name)


def _objects(X):
    array = np.empty(len(X), object)
    array[:] = X
    return array


def test_frames_of_unequal_series_are_lists_of_them(quick, unequal):
    X, y = unequal
    expected = quick.fit(X, y).predict_proba(X)
    nested = pd.DataFrame({"x": [pd.Series(x[0]) for x in X]})
    rows = [(i, t) for i, x in enumerate(X) for t in range(x.shape[1])]
    long = pd.DataFrame({"x": np.concatenate([x[0] for x in X])}, pd.MultiIndex.from_tuples(rows))
    for container in (nested, long):
        np.testing.assert_array_equal(quick.predict_proba(container), expected)


@pytest.mark.parametrize("lengths", [(20, 21), (12, 40)])
@pytest.mark.parametrize("normalize", ["channel", "series", None])
def test_a_file_predicts_what_the_estimator_does(tmp_path, quick, lengths, normalize):
    X, y = waves(lengths=lengths)
    path = tmp_path / "model.safetensors"
    quick.set_params(normalize=normalize, epochs=1).fit(X, y).save(path)
    for loaded in (SeriesClassifier.load(path), load_estimator(path)):
        np.testing.assert_array_equal(loaded.predict_proba(X), quick.predict_proba(X))
        assert loaded.length_ == quick.length_


def test_an_ensemble_averages_probabilities(tmp_path, quick):
    X, y = waves()
    quick.set_params(ensemble=3, epochs=2, normalize="channel").fit(X, y)
    assert len(quick.networks_) == 3
    inputs = quick.normalization_(np.stack(X))
    members = []
    for network in quick.networks_:
        e = np.exp(network(inputs).astype(float))
        members.append(e / e.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(quick.predict_proba(X), np.mean(members, axis=0), atol=1e-5)
    quick.save(tmp_path / "model.safetensors")
    loaded = SeriesClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), quick.predict_proba(X))
    with pytest.raises(ArgumentError, match="one by one"):
        loaded.partial_fit(X, y)


@pytest.mark.parametrize("lengths", [(20, 21), (12, 40)])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_networks_of_an_ensemble_take_turns_in_normalisation(tmp_path, lengths, channels, missing):
    X, y = waves(12, channels=channels, lengths=lengths)
    shifted = [x + number for number, x in enumerate(X)]
    classifier = SeriesClassifier(
        narrow, epochs=1, ensemble=3, missing=missing, random_state=0
    ).fit(shifted, y)
    by_itself = SeriesClassifier(
        narrow, epochs=1, ensemble=1, missing=missing, normalize="series"
    ).fit(shifted, y)
    by_channel = SeriesClassifier(
        narrow, epochs=1, ensemble=1, missing=missing, normalize="channel"
    ).fit(shifted, y)
    turns = [by_itself, by_channel, by_itself] if channels == 1 else [by_channel, by_itself] * 2
    expected = 0.0
    for network, one in zip(classifier.networks_, turns, strict=False):
        inputs = one.normalization_(UnequalSeries.of(shifted))
        if missing == "mask" and one is by_itself:
            # In front of the values, here, is where there are any.
            halves = [np.roll(series, channels, axis=0) for series in inputs.series]
            inputs = UnequalSeries.of(halves)
        expected = expected + softmax(network.predict_unequal(inputs), axis=1)
    np.testing.assert_allclose(classifier.predict_proba(shifted), expected / 3, atol=1e-6)
    classifier.save(tmp_path / "m.safetensors")
    loaded = SeriesClassifier.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(shifted), classifier.predict_proba(shifted))


def test_one_network_of_an_ensemble_that_takes_turns(tmp_path):
    X, y = waves(12)
    classifier = SeriesClassifier(narrow, epochs=1, ensemble=1, normalize="both").fit(X, y)
    louder = classifier.predict_proba([3 * x + 1 for x in X])
    np.testing.assert_allclose(louder, classifier.predict_proba(X), atol=1e-5)
    classifier.save(tmp_path / "m.safetensors")
    loaded = SeriesClassifier.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_what_is_normalised_by_default():
    X, y = waves(12)
    settings = {"network": narrow, "epochs": 1}
    assert SeriesClassifier(**settings, ensemble=2).fit(X, y).normalization_.kind == "both"
    assert SeriesClassifier(**settings, ensemble=1).fit(X, y).normalization_.kind == "channel"
    values = np.arange(12.0)
    assert SeriesRegressor(**settings, ensemble=2).fit(X, values).normalization_.kind == "channel"


def test_an_ensemble_goes_on_where_the_last_fit_ended():
    X, y = waves(12)
    classifier = SeriesClassifier(narrow, epochs=1, ensemble=2, warm_start=True).fit(X, y)
    before = [next(iter(network.parameters.values())) for network in classifier.networks_]
    classifier.fit(X, y)
    for network, old in zip(classifier.networks_, before, strict=True):
        assert 0 < np.abs(next(iter(network.parameters.values())) - old).max() < 0.1


def test_an_ensemble_of_regressors_averages_values():
    X, y = waves()
    values = (y == "fast") * 2.0 + 5
    regressor = SeriesRegressor(narrow, epochs=2, ensemble=2, random_state=0).fit(X, values)
    inputs = regressor.normalization_(np.stack(X))
    mean = np.mean([network(inputs)[:, 0] for network in regressor.networks_], axis=0)
    expected = mean * regressor.target_scale_ + regressor.target_mean_
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-5)


def test_values_of_unequal_series_are_predicted(unequal):
    X, y = unequal
    values = (y == "fast") * 2.0 + 5
    regressor = SeriesRegressor(narrow, epochs=15, learning_rate=0.02, ensemble=1, random_state=0)
    assert regressor.fit(X, values).score(X, values) > 0.7


def test_normalising_each_series_removes_its_level_and_size(quick):
    X, y = waves(channels=2)
    quick.set_params(normalize="series", epochs=1).fit(X, y)
    moved = [3 * x + np.array([[100.0], [-7.0]]) for x in X]
    np.testing.assert_allclose(quick.predict_proba(moved), quick.predict_proba(X), atol=1e-5)


def test_normalising_by_channel_uses_the_training_set(quick):
    X, y = waves(channels=2)
    grid = np.stack(X)
    quick.set_params(epochs=1).fit(grid, y)
    normalized = quick.normalization_(grid)
    np.testing.assert_allclose(normalized.mean(axis=(0, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(normalized.std(axis=(0, 2)), 1, atol=1e-6)


def test_constant_series_become_zero(quick):
    quick.set_params(normalize="series", epochs=1).fit(*waves())
    np.testing.assert_allclose(quick.normalization_(np.full((1, 1, 20), 4.2)), 0, atol=1e-9)


def test_missing_values_are_an_error_by_default(quick):
    X, y = waves()
    X[3][0, 7] = np.nan
    with pytest.raises(DataError, match=r"Series 3 .* nan in channel 0 at time step 7.*'mask'"):
        quick.fit(X, y)


def test_missing_values_can_have_a_mask(tmp_path, quick):
    X, y = waves()
    rng = np.random.default_rng(0)
    holes = [np.where(rng.random(x.shape) < 0.2, np.nan, x) for x in X]
    quick.set_params(missing="mask", epochs=10).fit(holes, y)
    assert quick.network_.input_shape == (2, 20)
    assert quick.score(holes, y) > 0.9
    inputs = quick.normalization_(np.stack(holes))
    np.testing.assert_array_equal(inputs[:, 1], ~np.isnan(np.stack(holes)[:, 0]))
    assert not inputs[:, 0][inputs[:, 1] == 0].any()
    quick.save(tmp_path / "model.safetensors")
    loaded = SeriesClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(holes), quick.predict_proba(holes))


def test_infinite_values_are_an_error_even_with_a_mask(quick):
    X, y = waves()
    X[3][0, 7] = np.inf
    with pytest.raises(DataError, match=r"Series 3 .* inf"):
        quick.set_params(missing="mask").fit(X, y)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.ones((2, 1, 19)), "series of 19 time steps, .* series of 20"),
        ([np.ones(20), np.ones(19)], "series of different lengths"),
        (np.ones((2, 3, 20)), "series of 3 channels, .* series of 1"),
    ],
)
def test_series_of_another_form_are_refused(quick, other, message):
    quick.set_params(epochs=1).fit(*waves())
    with pytest.raises(DataError, match=message):
        quick.predict(other)


@pytest.mark.parametrize(
    "parameters",
    [{"normalize": "other"}, {"missing": "drop"}, {"ensemble": 0}, {"network": "resnet3"}],
)
def test_parameters_are_checked(parameters):
    with pytest.raises(ArgumentError, match=next(iter(parameters))):
        SeriesClassifier(**parameters).fit(*waves())


def test_rows_of_cells_of_different_lengths_are_refused(quick):
    nested = pd.DataFrame([[pd.Series(np.ones(3)), pd.Series(np.ones(4))]] * 2)
    with pytest.raises(DataError, match="Row 0 of X"):
        quick.fit(nested, [0, 1])


def test_the_order_of_series_does_not_matter(quick, unequal):
    X, y = unequal
    quick.set_params(epochs=1)
    order = np.random.default_rng(0).permutation(len(X))
    one = clone(quick).fit(X, y).predict_proba(X)
    other = clone(quick).fit([X[i] for i in order], y[order]).predict_proba(X)
    np.testing.assert_array_equal(one, other)


def test_a_weight_is_a_repetition(quick, unequal):
    X, y = unequal
    quick.set_params(epochs=1)
    weight = np.arange(len(X)) % 3
    rows = np.repeat(np.arange(len(X)), weight)
    one = clone(quick).fit(X, y, sample_weight=weight).predict_proba(X)
    other = clone(quick).fit([X[i] for i in rows], y[rows]).predict_proba(X)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_it_goes_on_where_the_last_fit_ended(quick):
    X, y = waves()
    quick.set_params(warm_start=True, epochs=1, ensemble=2).fit(X, y)
    networks = quick.networks_
    quick.fit(X, y)
    assert quick.networks_ == networks
    quick.partial_fit(np.stack(X), y)
    assert quick.networks_ == networks


def test_it_can_be_pickled_and_cross_validated(quick):
    X, y = waves()
    grid = np.stack(X)[:, 0]
    quick.set_params(epochs=2)
    assert len(cross_val_score(quick, grid, y, cv=2)) == 2
    again = pickle.loads(pickle.dumps(quick.fit(grid, y)))
    np.testing.assert_array_equal(again.predict_proba(grid), quick.predict_proba(grid))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channels", 0),
        ("length", -1),
        ("normalize", "x"),
        ("missing", 3),
        ("members", None),
        ("series_scale", [0.0]),
        ("series_mean", []),
        ("channels", 2),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, quick, key, value):

    path = tmp_path / "model.safetensors"
    quick.set_params(epochs=1).fit(*waves()).save(path)
    model = read_model(path)
    write_model(path, model.graph, model.parameters, {**model.extra, key: value})
    with pytest.raises(ModelFileError, match="cannot be used"):
        SeriesClassifier.load(path)
