"""Looking into networks."""

from __future__ import annotations

from convoi.inspection.activations import feature_maps

__all__ = ["feature_maps"]
