"""Looking into networks: what they cost, what they see, and what convolution buys."""

from __future__ import annotations

from convoi.graph import ReceptiveField, receptive_fields
from convoi.inspection.activations import feature_maps
from convoi.inspection.compare import compare
from convoi.inspection.comparison import Comparison, CurvePoint, LayerCosts, Saving, Variant
from convoi.inspection.equivariance import (
    Equivariance,
    LayerEquivariance,
    PredictionInvariance,
    equivariance,
)

__all__ = [
    "Comparison",
    "CurvePoint",
    "Equivariance",
    "LayerCosts",
    "LayerEquivariance",
    "PredictionInvariance",
    "ReceptiveField",
    "Saving",
    "Variant",
    "compare",
    "equivariance",
    "feature_maps",
    "receptive_fields",
]
