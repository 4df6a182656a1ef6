"""Estimators with scikit-learn's interface."""

from __future__ import annotations

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
