"""Looking into networks: what they cost, what they see, and what convolution buys."""

from __future__ import annotations

from convoi.graph import ReceptiveField, receptive_fields
from convoi.inspection.activations import feature_maps, kernels
from convoi.inspection.attribution import (
    grad_cam,
    grad_cam_layer,
    input_gradient,
    integrated_gradients,
    saliency,
)
from convoi.inspection.calibration import Calibration, calibration
from convoi.inspection.compare import compare
from convoi.inspection.comparison import Comparison, CurvePoint, LayerCosts, Saving, Variant
from convoi.inspection.equivariance import (
    Equivariance,
    LayerEquivariance,
    PredictionInvariance,
    equivariance,
)
from convoi.inspection.patches import Patch, top_patches
from convoi.inspection.plots import (
    plot_attribution,
    plot_calibration,
    plot_feature_maps,
    plot_kernels,
    plot_patches,
)
from convoi.inspection.report import report

__all__ = [
    "Calibration",
    "Comparison",
    "CurvePoint",
    "Equivariance",
    "LayerCosts",
    "LayerEquivariance",
    "Patch",
    "PredictionInvariance",
    "ReceptiveField",
    "Saving",
    "Variant",
    "calibration",
    "compare",
    "equivariance",
    "feature_maps",
    "grad_cam",
    "grad_cam_layer",
    "input_gradient",
    "integrated_gradients",
    "kernels",
    "plot_attribution",
    "plot_calibration",
    "plot_feature_maps",
    "plot_kernels",
    "plot_patches",
    "receptive_fields",
    "report",
    "saliency",
    "top_patches",
]
