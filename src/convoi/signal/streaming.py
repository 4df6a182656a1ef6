"""Convolution of signals that come chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError, ConvoiError, ShapeError
from convoi.signal.arguments import METHODS, check_array, check_name
from convoi.signal.operation import Options, operate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Stream:
    """Convolve a signal of any length, one chunk after the other.

    The results of all chunks and of `finish`, put together, are those of `convolve` on the whole
    signal with mode 'full'; bit by bit with ``method='direct'``. As many samples are kept as the
    kernel is long.

    Parameters
    ----------
    kernel : array_like
        As of `convolve`. Its axes are the last ones of the chunks.
    axis : int
        The axis along which the chunks follow each other, counted from the end: -1 is the last.
        Along the other axes of the kernel each chunk is convolved as a whole, with mode 'full'.
    method : {'auto', 'direct', 'separable', 'fft', 'overlap-add'}
        As of `convolve`.
    threads : int, optional
        The most threads.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If the kernel has no such axis, or an option has a value that it may not have.

    Examples
    --------
    >>> import numpy as np
    >>> import convoi
    >>> from convoi.signal import Stream
    >>> stream = Stream([1, 10, 100])
    >>> parts = [stream([1, 2]), stream([3]), stream.finish()]
    >>> np.concatenate(parts)
    array([  1,  12, 123, 230, 300])
    >>> convoi.convolve([1, 2, 3], [1, 10, 100])
    array([  1,  12, 123, 230, 300])
    """

    def __init__(
        self,
        kernel: ArrayLike,
        *,
        axis: int = -1,
        method: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._kernel = check_array(kernel, "kernel", "Stream").copy()
        rank = self._kernel.ndim
        if rank == 0 or self._kernel.size == 0:
            raise ArgumentError(
                refusal("kernel", "Stream", "an array with at least one element", self._kernel)
            )
        self._axis = check_integer(axis, "axis", "Stream", minimum=-rank, maximum=-1)
        self._method = check_name(method, "method", "Stream", METHODS)
        self._threads = threads
        self._history: NDArray[Any] | None = None
        self._finished = False

    @property
    def taps(self) -> int:
        """Length of the kernel along the axis."""
        return int(self._kernel.shape[self._axis])

    def __call__(self, chunk: ArrayLike) -> NDArray[Any]:
        """Return the outputs that a chunk completes: as many as it has samples.

        Parameters
        ----------
        chunk : array_like
            The next samples. All chunks have one dtype and, but for the stream's axis, one shape.

        Returns
        -------
        array
            As long as the chunk along the stream's axis.

        Raises
        ------
        ShapeError
            If the chunk does not fit the ones before.
        ConvoiError
            If the stream was finished.
        """
        if self._finished:
            raise ConvoiError("The Stream was finished: make a new one for the next signal.")
        samples = check_array(chunk, "chunk", "Stream")
        if samples.ndim < self._kernel.ndim:
            raise ShapeError(
                f"A chunk of Stream must have at least the {self._kernel.ndim} axes of the kernel. "
                f"Got an array of shape {samples.shape}."
            )
        shape = list(samples.shape)
        shape[self._axis] = self.taps - 1
        if self._history is None:
            self._history = np.zeros(shape, samples.dtype)
        elif list(self._history.shape) != shape or self._history.dtype != samples.dtype:
            raise ShapeError(
                "The chunks of Stream must have one dtype and one shape but along the axis "
                f"{self._axis}. Got shape {samples.shape} and dtype {samples.dtype} after others "
                f"with a history of shape {self._history.shape} and dtype {self._history.dtype}."
            )
        joined = np.concatenate([self._history, samples], axis=self._axis)
        keep: list[slice] = [slice(None)] * samples.ndim
        keep[self._axis] = slice(joined.shape[self._axis] - (self.taps - 1), None)
        self._history = joined[tuple(keep)].copy()
        return self._outputs(joined)

    def finish(self) -> NDArray[Any]:
        """Return the last outputs, in which the signal has ended, and close the stream.

        Returns
        -------
        array
            ``kernel length - 1`` outputs.

        Raises
        ------
        ConvoiError
            If no chunk came before, or the stream was finished.
        """
        if self._history is None or self._finished:
            raise ConvoiError(
                "Stream.finish needs at least one chunk before it, and ends the stream once."
            )
        self._finished = True
        ending = np.zeros_like(self._history)
        return self._outputs(np.concatenate([self._history, ending], axis=self._axis))

    def _outputs(self, joined: NDArray[Any]) -> NDArray[Any]:
        """Convolve with mode 'valid' along the stream's axis and 'full' along the others."""
        kernel, rank = self._kernel, self._kernel.ndim
        if joined.shape[self._axis] < self.taps:
            shape = [n + k - 1 for n, k in zip(joined.shape[-rank:], kernel.shape, strict=True)]
            shape[self._axis] = 0
            empty: NDArray[Any] = np.zeros(
                (*joined.shape[:-rank], *shape), np.result_type(joined, kernel)
            )
            return empty
        options = Options(
            mode="full",
            axes=tuple(range(-rank, 0)),
            method=self._method,
            threads=self._threads,
            within=self._axis,
        )
        return operate("Stream", joined, kernel, options, flip=True)
