"""What a training run reports about each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from convoi.errors import ArgumentError

__all__ = ["EpochRecord", "History", "Reason", "higher_is_better"]

Reason: TypeAlias = Literal["epochs", "early_stopping", "callback"]
"""Why a run ended: all epochs were done, the monitored figure no longer improved, or a callback
asked for it."""

_HIGHER_IS_BETTER = frozenset({"accuracy", "r2"})


def higher_is_better(metric: str) -> bool:
    """Tell whether a figure is to grow (accuracy, R2) or to shrink (losses)."""
    return metric.removeprefix("validation_") in _HIGHER_IS_BETTER


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes
    ----------
    epoch : int
        Its number, from 1.
    metrics : dict of str to float
        "loss" and "accuracy" or "r2", as measured on each batch just before the step that was
        taken on it (with dropout and augmentation). With validation data also
        "validation_loss" and "validation_accuracy" or "validation_r2", measured after the epoch.
    learning_rate : float
        The learning rate of its last step.
    seconds : float
        Time that it took, validation included. Not part of comparisons.
    """

    epoch: int
    metrics: dict[str, float]
    learning_rate: float
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class History:
    """What ``fit`` returns: a record of each epoch.

    Attributes
    ----------
    epochs : tuple of EpochRecord
        In order, those before a resumption included.
    monitor : str
        The figure by which epochs are compared.
    reason : {'epochs', 'early_stopping', 'callback'}
        Why the run ended.

    Examples
    --------
    >>> from convoi.training import EpochRecord, History
    >>> history = History(
    ...     epochs=(
    ...         EpochRecord(1, {"loss": 0.7}, learning_rate=0.1, seconds=2.0),
    ...         EpochRecord(2, {"loss": 0.4}, learning_rate=0.1, seconds=2.0),
    ...     ),
    ...     monitor="loss",
    ...     reason="epochs",
    ... )
    >>> history.best.epoch
    2
    >>> history.as_dict()["loss"]
    [0.7, 0.4]
    """

    epochs: tuple[EpochRecord, ...]
    monitor: str
    reason: Reason

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def best(self) -> EpochRecord:
        """The first of the epochs in which the monitored figure was best.

        Raises
        ------
        ArgumentError
            If there is no epoch.
        """
        if not self.epochs:
            raise ArgumentError("The history holds no epoch, so none is best.")
        sign = -1 if higher_is_better(self.monitor) else 1

        def badness(record: EpochRecord) -> float:
            value = sign * record.metrics[self.monitor]
            return math.inf if math.isnan(value) else value

        return min(self.epochs, key=badness)

    def as_dict(self) -> dict[str, list[float]]:
        """Return one list per figure, with a value for each epoch.

        Returns
        -------
        dict of str to list
            "epoch", the metrics, "learning_rate" and "seconds".
        """
        columns: dict[str, list[float]] = {"epoch": [record.epoch for record in self.epochs]}
        for name in self.epochs[0].metrics if self.epochs else ():
            columns[name] = [record.metrics[name] for record in self.epochs]
        columns["learning_rate"] = [record.learning_rate for record in self.epochs]
        columns["seconds"] = [record.seconds for record in self.epochs]
        return columns
