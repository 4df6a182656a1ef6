"""Ending a run when it no longer gets better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.checks import check_flag, check_integer, check_real, refusal
from convoi.errors import ArgumentTypeError
from convoi.training.history import higher_is_better

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convoi.ops import Array

__all__ = ["Best", "EarlyStopping", "as_early_stopping"]


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """When to end a run before all its epochs are done.

    Attributes
    ----------
    patience : int, default=10
        Number of epochs without improvement after which the run ends.
    min_delta : float, default=0
        How much better than the best epoch another must be to count as an improvement.
    monitor : str or None
        The figure that is to improve, such as "validation_accuracy". None is the validation loss,
        or the loss if there are no validation data.
    restore_best : bool, default=True
        Whether the network gets the parameters of the best epoch in the end, also if the run was
        not ended early.

    Examples
    --------
    >>> from convoi.training import EarlyStopping
    >>> EarlyStopping(patience=5, monitor="validation_accuracy").restore_best
    True
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str | None = None
    restore_best: bool = True

    def __post_init__(self) -> None:
        check_integer(self.patience, "patience", "EarlyStopping", minimum=1)
        check_real(self.min_delta, "min_delta", "EarlyStopping", minimum=0)
        check_flag(self.restore_best, "restore_best", "EarlyStopping")
        monitor: object = self.monitor
        if monitor is not None and not isinstance(monitor, str):
            expectation = "the name of a figure, or None"
            raise ArgumentTypeError(refusal("monitor", "EarlyStopping", expectation, monitor))


@dataclass(frozen=True, eq=False)
class Best:
    """The best epoch so far."""

    epoch: int
    value: float
    parameters: Mapping[str, Array]

    def is_beaten_by(self, value: float, monitor: str, min_delta: float) -> bool:
        """Tell whether another value of the monitored figure is an improvement."""
        if math.isnan(value):
            return False
        gain = value - self.value if higher_is_better(monitor) else self.value - value
        return gain > min_delta or math.isnan(self.value)


def as_early_stopping(early_stopping: object, owner: str) -> EarlyStopping | None:
    """Return the settings; True stands for the usual ones, False and None for none."""
    if isinstance(early_stopping, EarlyStopping):
        return early_stopping
    if early_stopping is None or early_stopping is False:
        return None
    if early_stopping is True:
        return EarlyStopping()
    expectation = "an EarlyStopping, True, False or None"
    raise ArgumentTypeError(refusal("early_stopping", owner, expectation, early_stopping))
