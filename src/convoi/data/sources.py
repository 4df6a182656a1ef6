"""Where samples come from: arrays, memory maps, files, and parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from convoi.errors import ArgumentTypeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

Indices: TypeAlias = "NDArray[np.intp]"


class SampleSource(Protocol):
    """Samples that are fetched by number, a few at a time.

    This is what data must offer to be streamed: nothing that reads a source holds more than the
    samples of one batch. An ndarray is *not* one, although it has attributes of these names (its
    ``take`` flattens); :func:`as_sample_source` wraps it.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, channels, *spatial)``: the number of samples and the shape of each."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what :meth:`take` returns: uint8 or float32."""
        ...

    def take(self, indices: ArrayLike, /) -> NDArray[Any]:
        """Return the samples with these numbers.

        Parameters
        ----------
        indices : array-like of int, shape (k,)
            Numbers from -n to n - 1, in any order, repeated or not.

        Returns
        -------
        ndarray of shape (k, channels, *spatial)
            A copy, never a view.

        Raises
        ------
        IndexError
            If a number is out of range.
        """
        ...


@dataclass(frozen=True, eq=False)
class ArraySource:
    """The samples of an array, in memory or memory-mapped.

    Attributes
    ----------
    array : ndarray of shape (n, channels, *spatial)
        Any strides and byte order.
    dtype : dtype
        What the samples are converted to as they are taken.
    """

    array: NDArray[Any]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, channels, *spatial)``."""
        return self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: ArrayLike, /) -> NDArray[Any]:
        """Return the samples with these numbers, shape (k, channels, *spatial)."""
        chosen = checked_indices(indices, len(self.array))
        return np.asarray(self.array[chosen]).astype(self.dtype, copy=False)

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 (NumPy's)
    ) -> NDArray[Any]:
        return all_samples(self, dtype, copy=copy)


@dataclass(frozen=True, eq=False)
class Subset:
    """Some of the samples of another source; nothing is read before it is asked for.

    Attributes
    ----------
    source : SampleSource
        What the samples belong to.
    indices : ndarray of int, shape (n,)
        Their numbers in it.
    """

    source: SampleSource
    indices: Indices

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, channels, *spatial)``."""
        return (len(self.indices), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the source."""
        return self.source.dtype

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: ArrayLike, /) -> NDArray[Any]:
        """Return the samples with these numbers in the subset, shape (k, channels, *spatial)."""
        return self.source.take(self.indices[checked_indices(indices, len(self.indices))])

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 (NumPy's)
    ) -> NDArray[Any]:
        return all_samples(self, dtype, copy=copy)


def as_sample_source(samples: ArrayLike | SampleSource) -> SampleSource:
    """Return ``samples`` as a source: arrays are wrapped without copying, sources are kept.

    Parameters
    ----------
    samples : array-like of shape (n, channels, *spatial), or SampleSource
        A memory map stays mapped.

    Returns
    -------
    SampleSource
        With the dtype of the array.

    Raises
    ------
    ArgumentTypeError
        If ``samples`` is neither a source nor a numeric array with an axis of samples.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.data import as_sample_source
    >>> source = as_sample_source(np.zeros((5, 1, 8, 8), np.uint8))
    >>> source.take([4, 0]).shape
    (2, 1, 8, 8)
    """
    if not isinstance(samples, np.ndarray) and is_sample_source(samples):
        return samples  # type: ignore[return-value]  # the protocol, tested for by name
    array = samples if isinstance(samples, np.ndarray) else np.asarray(samples)
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise ArgumentTypeError(
            "Samples must be a numeric array of shape (n, channels, *spatial), or have the "
            f"attributes 'shape', 'dtype' and 'take'. Got {type(samples).__name__} instead."
        )
    return ArraySource(array, array.dtype)


def is_sample_source(samples: object) -> bool:
    """Tell whether an object has the attributes of :class:`SampleSource`; an ndarray is none."""
    return not isinstance(samples, np.ndarray) and all(
        hasattr(samples, name) for name in ("shape", "dtype", "take")
    )


def checked_indices(indices: ArrayLike, count: int) -> Indices:
    """Return sample numbers as non-negative integers; IndexError as NumPy raises it."""
    numbers = np.asarray(indices)
    if numbers.size == 0:
        return np.zeros(0, np.intp)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise IndexError(
            "Samples are taken by a one-dimensional array of integers, "
            f"not by an array of shape {numbers.shape} and dtype {numbers.dtype}."
        )
    outside = (numbers < -count) | (numbers >= count)
    if outside.any():
        raise IndexError(
            f"Sample {numbers[outside][0]} is out of range for a source of {count} samples."
        )
    numbers = numbers.astype(np.intp)
    return np.where(numbers < 0, numbers + count, numbers)


def all_samples(
    source: SampleSource, dtype: DTypeLike | None, *, copy: bool | None
) -> NDArray[Any]:
    """Return every sample of a source: what ``numpy.asarray(source)`` asks for."""
    if copy is False:
        raise ValueError("The samples of a source cannot be made an array without a copy.")
    samples = source.take(np.arange(source.shape[0]))
    return samples if dtype is None else samples.astype(dtype, copy=False)
