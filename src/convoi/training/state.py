"""Where a run stands: what changes while it goes, and what a checkpoint holds of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from convoi.ops import Array
    from convoi.training.early_stopping import Best
    from convoi.training.history import EpochRecord, Reason

__all__ = ["RunState", "Snapshot"]


@dataclass
class RunState:
    """Everything about a run that changes, besides the parameters and slots of the program.

    There is no state of a random generator: what is random in a step follows from the seed, the
    epoch and the step alone.
    """

    seed: int
    sums: NDArray[np.float64]
    """Sums of the figures of the current epoch."""
    epoch: int = 0
    """Number of complete epochs."""
    step: int = 0
    """Number of steps of the current epoch that are done."""
    seconds: float = 0.0
    """Time that the current epoch has taken."""
    records: list[EpochRecord] = field(default_factory=list)
    best: Best | None = None
    reason: Reason | None = None
    """Why the run is over; None while it is not."""
    whole: bool = True
    """False while a step is taken: the parameters and this object may then disagree."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run at one moment."""

    settings: Mapping[str, str]
    """What a run that resumes must have in common with this one, in words."""
    state: RunState
    parameters: Mapping[str, Array]
    slots: Mapping[str, Mapping[str, Array]]
