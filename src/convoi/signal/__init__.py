"""Convolution, correlation, matching and detection on NumPy arrays."""

from __future__ import annotations

from convoi.signal.detection import find
from convoi.signal.detections import Detections
from convoi.signal.explanation import Explanation, MethodCost, explain
from convoi.signal.matching import match
from convoi.signal.noise import PowerSpectrum
from convoi.signal.operator import convolve, correlate
from convoi.signal.streaming import Stream

__all__ = [
    "Detections",
    "Explanation",
    "MethodCost",
    "PowerSpectrum",
    "Stream",
    "convolve",
    "correlate",
    "explain",
    "find",
    "match",
]
