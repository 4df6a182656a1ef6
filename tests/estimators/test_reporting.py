"""Reports on estimators: what is shown of ensembles, and of series of unequal lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi import Network, SeriesClassifier, SeriesRegressor, nn
from convoi.data import SeriesDataset
from convoi.errors import ArgumentError, DataError
from convoi.estimators.ensemble import first_member
from convoi.estimators.reporting import write_report

if TYPE_CHECKING:
    from convoi.estimators.series import SeriesEstimator


def narrow(outputs: int) -> nn.Layer:
    return nn.networks.fcn(outputs, 4)


def series(lengths: list[int], channels: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((channels, length)) for length in lengths]


def fitted(kind: type[SeriesEstimator], X: object, y: object) -> SeriesEstimator:
    return kind(narrow, epochs=1, ensemble=2, random_state=0).fit(X, y)


@pytest.mark.parametrize("kind", [SeriesClassifier, SeriesRegressor])
def test_the_first_member_of_an_ensemble_is_found_in_their_sum(kind: type[SeriesEstimator]) -> None:
    X = np.array(series([12] * 8))
    estimator = fitted(kind, X, np.arange(8) % 2)
    expected = estimator.networks_[0]
    found = first_member(estimator.network_)
    Z = estimator.normalization_.for_member(estimator.normalization_(X), 0, 1)
    np.testing.assert_array_equal(found(Z), expected(Z))
    assert list(found.parameters) == list(expected.parameters)


def test_a_network_that_is_no_ensemble_has_no_members() -> None:
    with pytest.raises(ArgumentError, match="no ensemble"):
        first_member(Network(nn.Dense(2), (3,), random_state=0))


def test_the_report_on_an_ensemble_has_its_predictions_and_one_network(tmp_path) -> None:
    X, y = np.array(series([12] * 8, channels=2)), np.arange(8) % 2
    estimator = fitted(SeriesClassifier, X, y)
    count = write_report(
        estimator, SeriesDataset("s", X, y, (0, 1)), tmp_path / "r.html", title="An ensemble"
    )
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert count == 8
    assert "those of an ensemble of 2 networks" in html
    assert f"{(estimator.predict(X) == y).mean():.2%}" in html
    assert ">1.0<" not in html  # the second member's layers


def test_series_of_the_most_frequent_length_are_shown_as_they_are_predicted(
    tmp_path, monkeypatch
) -> None:
    X, y = series([20, 9, 14, 14, 9, 14]), np.arange(6) % 2
    estimator = SeriesClassifier(narrow, epochs=1, ensemble=1, random_state=0).fit(X, y)
    shown = {}

    def remember(network: Network, samples: np.ndarray, y: np.ndarray, **options: object) -> None:
        shown.update(options, network=network, samples=samples, y=y)

    monkeypatch.setattr("convoi.estimators.reporting.report", remember)
    data = SeriesDataset("s", tuple(X), y, (0, 1))
    assert write_report(estimator, data, tmp_path / "r.html", title="") == 3
    np.testing.assert_array_equal(shown["y"], y[[2, 3, 5]])
    logits = shown["network"](shown["samples"])
    log_proba = estimator.predict_log_proba(X)[[2, 3, 5]]
    np.testing.assert_allclose(logits - logits[:, :1], log_proba - log_proba[:, :1], atol=1e-5)
    np.testing.assert_allclose(shown["predictions"], log_proba, atol=1e-6)


def test_a_report_needs_labels(tmp_path) -> None:
    X = np.array(series([12] * 8))
    estimator = fitted(SeriesClassifier, X, np.arange(8) % 2)
    with pytest.raises(DataError, match="needs labels"):
        write_report(estimator, SeriesDataset("s", X), tmp_path / "r.html", title="")
