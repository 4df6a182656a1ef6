"""The samples of a training set, as a network takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.data import Subset, as_sample_source
from convoi.errors import DataError
from convoi.estimators.multiset import as_multiset
from convoi.nn import UnequalSeries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.data import SampleSource
    from convoi.ops import Loss

GATHERED_BYTES = 1 << 30
"""Largest array that is copied into the order in which it is used."""

_CHECKED_ELEMENTS = 1 << 18  # per step, so that they stay in cache


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Samples with targets and weights.

    Attributes
    ----------
    X : ndarray, SampleSource or UnequalSeries, shape (n, *input_shape)
        The samples.
    y : ndarray
        Class codes, int64 of shape (n,); or values, float64 of shape (n, outputs).
    weight : ndarray of float64, shape (n,)
        All greater than 0.
    """

    X: NDArray[Any] | SampleSource | UnequalSeries
    y: NDArray[Any]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weight)


@dataclass(frozen=True, eq=False)
class Objective:
    """What a network is trained towards: a loss, with targets and weights in its terms."""

    loss: Loss
    outputs: int
    data: TrainingSet


def training_set(
    X: NDArray[Any] | UnequalSeries,
    y: NDArray[Any],
    weight: NDArray[np.float64],
    *,
    mapped: bool,
) -> TrainingSet:
    """Return the samples that count, in the order of their values, equal ones merged.

    Samples of a large file that is memory-mapped stay in their order: to sort them would read
    the file many times.
    """
    if isinstance(X, UnequalSeries):
        return _series_set(X, y, weight)
    large = X.nbytes > GATHERED_BYTES
    if mapped and large:
        indices = np.flatnonzero(weight)
        counts = weight[indices]
    else:
        multiset = as_multiset(X, y, weight)
        indices, counts = multiset.indices, multiset.weight
    if not large:
        return TrainingSet(X[indices], y[indices], counts)
    return TrainingSet(Subset(as_sample_source(X), indices), y[indices], counts)


def _series_set(X: UnequalSeries, y: NDArray[Any], weight: NDArray[np.float64]) -> TrainingSet:
    """Do as :func:`training_set`: series are equal if their lengths and values are."""
    rows, longest = np.arange(len(X)), int(X.lengths.max())
    if len(X) * longest * X.channels * X.dtype.itemsize > GATHERED_BYTES:
        kept = np.flatnonzero(weight)
        return TrainingSet(X.take(kept), y[kept], weight[kept])
    values = X.padded(rows, longest).reshape(len(X), -1)
    multiset = as_multiset(np.column_stack([X.lengths, values]), y, weight)
    return TrainingSet(X.take(multiset.indices), y[multiset.indices], multiset.weight)


def check_finite(X: NDArray[Any]) -> None:
    """Raise if a value of X is none that float32 can hold."""
    if X.dtype.kind != "f" or not X.size:
        return
    step = max(1, _CHECKED_ELEMENTS * len(X) // X.size)
    for start in range(0, len(X), step):
        part = X[start : start + step]
        with np.errstate(over="ignore"):
            finite = np.isfinite(part.astype(np.float32, copy=False))
        if finite.all():
            continue
        place = np.unravel_index(int(finite.argmin()), finite.shape)
        where = ", ".join(str(int(position)) for position in place[1:])
        raise DataError(
            f"Sample {start + int(place[0])} of X has the value {part[place]} at ({where}), and "
            "values must be finite: NaN and inf are not, nor what float32 cannot hold. "
            "Remove or repair the sample."
        )
