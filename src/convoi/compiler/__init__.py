"""From a graph to a program: simplify, fuse, lay out, choose kernels, plan memory."""

from __future__ import annotations

from convoi.compiler.batches import Transforms
from convoi.compiler.inference import InferenceProgram
from convoi.compiler.insight import ValuesProgram, VectorJacobianProgram
from convoi.compiler.training import StepResult, StepSettings, TrainingProgram
from convoi.compiler.update import UpdateRule

__all__ = [
    "InferenceProgram",
    "StepResult",
    "StepSettings",
    "TrainingProgram",
    "Transforms",
    "UpdateRule",
    "ValuesProgram",
    "VectorJacobianProgram",
]
