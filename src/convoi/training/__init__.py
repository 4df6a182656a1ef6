"""Training: the fit loop, optimisers, schedules, augmentation, checkpoints."""

from __future__ import annotations

from convoi.training.augment import Augment
from convoi.training.callbacks import Callback, TrainingState
from convoi.training.checkpoint import Checkpoint
from convoi.training.early_stopping import EarlyStopping
from convoi.training.evaluation import evaluate
from convoi.training.fitting import fit
from convoi.training.history import EpochRecord, History
from convoi.training.many import fit_many
from convoi.training.optimizers import SGD, Adam, AdamW, Optimizer
from convoi.training.samples import SampleSource
from convoi.training.schedules import Constant, Cosine, OneCycle, Schedule, StepDecay

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Augment",
    "Callback",
    "Checkpoint",
    "Constant",
    "Cosine",
    "EarlyStopping",
    "EpochRecord",
    "History",
    "OneCycle",
    "Optimizer",
    "SampleSource",
    "Schedule",
    "StepDecay",
    "TrainingState",
    "evaluate",
    "fit",
    "fit_many",
]
