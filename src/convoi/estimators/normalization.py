"""How series are brought to a common scale, and what stands for missing values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from convoi.errors import DataError
from convoi.nn import UnequalSeries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.estimators.parameters import Missing, Normalize

Samples = TypeVar("Samples", "NDArray[Any]", UnequalSeries)

_NEGLIGIBLE = 1e-7  # deviation in relation to the mean: what float32 may make of a constant


@dataclass(frozen=True, eq=False)
class Normalization:
    r"""Subtract a mean and divide by a deviation, :math:`z = (x - \mu) / \sigma`.

    Attributes
    ----------
    kind : {'channel', 'series', 'both'} or None
        Whose mean and deviation: of each channel in the training set, or of each channel of the
        series itself. A deviation of zero counts as 1. 'both': there are channels of either kind.
    missing : {'error', 'mask'}
        'mask' puts zero for each missing value, and adds a channel for each: 1 where there is a
        value, 0 where there is none.
    mean, scale : ndarray of float64, shape (channels,), or None
        Of the training set, for 'channel' and 'both'.

    Notes
    -----
    The channels come in the order: those by the training set, those that tell where there are
    values, those by the series itself. So what a network takes lies together, see :meth:`view`.
    """

    kind: Normalize | None
    missing: Missing
    mean: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        kind: Normalize | None,
        missing: Missing,
        X: NDArray[Any] | UnequalSeries,
        weight: NDArray[np.float64],
    ) -> Normalization:
        """Return the normalisation for a training set with weights."""
        if kind not in {"channel", "both"}:
            return cls(kind, missing)
        parts = X.series if isinstance(X, UnequalSeries) else X
        channels = X.channels if isinstance(X, UnequalSeries) else X.shape[1]
        count, total = np.zeros(channels), np.zeros(channels)
        for w, part in zip(weight, parts, strict=True):
            count += w * np.isfinite(part).sum(axis=1)
            total += w * np.nansum(part, axis=1, dtype=np.float64)
        mean = total / np.maximum(count, np.finfo(np.float64).tiny)
        squares = np.zeros(channels)
        for w, part in zip(weight, parts, strict=True):
            squares += w * np.nansum(np.square(part - mean[:, np.newaxis]), axis=1)
        deviation = np.sqrt(squares / np.maximum(count, np.finfo(np.float64).tiny))
        return cls(kind, missing, mean, _divisor(deviation, mean))

    @property
    def factor(self) -> int:
        """Channels of the whole input for each channel of a series."""
        return self.view_factor + (self.kind == "both")

    @property
    def view_factor(self) -> int:
        """Channels that a network takes for each channel of a series."""
        return 2 if self.missing == "mask" else 1

    def view(self, member: int, channels: int) -> slice | None:
        """Return which channels of the whole input a network of an ensemble takes; None: all.

        They take turns. A channel by itself is better told by its form, on data sets of the
        archives, and several by their levels: so these come first.

        Parameters
        ----------
        member : int
            Number of the network.
        channels : int
            Of a series.
        """
        if self.kind != "both":
            return None
        own = (member % 2 == 0) == (channels == 1)
        start = channels if own else 0
        return slice(start, start + self.view_factor * channels)

    def for_member(self, X: Samples, member: int, channels: int) -> Samples:
        """Return what a network of an ensemble takes of normalised series."""
        view = self.view(member, channels)
        if view is None:
            return X
        if isinstance(X, UnequalSeries):
            return UnequalSeries(tuple(part[view] for part in X.series), X.lengths)
        return X[:, view]

    def __call__(self, X: Samples) -> Samples:
        """Return series as a network takes them, in float32."""
        if isinstance(X, UnequalSeries):
            series = tuple(self._normalized(part) for part in X.series)
            return UnequalSeries(series, X.lengths)
        return cast("Samples", self._normalized(X))

    def _normalized(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return values of shape (..., channels, time)."""
        observed = np.isfinite(x)
        filled = np.where(observed, x, 0.0).astype(np.float64)
        parts = []
        if self.mean is not None and self.scale is not None:
            parts.append((filled - self.mean[:, np.newaxis]) / self.scale[:, np.newaxis])
        elif self.kind is None:
            parts.append(filled)
        if self.kind in {"series", "both"}:
            parts.append(_by_itself(filled, observed))
        parts = [np.where(observed, part, 0.0) for part in parts]
        if self.missing == "mask":
            parts.insert(1, observed)
        return np.concatenate(parts, axis=-2, dtype=np.float32, casting="same_kind")


def _by_itself(x: NDArray[np.float64], observed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return series of mean 0 and deviation 1, missing values left out."""
    count = np.maximum(observed.sum(axis=-1, keepdims=True), 1)
    mean = x.sum(axis=-1, keepdims=True) / count
    squares = np.square(np.where(observed, x - mean, 0.0)).sum(axis=-1, keepdims=True)
    normalized: NDArray[np.float64] = (x - mean) / _divisor(np.sqrt(squares / count), mean)
    return normalized


def check_values(X: NDArray[Any] | UnequalSeries, missing: Missing, owner: str) -> None:
    """Raise if a value is infinite, or missing where that is an error."""
    parts = X.series if isinstance(X, UnequalSeries) else X
    for number, part in enumerate(parts):
        if part.dtype.kind != "f":
            continue
        with np.errstate(over="ignore"):
            narrow = part.astype(np.float32, copy=False)
        bad = ~np.isfinite(narrow)
        if missing == "mask":
            bad &= ~np.isnan(narrow)
        if not bad.any():
            continue
        channel, time = np.unravel_index(int(bad.argmax()), bad.shape)
        value = part[channel, time]
        remedy = (
            f"NaN stands for a missing value: give {owner}(missing='mask'), or fill the gaps"
            if np.isnan(value)
            else "Values must be finite in float32, so not inf or beyond it: repair the series"
        )
        raise DataError(
            f"Series {number} of X has the value {value} in channel {channel} at time step {time}. "
            f"{remedy}."
        )


def _divisor(deviation: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
    return np.where(deviation <= _NEGLIGIBLE * np.abs(mean), 1.0, deviation)
