"""Convolution, correlation, matching, detection and features of series, on NumPy arrays."""

from __future__ import annotations

from convoi.signal.detection import find
from convoi.signal.detections import Detections
from convoi.signal.explanation import Explanation, MethodCost, explain
from convoi.signal.matching import match
from convoi.signal.minirocket import MiniRocketKernels, minirocket_features
from convoi.signal.noise import PowerSpectrum
from convoi.signal.operator import convolve, correlate
from convoi.signal.rocket import RocketKernels, rocket_features
from convoi.signal.streaming import Stream

__all__ = [
    "Detections",
    "Explanation",
    "MethodCost",
    "MiniRocketKernels",
    "PowerSpectrum",
    "RocketKernels",
    "Stream",
    "convolve",
    "correlate",
    "explain",
    "find",
    "match",
    "minirocket_features",
    "rocket_features",
]
