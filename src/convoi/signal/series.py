"""Collections of series for the kernels that turn each series into features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convoi.checks import describe
from convoi.codegen.target import Target, current_target
from convoi.errors import ArgumentTypeError, DataError, ShapeError
from convoi.kernels.base import kernel_address
from convoi.kernels.series_rows import RECORD, SeriesKernel, block_vectors
from convoi.runtime.buffers import round_up
from convoi.runtime.threads import resolve_threads
from convoi.signal.running import native_kernel, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Series: TypeAlias = ArrayLike | Sequence[ArrayLike] | "SeriesCollection"
    """(n, time), (n, channels, time), or a sequence of (time,) or (channels, time)."""

_SHORTEST_NORMALIZED = 7
"""Time steps."""
_EXPECTED = (
    "an array of shape (n, time) or (n, channels, time), or a sequence of arrays of shape (time,) "
    "or (channels, time)"
)


@dataclass(frozen=True, eq=False)
class SeriesCollection:
    """Series of one number of channels, one after the other in memory.

    Attributes
    ----------
    values : ndarray of float32
        Series after series, each [channel][time].
    offsets, lengths : ndarray of int64, shape (n,)
        Where each begins, and its number of time steps.
    channels : int
        Of every series.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    channels: int

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """The largest number of time steps."""
        return int(self.lengths.max(initial=1))

    def series(self, number: int) -> NDArray[np.float32]:
        """Return one series, shape (channels, time)."""
        start, length = self.offsets[number], self.lengths[number]
        return self.values[start : start + self.channels * length].reshape(self.channels, length)

    def normalized(self) -> SeriesCollection:
        """Return the series with mean 0 and standard deviation 1 in each channel.

        A channel that is constant becomes 0. Series shorter than the shortest of Rocket's kernels
        are left as they are: of two values, nothing but their order would remain.
        """
        if not len(self):
            return self
        starts = self.offsets[:, np.newaxis] + self.lengths[:, np.newaxis] * np.arange(
            self.channels
        )
        starts, lengths = starts.reshape(-1), np.repeat(self.lengths, self.channels)
        values = self.values.astype(np.float64)
        mean = np.add.reduceat(values, starts) / lengths
        values -= np.repeat(mean, lengths)
        deviation = np.sqrt(np.add.reduceat(values * values, starts) / lengths)
        # What rounding leaves of a constant channel is no signal.
        constant = deviation <= 1e-7 * np.abs(mean)
        deviation[constant] = np.inf
        values /= np.repeat(deviation, lengths)
        short = np.repeat(lengths < _SHORTEST_NORMALIZED, lengths)
        values[short] = self.values[short]
        return SeriesCollection(
            values.astype(np.float32), self.offsets, self.lengths, self.channels
        )


def as_series(X: Series, owner: str) -> SeriesCollection:
    """Return series as a collection of float32.

    Raises
    ------
    ArgumentTypeError
        If they are no numbers.
    ShapeError
        If an array has another number of axes, a series is empty, or the numbers of channels
        differ.
    DataError
        If a value is NaN, infinite or beyond float32; the message names the series.
    """
    if isinstance(X, SeriesCollection):
        return X
    array = _array(X)
    collection = _joined(X, owner) if array is None else _equal(array, owner)
    _check_finite(collection, owner)
    return collection


def _array(X: Any) -> NDArray[Any] | None:  # noqa: ANN401 - whatever a user gives
    """Return series of equal length as an array, or None."""
    if isinstance(X, np.ndarray):
        return None if X.dtype == object else X
    if not isinstance(X, Sequence) or not len(X):
        array = np.asarray(X)
        return None if array.dtype == object and array.ndim else array
    shapes = {np.shape(item) for item in X if isinstance(item, (np.ndarray, Sequence))}
    if len(shapes) != 1:
        return None
    array = np.asarray(X)
    return None if array.dtype == object else array


def _equal(array: NDArray[Any], owner: str) -> SeriesCollection:
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(_refused(owner, array))
    if array.ndim not in {2, 3} or 0 in array.shape[1:]:
        raise ShapeError(_refused(owner, array))
    channels = 1 if array.ndim == 2 else array.shape[1]
    n, length = array.shape[0], array.shape[-1]
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, np.float32).reshape(-1)
    offsets = np.arange(n, dtype=np.int64) * (channels * length)
    return SeriesCollection(values, offsets, np.full(n, length, np.int64), channels)


def _joined(items: Any, owner: str) -> SeriesCollection:  # noqa: ANN401 - a sequence of arrays
    series: list[NDArray[Any]] = []
    for number, item in enumerate(items):
        array = np.asarray(item)
        if array.dtype.kind not in "biuf":
            raise ArgumentTypeError(f"{_refused(owner, array)} That is series {number}.")
        if array.ndim not in {1, 2} or array.size == 0:
            raise ShapeError(f"{_refused(owner, array)} That is series {number}.")
        series.append(array[np.newaxis] if array.ndim == 1 else array)
    channels = series[0].shape[0]
    for number, array in enumerate(series):
        if len(array) != channels:
            raise ShapeError(
                f"The 'X' parameter of {owner} must be series of one number of channels. Series 0 "
                f"has {channels}, and series {number} has {len(array)}."
            )
    lengths = np.array([array.shape[1] for array in series], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths[:-1] * channels)]).astype(np.int64)
    with np.errstate(over="ignore"):
        values = np.concatenate([array.reshape(-1).astype(np.float32) for array in series])
    return SeriesCollection(values, offsets, lengths, channels)


def _check_finite(collection: SeriesCollection, owner: str) -> None:
    finite = np.isfinite(collection.values)
    if finite.all():
        return
    place = int(np.argmin(finite))
    number = int(np.searchsorted(collection.offsets, place, "right")) - 1
    channel, time = divmod(place - int(collection.offsets[number]), collection.lengths[number])
    raise DataError(
        f"The 'X' parameter of {owner} must not have NaN, infinity or values beyond float32. "
        f"Series {number} has one in channel {channel} at time step {time}. Fill or remove it."
    )


def _refused(owner: str, value: object) -> str:
    return f"The 'X' parameter of {owner} must be {_EXPECTED}. Got {describe(value)} instead."


@dataclass(frozen=True)
class Tables:
    """What a kernel reads besides the series."""

    count: int
    features: int
    halo: int
    """Zeros that a series needs at each end."""
    arrays: tuple[NDArray[Any], ...]


def series_features(
    collection: SeriesCollection,
    kernel: Callable[[Target], SeriesKernel],
    tables: Tables,
    threads: int | None,
    owner: str,
) -> NDArray[np.float32]:
    """Let a kernel compute the features of all series, shape (n, features)."""
    threads = resolve_threads(threads, owner)
    target = current_target()
    specified = kernel(target)
    lanes = specified.lanes
    out = np.empty((len(collection), tables.features), np.float32)
    if not out.size:
        return out
    halo = round_up(tables.halo, lanes)
    most = block_vectors(lanes)[0] * lanes
    pitch = round_up(2 * halo + collection.longest + most, lanes)
    record = np.zeros(RECORD.words, np.int64)
    record[RECORD.source] = collection.values.ctypes.data
    record[RECORD.offsets] = collection.offsets.ctypes.data
    record[RECORD.lengths] = collection.lengths.ctypes.data
    record[RECORD.channels] = collection.channels
    record[RECORD.pitch] = pitch
    record[RECORD.halo] = halo
    record[RECORD.output] = out.ctypes.data
    record[RECORD.features] = tables.features
    record[RECORD.count] = tables.count
    for number, array in enumerate(tables.arrays):
        record[RECORD.tables + number] = array.ctypes.data
    rows = pitch * collection.channels * specified.planes
    run_tasks(
        native_kernel(kernel_address(specified, target)),
        record,
        len(collection),
        scratch=4 * (specified.front * lanes + rows),
        threads=min(threads, len(collection)),
        target=target,
    )
    return out
