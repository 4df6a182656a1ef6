"""Reading the samples of a run: in place from memory, or a batch at a time from anywhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

import numpy as np

from convoi.checks import refusal
from convoi.errors import ArgumentTypeError, DataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from numpy.typing import ArrayLike, NDArray

    from convoi.ops import Shape

__all__ = ["Batch", "InMemory", "SampleSource", "Samples", "as_samples", "read_batches"]

Rows: TypeAlias = "NDArray[np.int64]"

_CHECKED_ELEMENTS = 1 << 18  # of a chunk that is checked for NaN: it stays in cache


class SampleSource(Protocol):
    """Samples that are fetched by number, a few at a time; see :mod:`convoi.data`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, channels, *spatial)``: the number of samples and the shape of each."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what :meth:`take` returns."""

    def take(self, indices: ArrayLike, /) -> NDArray[Any]:
        """Return the samples with these numbers, ``(k, channels, *spatial)``."""


@dataclass(frozen=True)
class Batch:
    """The samples of a step, as a program takes them.

    Attributes
    ----------
    rows : ndarray of int64, shape (b,)
        Numbers of the samples.
    array : ndarray of shape (m, channels, *spatial)
        An array that has them.
    indices : ndarray of int64, shape (b,)
        Where in it they are.
    lengths : ndarray of int64, shape (b,), or None
        Of series of unequal length, which are padded with zeros.
    """

    rows: Rows
    array: NDArray[Any]
    indices: Rows
    lengths: Rows | None = None


class Samples(Protocol):
    """Samples that have passed the checks, or pass them as they are read."""

    @property
    def count(self) -> int:
        """Number of samples."""

    @property
    def reads(self) -> bool:
        """Whether a batch has to be read, so that it pays to do that in advance."""

    def batch(self, rows: Rows) -> Batch:
        """Return the samples with these numbers."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """An array whose samples the program reads where they are."""

    array: NDArray[Any]
    reads: bool = False

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.array)

    def batch(self, rows: Rows) -> Batch:
        """Return the samples with these numbers."""
        return Batch(rows, self.array, rows)


@dataclass(frozen=True, eq=False)
class Streamed:
    """A source, of which no more than two batches are held."""

    source: SampleSource
    dtype: np.dtype[Any]
    """What the network computes in: samples must be finite in it."""
    name: str
    owner: str
    reads: bool = True

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.source.shape[0]

    def batch(self, rows: Rows) -> Batch:
        """Read and check the samples with these numbers."""
        taken = np.asarray(self.source.take(rows))
        expected = (len(rows), *self.source.shape[1:])
        if taken.shape != expected or taken.dtype.kind not in "biuf":
            raise DataError(
                f"The 'take' method of the {self.name!r} parameter of {self.owner} must return a "
                f"numeric array of shape {expected} for {len(rows)} indices. Got shape "
                f"{taken.shape} and dtype {taken.dtype} instead."
            )
        array = _in_native_order(taken)
        bad = _first_not_finite(array, self.dtype)
        if bad is not None:
            raise _not_finite(int(rows[bad]), self.name, self.owner, self.dtype)
        return Batch(rows, array, np.arange(len(rows)))


@dataclass(frozen=True, eq=False)
class _Mapped:
    """A memory-mapped array as a source."""

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, channels, *spatial)``."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the array."""
        return self.array.dtype

    def take(self, indices: ArrayLike, /) -> NDArray[Any]:
        """Return a copy of the samples with these numbers."""
        return np.array(self.array[np.asarray(indices)])


def as_samples(
    X: ArrayLike | SampleSource, input_shape: Shape, dtype: np.dtype[Any], name: str, owner: str
) -> Samples:
    """Return samples that can be read, checked against what a network takes.

    Parameters
    ----------
    X : array-like or SampleSource, shape (n, *input_shape)
        An array in memory is used where it is. A memory map and a source are read in batches.
    input_shape : tuple of int
        Shape of a sample.
    dtype : dtype
        What the network computes in.
    name, owner : str
        The parameter, and the function that has it, for messages.

    Returns
    -------
    Samples
        Ready to be read.

    Raises
    ------
    ArgumentTypeError
        If X is neither a numeric array nor a source.
    ShapeError
        If the samples do not have the network's input shape.
    DataError
        If there are none, or one has a value that is NaN, infinite or beyond ``dtype``; for
        samples that are read in batches the latter is found out when they are read.
    """
    if _is_source(X):
        _check_shape(X.shape, input_shape, name, owner)
        return Streamed(X, dtype, name, owner)
    array = X if isinstance(X, np.memmap) else np.asarray(X)
    if array.dtype.kind not in "biuf":
        expectation = "a numeric array, or have the attributes 'shape', 'dtype' and 'take'"
        raise ArgumentTypeError(refusal(name, owner, expectation, X))
    _check_shape(array.shape, input_shape, name, owner)
    if isinstance(array, np.memmap):
        return Streamed(_Mapped(array), dtype, name, owner)
    array = _in_native_order(array)
    bad = _first_not_finite(array, dtype)
    if bad is not None:
        raise _not_finite(bad, name, owner, dtype)
    return InMemory(array)


def read_batches(samples: Samples, batches: Iterable[Rows]) -> Generator[Batch]:
    """Iterate over batches; one that has to be read is read while the one before it is used.

    Closing the iterator waits for the batch that is being read.
    """
    if not samples.reads:
        yield from map(samples.batch, batches)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="convoi-reader") as reader:
        ahead = None
        for rows in batches:
            following = reader.submit(samples.batch, rows)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()


def _is_source(X: object) -> TypeGuard[SampleSource]:
    """Tell whether X is a source; an ndarray is none, although its attributes have these names."""
    return not isinstance(X, np.ndarray) and all(
        hasattr(X, attribute) for attribute in ("shape", "dtype", "take")
    )


def _check_shape(shape: Shape, input_shape: Shape, name: str, owner: str) -> None:
    expected = f"({', '.join(map(str, ('n', *input_shape)))})"
    subject = f"The {name!r} parameter of {owner} must have the shape {expected} "
    if tuple(shape[1:]) != input_shape or not shape:
        hint = ""
        if tuple(shape) == input_shape:
            hint = f" For a single sample, give {name}[numpy.newaxis]."
        elif tuple(shape[1:]) == input_shape[1:] and input_shape[0] == 1:
            hint = f" Add the axis of channels: {name}[:, numpy.newaxis]."
        elif tuple(shape[1:]) == (*input_shape[1:], input_shape[0]):
            hint = f" Bring the channels to the front: numpy.moveaxis({name}, -1, 1)."
        raise ShapeError(
            f"{subject}that the network takes. Got an array of shape {tuple(shape)} instead.{hint}"
        )
    if not shape[0]:
        raise DataError(f"{subject}with at least one sample. Got shape {tuple(shape)} instead.")


def _in_native_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of a dtype that programs read; extended precision becomes float64."""
    if array.dtype.kind == "f" and array.dtype.itemsize > np.dtype(np.float64).itemsize:
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _first_not_finite(array: NDArray[Any], dtype: np.dtype[Any]) -> int | None:
    """Return the first sample that has a value that is not finite in this dtype."""
    if array.dtype.kind != "f" or not array.size:
        return None
    narrowed = array.dtype.itemsize > dtype.itemsize
    step = max(1, _CHECKED_ELEMENTS * len(array) // array.size)
    for start in range(0, len(array), step):
        part = array[start : start + step]
        with np.errstate(over="ignore"):
            finite = np.isfinite(part.astype(dtype) if narrowed else part)
        if not finite.all():
            return start + int(finite.reshape(len(part), -1).all(axis=1).argmin())
    return None


def _not_finite(sample: int, name: str, owner: str, dtype: np.dtype[Any]) -> DataError:
    return DataError(
        f"The {name!r} parameter of {owner} has a value that is NaN, infinite or beyond {dtype} "
        f"in sample {sample}. Remove or repair the sample."
    )
