"""Data sets of series, which may have unequal lengths and missing values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.data.dataset import Dataset
from convoi.data.sources import checked_indices
from convoi.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.data.options import Label
    from convoi.data.sources import SampleSource

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, eq=False, repr=False)
class SeriesDataset(Dataset):
    """Series, their labels, and what the labels mean.

    Attributes
    ----------
    name : str
        What the data are called, for reports.
    X : ndarray of shape (n, channels, time), or tuple of ndarrays of shape (channels, time)
        Series of equal length, or series of any length. float32 or float64; missing values are
        NaN.
    y : ndarray or None
        Class codes, int of shape (n,); or values to be predicted, float32 of shape (n,); or None
        where the series have no labels.
    classes : tuple of str or int, or None
        What the class codes mean: code ``k`` is ``classes[k]``. None for values.

    Raises
    ------
    ArgumentError
        If the series are of another dtype or form, have different numbers of channels, or the
        labels do not fit them.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.data import SeriesDataset
    >>> series = (np.zeros((1, 30)), np.zeros((1, 45)))
    >>> data = SeriesDataset("walks", series, np.array([0, 1]), ("slow", "fast"))
    >>> data
    SeriesDataset('walks', 2 series of 1 channel and 30 to 45 time steps, float64, 2 classes)
    >>> data.labels
    array(['slow', 'fast'], dtype='<U4')
    """

    X: Any

    def __post_init__(self) -> None:
        series = [self.X] if isinstance(self.X, np.ndarray) else list(self.X)
        axes = 3 if isinstance(self.X, np.ndarray) else 2
        if not series or any(
            not isinstance(item, np.ndarray)
            or item.dtype not in _DTYPES
            or item.dtype != series[0].dtype
            or item.ndim != axes
            or item.shape[-2] != series[0].shape[-2]
            or 0 in item.shape[-2:]
            for item in series
        ):
            raise ArgumentError(
                "The 'X' parameter of SeriesDataset must be float32 or float64 of shape (n, "
                "channels, time), or arrays of one such dtype of shape (channels, time) with the "
                "same channels. Got something else."
            )
        self._check_labels()

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        shortest, longest = int(self.lengths.min()), int(self.lengths.max())
        steps = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
        channels = f"{self.channels} channel{'s' if self.channels > 1 else ''}"
        return (
            f"SeriesDataset({self.name!r}, {len(self)} series of {channels} and {steps} time "
            f"steps, {self.dtype}, {self._target()})"
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        dtype: np.dtype[Any] = self.X.dtype if isinstance(self.X, np.ndarray) else self.X[0].dtype
        return dtype

    @property
    def channels(self) -> int:
        """The channels of each series."""
        return int(self.X[0].shape[0])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The time steps of each series, shape (n,)."""
        return np.array([series.shape[1] for series in self.X], np.int64)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """``(channels, time)``, of the longest series where lengths differ."""
        return (self.channels, int(self.lengths.max()))

    @property
    def missing(self) -> bool:
        """Whether a value is missing."""
        return any(bool(np.isnan(series).any()) for series in self.X)

    @property
    def source(self) -> SampleSource:
        """The series as a source of samples, if they are of one length.

        Raises
        ------
        DataError
            If their lengths differ.
        """
        if not isinstance(self.X, np.ndarray):
            raise DataError(
                f"The series of {self.name!r} have unequal lengths, and are no grid of samples. "
                "Give X and labels to the estimator's fit."
            )
        return super().source

    def subset(self, indices: ArrayLike) -> SeriesDataset:
        """Return the series with these numbers.

        Parameters
        ----------
        indices : array-like of int, shape (k,)
            Numbers of series; negative ones count from the end.

        Returns
        -------
        SeriesDataset
            With the same classes.

        Raises
        ------
        IndexError
            If a number is out of range.
        """
        chosen = checked_indices(indices, len(self))
        y = None if self.y is None else self.y[chosen]
        if isinstance(self.X, np.ndarray):
            return replace(self, X=self.X[chosen], y=y)
        return replace(self, X=tuple(self.X[i] for i in chosen), y=y)


def as_series_form(series: Sequence[NDArray[Any]]) -> NDArray[Any] | tuple[NDArray[Any], ...]:
    """Return series of shape (channels, time) as one array if they are of one length."""
    if len({item.shape for item in series}) == 1:
        return np.stack(series)
    return tuple(series)


def series_dataset(
    name: str,
    series: Sequence[NDArray[Any]],
    y: NDArray[Any] | None,
    classes: tuple[Label, ...] | None,
) -> SeriesDataset:
    """Return a data set of series of any lengths."""
    return SeriesDataset(name, as_series_form(series), y, classes)
