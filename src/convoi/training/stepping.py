"""One step of a run: from its batch to the figures that it adds to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convoi.compiler import StepSettings, TrainingProgram, Transforms
    from convoi.compiler.prepared import PreparedStep
    from convoi.training.metrics import Metrics
    from convoi.training.objective import Objective
    from convoi.training.samples import Batch
    from convoi.training.unequal import UnequalTraining

__all__ = ["RunStep"]


@dataclass(frozen=True, eq=False)
class RunStep:
    """A step of a run, all but taken.

    Attributes
    ----------
    prepared : PreparedStep
        Its arrays.
    settings : StepSettings
        The optimiser's numbers.
    seed : int
        Of the random numbers of dropout.
    target, weight : ndarray
        Of its samples, as the figures take them.
    total : float
        The sum of the weights in the loss.
    """

    prepared: PreparedStep
    settings: StepSettings
    seed: int
    target: NDArray[Any]
    weight: NDArray[np.float64]
    total: float

    @classmethod
    def of(  # noqa: PLR0917 - what a step consists of
        cls,
        program: TrainingProgram | UnequalTraining,
        objective: Objective,
        batch: Batch,
        target: NDArray[Any],
        weight: NDArray[np.float64],
        loss_weight: NDArray[np.float64],
        settings: StepSettings,
        seed: int,
        transforms: Transforms | None,
    ) -> RunStep:
        """Return a step for a program."""
        total = float(loss_weight.sum())
        prepared = program.prepare(
            batch.array,
            batch.indices,
            target,
            (loss_weight / total if total else loss_weight).astype(objective.dtype),
            transforms=transforms,
            lengths=batch.lengths,
        )
        return cls(prepared, settings, seed, target, weight, total)

    def take(self, program: TrainingProgram | UnequalTraining) -> None:
        """Take the step."""
        program.take(self.prepared, self.settings, seed=self.seed)

    def count(self, metrics: Metrics, sums: NDArray[np.float64]) -> float:
        """Add the figures of the step, which has been taken, to an epoch's; return its loss."""
        loss = self.prepared.loss
        metrics.add(
            sums,
            loss=loss * self.total,
            loss_weight=self.total,
            prediction=self.prepared.prediction,
            target=self.target,
            weight=self.weight,
        )
        return loss
