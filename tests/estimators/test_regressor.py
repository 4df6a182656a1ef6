from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from convoi import ImageRegressor
from convoi.data import Dataset
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.ops import CrossEntropy, Huber
from tests.estimators.examples import brightness, tiny

QUICK = {
    "network": tiny,
    "epochs": 10,
    "batch_size": 10,
    "learning_rate": 0.02,
    "augment": None,
    "random_state": 0,
}


def fitted(**parameters):
    return ImageRegressor(**{**QUICK, **parameters}).fit(*brightness())


def test_it_learns():
    assert fitted(epochs=20).score(*brightness(seed=1)) > 0.8


def test_predictions_are_in_the_units_of_the_targets():
    X, y = brightness()
    expected = fitted().predict(X)
    scaled = ImageRegressor(**QUICK).fit(X, 1e6 + 1000 * y).predict(X)
    np.testing.assert_allclose(scaled, 1e6 + 1000 * expected, atol=0.01)


def test_several_values_are_predicted_at_once():
    X, y = brightness()
    targets = np.stack([y, 10 - 100 * y], axis=1)
    regressor = ImageRegressor(**QUICK).fit(X, targets)
    predicted = regressor.predict(X)
    assert predicted.shape == targets.shape
    assert predicted.dtype == np.float64
    np.testing.assert_allclose(regressor.target_mean_, targets.mean(axis=0))
    np.testing.assert_allclose(regressor.target_scale_, targets.std(axis=0))
    assert regressor.score(X, targets) > 0.6


def test_targets_that_are_all_the_same_are_predicted():
    X, _ = brightness()
    np.testing.assert_allclose(
        ImageRegressor(**QUICK).fit(X, np.full(60, 7.0)).predict(X), 7, atol=0.5
    )


def test_a_weight_is_a_number_of_repetitions():
    X, y = brightness()
    times = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = ImageRegressor(**QUICK).fit(X, y, sample_weight=times)
    repeated = ImageRegressor(**QUICK).fit(X.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


@pytest.mark.parametrize("loss", ["mean_absolute", "huber", Huber(delta=0.5)])
def test_other_losses_are_minimised(loss):
    X, y = brightness()
    regressor = fitted(loss=loss)
    assert regressor.score(X, y) > 0.4
    assert clone(regressor).loss == loss


@pytest.mark.parametrize(
    ("loss", "error"),
    [("squared", ArgumentError), (CrossEntropy(), ArgumentError), (2, ArgumentTypeError)],
)
def test_losses_for_anything_but_values_are_refused(loss, error):
    with pytest.raises(error, match="'loss' parameter of ImageRegressor must be"):
        fitted(loss=loss)


def test_partial_fit_learns_bit_by_bit():
    X, y = brightness(200)
    regressor = ImageRegressor(
        tiny, batch_size=10, learning_rate=0.02, augment=None, random_state=0
    )
    for _ in range(5):
        for start in range(0, 200, 50):
            regressor.partial_fit(X[start : start + 50], y[start : start + 50])
    assert regressor.score(*brightness(seed=1)) > 0.7
    assert len(regressor.history_) == 20


def test_partial_fit_keeps_the_number_of_values():
    X, y = brightness()
    with pytest.raises(DataError, match=r"y has values of shape \(2,\) for each sample, but"):
        fitted().partial_fit(X, np.stack([y, y], axis=1))


def test_a_data_set_is_fitted_and_validated_in_its_units():
    X, y = brightness()
    dataset = Dataset("bright", X[:, np.newaxis], (100 * y).astype(np.float32))
    regressor = ImageRegressor(**QUICK).fit_dataset(dataset, validation=dataset)
    score = regressor.score(X, dataset.y)
    metrics = regressor.history_.epochs[-1].metrics
    assert metrics["validation_r2"] == pytest.approx(score, abs=1e-6)
    np.testing.assert_array_equal(regressor.predict(dataset), regressor.predict(X))


def test_a_data_set_with_classes_is_refused():
    dataset = Dataset("classes", np.zeros((2, 1, 4, 4), np.uint8), np.arange(2), ("a", "b"))
    with pytest.raises(DataError, match=r"'classes' has classes. Open it with task='regression'"):
        ImageRegressor().fit_dataset(dataset)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(60, np.nan), "Input y contains NaN"),
        (np.array(["a"] * 60), "could not convert string to float"),
        (np.zeros(59), r"inconsistent numbers of samples: \[60, 59\]"),
    ],
)
def test_targets_that_are_no_values_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        ImageRegressor(**QUICK).fit(brightness()[0], y)
