"""Series of unequal length, and predicting them.

A series is padded to one of a few lengths, which follows from its own length alone, and the
program of that padded length is told where it ends. So what is predicted for it does not depend,
to the bit, on the series that are predicted with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import describe
from convoi.errors import ArgumentTypeError, DataError, ShapeError
from convoi.graph import INPUT, Graph, align, resize
from convoi.nn.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.nn.setting import Setting

__all__ = ["UnequalPredictor", "UnequalSeries", "padded_length"]

_BATCH_BYTES = 1 << 26
"""Of padded series that are predicted at a time."""


def padded_length(length: int) -> int:
    """Return what a series is padded to: the next power of two, or three quarters of it.

    There are two programs for each doubling of the length, and a fifth of the positions are
    padding on average.

    Examples
    --------
    >>> [padded_length(length) for length in (1, 5, 7, 100, 150, 1344)]
    [1, 6, 8, 128, 192, 1536]
    """
    power = 1 << (length - 1).bit_length()
    quarters = 3 * power // 4
    return quarters if length <= quarters and power >= 4 else power


@dataclass(frozen=True, eq=False)
class UnequalSeries:
    """Series of the same channels and of any lengths.

    Attributes
    ----------
    series : tuple of ndarray, each of shape (channels, time)
        Of one dtype, float32 or float64.
    lengths : ndarray of int64, shape (n,)
        The time of each.

    Examples
    --------
    >>> import numpy as np
    >>> X = UnequalSeries.of([np.zeros((2, 5)), np.zeros((2, 9))])
    >>> len(X), X.channels, X.lengths
    (2, 2, array([5, 9]))
    """

    series: tuple[NDArray[Any], ...]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, series: Sequence[ArrayLike], name: str = "X") -> UnequalSeries:
        """Return series after checks.

        Parameters
        ----------
        series : sequence of array-like
            Each of shape (time,) or (channels, time), of real numbers.
        name : str
            What they are called in messages.

        Raises
        ------
        ArgumentTypeError
            If one holds no real numbers.
        ShapeError
            If one has other axes, or not the channels of the first.
        DataError
            If there are none, or one has no time steps.
        """
        arrays = [_series(item, number, name) for number, item in enumerate(series)]
        if not arrays:
            raise DataError(f"{name} must hold at least one series. Got none.")
        channels = arrays[0].shape[0]
        for number, array in enumerate(arrays):
            if array.shape[0] != channels:
                raise ShapeError(
                    f"All series of {name} must have the same channels. Series 0 has {channels}, "
                    f"and series {number} has {array.shape[0]}. Give arrays of shape "
                    "(channels, time)."
                )
            if not array.shape[1]:
                raise DataError(f"Series {number} of {name} has no time steps. Remove it.")
        wide = any(array.dtype == np.float64 for array in arrays)
        kind = np.float64 if wide else np.float32
        kept = tuple(array.astype(kind, copy=False) for array in arrays)
        return cls(kept, np.array([array.shape[1] for array in kept], np.int64))

    def __len__(self) -> int:
        return len(self.series)

    @property
    def channels(self) -> int:
        """Number of channels of each series."""
        return int(self.series[0].shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.series[0].dtype

    def take(self, rows: NDArray[np.int64]) -> UnequalSeries:
        """Return the series with these numbers."""
        return UnequalSeries(tuple(self.series[row] for row in rows), self.lengths[rows])

    def padded(self, rows: NDArray[np.int64], positions: int) -> NDArray[Any]:
        """Return the series with these numbers, ``(k, channels, positions)``, zeros behind."""
        array = np.zeros((len(rows), self.channels, positions), self.dtype)
        for sample, row in zip(array, rows, strict=True):
            sample[:, : self.lengths[row]] = self.series[row]
        return array

    def check_lengths(self, graph: Graph, name: str = "X") -> None:
        """Raise unless a network takes these channels, and series as short as the shortest."""
        channels = graph.shape(INPUT)[0]
        if self.channels != channels:
            raise ShapeError(
                f"The series of {name} have {self.channels} channels, and the network takes "
                f"{channels}."
            )
        least = max(alignment.shortest for alignment in align(graph).values() if alignment)
        if int(self.lengths.min()) < least:
            number = int(self.lengths.argmin())
            raise DataError(
                f"Series {number} of {name} has {self.lengths[number]} time steps, and the "
                f"network needs at least {least}. Remove it, or use layers with padding."
            )


class UnequalPredictor:
    """Programs of one network for all padded lengths, compiled when they are first needed."""

    def __init__(self, graph: Graph, setting: Setting) -> None:
        self._graph = graph
        self._setting = setting
        self._predictors: dict[int, Predictor] = {}

    def __call__(
        self, X: UnequalSeries, parameters: Mapping[str, NDArray[Any]]
    ) -> NDArray[Any] | list[NDArray[Any]]:
        """Return the output of each series, in one array unless it depends on the length.

        Raises
        ------
        ArgumentError
            If the network has a layer that works on one length only.
        ShapeError, DataError
            If the series have other channels, or one is too short.
        """
        X.check_lengths(self._graph)
        (output,) = self._graph.outputs
        alignment = align(self._graph)[output]
        results: list[NDArray[Any]] = [np.empty(0)] * len(X)
        for rows, positions in self._groups(X):
            predictor = self._predictor(positions)
            lengths = X.lengths[rows]
            found = predictor(X.padded(rows, positions), parameters, lengths)
            for row, length, result in zip(rows, lengths, found, strict=True):
                stop = None if alignment is None else alignment.extent.of(int(length))
                results[row] = result if stop is None else result[:, :stop].copy()
        return np.stack(results) if alignment is None else results

    def _groups(self, X: UnequalSeries) -> Iterator[tuple[NDArray[np.int64], int]]:
        """Iterate over the numbers of series that are padded to one length, and that length."""
        padded = np.array([padded_length(int(length)) for length in X.lengths])
        for positions in np.unique(padded).tolist():
            rows = np.flatnonzero(padded == positions)
            size = max(1, _BATCH_BYTES // (X.channels * positions * X.dtype.itemsize))
            for start in range(0, len(rows), size):
                yield rows[start : start + size], positions

    def _predictor(self, positions: int) -> Predictor:
        if positions not in self._predictors:
            graph = resize(self._graph, (positions,))
            self._predictors.setdefault(positions, Predictor(graph, self._setting, masked=True))
        return self._predictors[positions]


def _series(item: ArrayLike, number: int, name: str) -> NDArray[Any]:
    """Return a series as (channels, time)."""
    array = np.asarray(item)
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(
            f"Series {number} of {name} must be an array of real numbers. Got {describe(item)} "
            "instead."
        )
    if array.ndim not in {1, 2}:
        raise ShapeError(
            f"Series {number} of {name} must have the shape (time,) or (channels, time). Got "
            f"{array.shape} instead."
        )
    return array if array.ndim == 2 else array[np.newaxis]
