"""Estimators with scikit-learn's interface.

They are imported when they are first used: features of random kernels need no networks, and the
other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.lazy import lazy_names

if TYPE_CHECKING:
    from convoi.estimators.classifier import ImageClassifier
    from convoi.estimators.features import MiniRocketFeatures, RocketFeatures
    from convoi.estimators.features_classifier import (
        FeaturesClassifier,
        MiniRocketClassifier,
        RocketClassifier,
    )
    from convoi.estimators.layout import PixelFormat
    from convoi.estimators.loading import load_estimator
    from convoi.estimators.network_features import NetworkFeatures
    from convoi.estimators.regressor import ImageRegressor
    from convoi.estimators.series_classifier import SeriesClassifier
    from convoi.estimators.series_regressor import SeriesRegressor

__all__ = [
    "FeaturesClassifier",
    "ImageClassifier",
    "ImageRegressor",
    "MiniRocketClassifier",
    "MiniRocketFeatures",
    "NetworkFeatures",
    "PixelFormat",
    "RocketClassifier",
    "RocketFeatures",
    "SeriesClassifier",
    "SeriesRegressor",
    "load_estimator",
]

_HOMES = {
    "FeaturesClassifier": "convoi.estimators.features_classifier",
    "ImageClassifier": "convoi.estimators.classifier",
    "ImageRegressor": "convoi.estimators.regressor",
    "MiniRocketClassifier": "convoi.estimators.features_classifier",
    "MiniRocketFeatures": "convoi.estimators.features",
    "NetworkFeatures": "convoi.estimators.network_features",
    "PixelFormat": "convoi.estimators.layout",
    "RocketClassifier": "convoi.estimators.features_classifier",
    "RocketFeatures": "convoi.estimators.features",
    "SeriesClassifier": "convoi.estimators.series_classifier",
    "SeriesRegressor": "convoi.estimators.series_regressor",
    "load_estimator": "convoi.estimators.loading",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)
