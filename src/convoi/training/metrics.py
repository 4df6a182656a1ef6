"""The figures of an epoch, summed batch by batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.training.step_targets import NO_TARGET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.training.objective import Objective

__all__ = ["Metrics"]

_LOSS, _LOSS_WEIGHT, _WEIGHT, _SCORES = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Metrics:
    """Loss and accuracy, or loss and R2, of one set of samples.

    The sums of an epoch are one array, so that a checkpoint can hold them: the weighted loss, the
    weights that it was weighted with, the sample weights, and the weighted number of correct
    predictions or squared error of each output.

    Attributes
    ----------
    objective : Objective
        What is predicted.
    variance : ndarray of float64, shape (outputs,), or None
        Variance of each output's targets over the samples, to which R2 relates the errors. None
        for classes.
    by_step : bool
        Whether targets are padded ones for each time step, whose mean is a sample's figure.
    """

    objective: Objective
    variance: NDArray[np.float64] | None
    by_step: bool = False

    @classmethod
    def of(
        cls,
        objective: Objective,
        y: NDArray[Any],
        rows: NDArray[np.int64],
        weight: NDArray[Any],
        *,
        by_step: bool = False,
    ) -> Metrics:
        """Return the metrics of the samples with these numbers; ``weight`` is theirs."""
        if objective.classifies:
            return cls(objective, None, by_step)
        values = y[rows].astype(np.float64)
        mean = np.average(_by_output(values, by_step=by_step), axis=0, weights=weight)
        centred = values - (mean[:, np.newaxis] if by_step else mean.reshape(values.shape[1:]))
        spread = _by_output(centred**2, by_step=by_step)
        return cls(objective, np.average(spread, axis=0, weights=weight), by_step)

    def zeros(self) -> NDArray[np.float64]:
        """Return the sums of no samples."""
        scores = 1 if self.variance is None else len(self.variance)
        return np.zeros(_SCORES + scores)

    def add(
        self,
        sums: NDArray[np.float64],
        *,
        loss: float,
        loss_weight: float,
        prediction: NDArray[Any],
        target: NDArray[Any],
        weight: NDArray[np.float64],
    ) -> None:
        """Add a batch to the sums.

        Parameters
        ----------
        sums : ndarray
            Changed in place.
        loss : float
            Sum of the weighted losses of the batch.
        loss_weight : float
            Sum of the weights that they were weighted with.
        prediction, target : ndarray
            Of the samples.
        weight : ndarray of shape (b,)
            Sample weights.
        """
        sums[_LOSS] += loss
        sums[_LOSS_WEIGHT] += loss_weight
        sums[_WEIGHT] += weight.sum()
        if self.objective.classifies and target.ndim == 1:
            sums[_SCORES] += weight @ (prediction.argmax(axis=1) == target)
        elif self.objective.classifies:
            targets = target.reshape(len(target), -1)
            correct = prediction.argmax(axis=1).reshape(targets.shape) == targets
            known = np.count_nonzero(targets != NO_TARGET, axis=1)
            sums[_SCORES] += weight @ (np.count_nonzero(correct, axis=1) / known)
        else:
            squares = (prediction.astype(np.float64) - target) ** 2
            sums[_SCORES:] += weight @ _by_output(squares, by_step=self.by_step)

    def result(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return the figures by name; NaN where nothing has been weighed."""
        loss = _ratio(sums[_LOSS], sums[_LOSS_WEIGHT])
        weight = sums[_WEIGHT]
        if self.variance is None:
            return {"loss": loss, "accuracy": _ratio(sums[_SCORES], weight)}
        if not weight:
            return {"loss": loss, "r2": math.nan}
        r2 = _r2(sums[_SCORES:] / weight, self.variance)
        return {"loss": loss, "r2": float(r2.mean())}


def _by_output(values: NDArray[np.float64], *, by_step: bool) -> NDArray[np.float64]:
    """Return values of shape (b, outputs): of padded ones the mean over each series' own steps."""
    if by_step:
        means: NDArray[np.float64] = np.nanmean(values, axis=-1)
        return means
    return values.reshape(len(values), -1)


def _ratio(total: np.float64, weight: np.float64) -> float:
    return float(total / weight) if weight else math.nan


def _r2(errors: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R2 of each output; like scikit-learn's, 1 or 0 where the targets are all the same."""
    exact = (errors == 0).astype(np.float64)
    unexplained: NDArray[np.float64] = 1 - exact
    np.divide(errors, variance, out=unexplained, where=variance > 0)
    return 1 - unexplained
