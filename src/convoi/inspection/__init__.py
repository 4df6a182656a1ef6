"""What a network's layers do."""

from __future__ import annotations

from convoi.inspection.feature_maps import FeatureMaps

__all__ = ["FeatureMaps"]
