"""Convolution, correlation, matching and detection on NumPy arrays."""

from __future__ import annotations

from convoi.signal.operator import convolve, correlate

__all__ = ["convolve", "correlate"]
