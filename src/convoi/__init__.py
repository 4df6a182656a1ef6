"""Convolutional networks on CPUs, compiled per shape through LLVM.

The names below are imported when they are first used, so that ``import convoi`` costs next to
nothing and loads none of the libraries that Convoi builds on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.lazy import lazy_names
from convoi.version import __version__

if TYPE_CHECKING:
    from convoi import data, errors, inspection, nn, signal, training
    from convoi.estimators import (
        FeaturesClassifier,
        ImageClassifier,
        ImageRegressor,
        MiniRocketClassifier,
        MiniRocketFeatures,
        NetworkFeatures,
        RocketClassifier,
        RocketFeatures,
        SeriesClassifier,
        SeriesRegressor,
    )
    from convoi.nn.network import Network, load
    from convoi.signal import convolve, correlate, find, match

__all__ = [
    "FeaturesClassifier",
    "ImageClassifier",
    "ImageRegressor",
    "MiniRocketClassifier",
    "MiniRocketFeatures",
    "Network",
    "NetworkFeatures",
    "RocketClassifier",
    "RocketFeatures",
    "SeriesClassifier",
    "SeriesRegressor",
    "__version__",
    "convolve",
    "correlate",
    "data",
    "errors",
    "find",
    "inspection",
    "load",
    "match",
    "nn",
    "signal",
    "training",
]

_HOMES = {
    "FeaturesClassifier": "convoi.estimators",
    "ImageClassifier": "convoi.estimators",
    "ImageRegressor": "convoi.estimators",
    "MiniRocketClassifier": "convoi.estimators",
    "MiniRocketFeatures": "convoi.estimators",
    "Network": "convoi.nn.network",
    "NetworkFeatures": "convoi.estimators",
    "RocketClassifier": "convoi.estimators",
    "RocketFeatures": "convoi.estimators",
    "SeriesClassifier": "convoi.estimators",
    "SeriesRegressor": "convoi.estimators",
    "convolve": "convoi.signal",
    "correlate": "convoi.signal",
    "data": "convoi.data",
    "errors": "convoi.errors",
    "find": "convoi.signal",
    "inspection": "convoi.inspection",
    "load": "convoi.nn.network",
    "match": "convoi.signal",
    "nn": "convoi.nn",
    "signal": "convoi.signal",
    "training": "convoi.training",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)
