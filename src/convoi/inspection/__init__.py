"""Looking into networks: what they cost, what they see, and what convolution buys."""

from __future__ import annotations

from convoi.graph import ReceptiveField, receptive_fields
from convoi.inspection.equivariance import (
    Equivariance,
    LayerEquivariance,
    PredictionInvariance,
    equivariance,
)
from convoi.inspection.activations import feature_maps

__all__ = [
    "Equivariance",
    "LayerEquivariance",
    "PredictionInvariance",
    "ReceptiveField",
    "equivariance",
    "feature_maps",
    "receptive_fields",
]
