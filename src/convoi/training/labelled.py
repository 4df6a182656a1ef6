"""Samples with their targets and weights."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import DataError
from convoi.graph import align
from convoi.nn.unequal import UnequalSeries
from convoi.training.metrics import Metrics
from convoi.training.samples import as_samples
from convoi.training.step_targets import pad_steps
from convoi.training.unequal import UnequalSamples, as_unequal_samples
from convoi.training.weights import sample_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.nn.network import Network
    from convoi.ops import Extent
    from convoi.training.objective import Objective
    from convoi.training.samples import Batch, Samples, SampleSource

__all__ = ["LabelledSamples"]


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """What a network is trained or measured on.

    Attributes
    ----------
    samples : Samples
        They may be more than are used.
    y : ndarray of shape (n, *target_shape)
        Targets of all of them.
    weight : ndarray of float64, shape (n,)
        How much each counts in the metrics.
    loss_weight : ndarray of float64, shape (n,)
        How much each counts in the loss, its class considered.
    rows : ndarray of int64
        Numbers of those that are used.
    """

    samples: Samples
    y: NDArray[Any]
    weight: NDArray[np.float64]
    loss_weight: NDArray[np.float64]
    rows: NDArray[np.int64]
    extent: Extent | None = None
    """Of series of unequal length that have a target for each time step: how many there are."""

    @classmethod
    def of(
        cls,
        network: Network,
        objective: Objective,
        X: ArrayLike | SampleSource | UnequalSeries,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        owner: str,
        within: str = "",
    ) -> LabelledSamples:
        """Return samples, all of them, after the checks; ``within`` precedes names in messages."""
        samples: Samples
        if isinstance(X, UnequalSeries):
            samples = as_unequal_samples(X, network, f"{within}X", owner)
        else:
            samples = as_samples(X, network.input_shape, network.dtype, f"{within}X", owner)
        extent = _extent(network) if isinstance(samples, UnequalSamples) else None
        if isinstance(samples, UnequalSamples) and extent is not None:
            steps = (samples.series.lengths + extent.offset) // extent.divisor
            targets: NDArray[Any] = objective.step_targets(y, steps, owner, f"{within}y")
        else:
            targets = objective.targets(y, samples.count, owner, f"{within}y")
        weight = sample_weights(sample_weight, samples.count, owner, f"{within}sample_weight")
        return cls(samples, targets, weight, weight, np.arange(samples.count), extent)

    def batch_targets(self, objective: Objective, batch: Batch) -> NDArray[Any]:
        """Return the targets of a batch as a training program takes them."""
        targets = objective.batch_targets(self.y, batch.rows)
        if self.extent is None:
            return targets
        return pad_steps(targets, self.extent.of(batch.array.shape[-1]))

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Of series of unequal length."""
        samples = self.samples
        return samples.series.lengths if isinstance(samples, UnequalSamples) else None

    def only(self, rows: NDArray[np.int64], owner: str) -> LabelledSamples:
        """Return those with these numbers; raise if none of them counts."""
        if not self.weight[rows].any():
            raise DataError(
                f"The 'sample_weight' parameter of {owner} is zero for all of the {len(rows)} "
                "samples on one side of the split for validation. Give validation_data=(X, y)."
            )
        return replace(self, rows=rows)

    def with_class_weights(self, weights: NDArray[np.float64] | None) -> LabelledSamples:
        """Return the samples with a weight for each class in the loss."""
        if weights is None:
            return self
        codes = self.y.astype(np.int64, copy=False)
        return replace(self, loss_weight=self.weight * weights[codes])

    def metrics(self, objective: Objective) -> Metrics:
        """Return what is measured on them."""
        by_step = self.extent is not None
        weight = self.weight[self.rows]
        return Metrics.of(objective, self.y, self.rows, weight, by_step=by_step)

    def fingerprint(self) -> str:
        """Return a text that other targets, weights or rows would change, most likely."""
        value = 0
        for array in (self.y, self.weight, self.loss_weight, self.rows):
            content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            value = zlib.crc32(content.data, value)
        return f"{len(self.rows)} samples ({value:08x})"


def _extent(network: Network) -> Extent | None:
    """Return how many outputs a network has for a series; None: one, whatever its length."""
    (output,) = network.graph.outputs
    alignment = align(network.graph)[output]
    return None if alignment is None else alignment.extent
