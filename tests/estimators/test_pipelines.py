"""Series estimators inside the pipelines of aeon and sktime, where these are installed.

Both take scikit-learn estimators as steps. Their own steps do what NumPy does below.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from convoi import MiniRocketFeatures, SeriesClassifier, SeriesRegressor, nn

# What these packages and their dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


def narrow(outputs):
    return nn.networks.fcn(outputs, 4)


QUICK = {"network": narrow, "epochs": 4, "learning_rate": 0.02, "ensemble": 1, "random_state": 0}


@pytest.fixture
def data():
    """Return slow and fast waves at different levels, which is which, and their frequency."""
    rng = np.random.default_rng(0)
    frequency = np.where(np.arange(24) % 2, 1.5, 0.4) + rng.uniform(0, 0.1, 24)
    X = np.sin(frequency[:, np.newaxis] * np.arange(30) + rng.uniform(0, 6, (24, 1)))
    X = 3 * X + rng.uniform(-5, 5, (24, 1))
    return X[:, np.newaxis], np.where(frequency > 1, "fast", "slow"), frequency


def normalized(X):
    """Return series of mean 0 and deviation 1."""
    return (X - X.mean(axis=2, keepdims=True)) / X.std(axis=2, keepdims=True)


class TestAeon:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("aeon")

    @pytest.fixture
    def normalizer(self):
        from aeon.transformations.collection import Normalizer

        return Normalizer()

    def test_a_classifier(self, data, normalizer):
        from aeon.pipeline import make_pipeline

        X, y, _ = data
        pipeline = make_pipeline(normalizer, SeriesClassifier(**QUICK)).fit(X[:16], y[:16])
        alone = SeriesClassifier(**QUICK).fit(normalized(X[:16]), y[:16])
        expected = alone.predict_proba(normalized(X[16:]))
        np.testing.assert_allclose(pipeline.predict_proba(X[16:]), expected, atol=1e-4)
        assert pipeline.predict(X[16:]).tolist() == alone.predict(normalized(X[16:])).tolist()

    def test_a_regressor(self, data, normalizer):
        from aeon.pipeline import make_pipeline

        X, _, frequency = data
        pipeline = make_pipeline(normalizer, SeriesRegressor(**QUICK)).fit(X[:16], frequency[:16])
        alone = SeriesRegressor(**QUICK).fit(normalized(X[:16]), frequency[:16])
        expected = alone.predict(normalized(X[16:]))
        np.testing.assert_allclose(pipeline.predict(X[16:]), expected, atol=1e-4)

    def test_features(self, data, normalizer):
        from aeon.pipeline import make_pipeline

        X, y, _ = data
        features = MiniRocketFeatures(84, random_state=0)
        pipeline = make_pipeline(normalizer, features, RidgeClassifier()).fit(X[:16], y[:16])
        assert np.mean(pipeline.predict(X[16:]) == y[16:]) >= 0.75


class TestSktime:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("sktime")

    @pytest.fixture
    def scaler(self):
        from sklearn.preprocessing import StandardScaler
        from sktime.transformations.series.adapt import TabularToSeriesAdaptor

        return TabularToSeriesAdaptor(StandardScaler(), fit_in_transform=True)

    def test_a_classifier(self, data, scaler):
        from sktime.classification.compose import SklearnClassifierPipeline

        X, y, _ = data
        pipeline = SklearnClassifierPipeline(SeriesClassifier(**QUICK), [scaler])
        pipeline.fit(X[:16], y[:16])
        alone = SeriesClassifier(**QUICK).fit(normalized(X[:16]), y[:16])
        expected = alone.predict_proba(normalized(X[16:]))
        np.testing.assert_allclose(pipeline.predict_proba(X[16:]), expected, atol=1e-4)

    def test_a_regressor(self, data, scaler):
        from sktime.regression.compose import SklearnRegressorPipeline

        X, _, frequency = data
        pipeline = SklearnRegressorPipeline(SeriesRegressor(**QUICK), [scaler])
        pipeline.fit(X[:16], frequency[:16])
        alone = SeriesRegressor(**QUICK).fit(normalized(X[:16]), frequency[:16])
        expected = alone.predict(normalized(X[16:]))
        np.testing.assert_allclose(pipeline.predict(X[16:]), expected, atol=1e-4)
