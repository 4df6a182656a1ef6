"""Correlation by the Fourier transform, whole or in blocks.

    y = F^-1( F(x) conj(F(conj(w))) )

A block of outputs needs ``reach - 1`` inputs more than it has outputs. The transform is as long as
that, rounded up to a product of small primes; wrapped-around sums fall on outputs that are not
kept (overlap-save), so blocks are written once and never added.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convoi.signal.boundaries import source_positions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convoi.signal.problem import Problem, SlidingAxis, Terms
    from convoi.signal.transform_blocks import AxisBlocks

GROUP_BYTES = 2**23
"""Input that is transformed at once: few enough to stay in the last-level cache."""


def transform_dtype(result: np.dtype[Any]) -> np.dtype[Any]:
    """Return the real dtype that a result is transformed in."""
    single = result.name in {"float16", "float32", "complex64"}
    return np.dtype(np.float32 if single else np.float64)


def error_bound(x: NDArray[Any], kernel: NDArray[Any], size: int, real: np.dtype[Any]) -> float:
    """Return a bound of the absolute error of any output.

    The transform's error grows as ``eps log2 N`` relative to the norm; three transforms and the
    product give ``4 eps log2 N`` of the product of the norms.
    """
    eps = float(np.finfo(real).eps)
    norms = math.prod(float(np.linalg.norm(a.astype(np.complex128).ravel())) for a in (x, kernel))
    return 4 * eps * math.log2(max(size, 2)) * norms


def is_exact(problem: Problem, x: NDArray[Any], kernel: NDArray[Any], fill: complex) -> bool:
    """Tell whether integers come out right when the result is rounded."""
    size = math.prod(axis.extent + 2 * axis.reach for axis in problem.axes)
    largest = [float(np.max(np.abs(a.astype(np.float64)), initial=0)) for a in (x, kernel)]
    norm_of_x = max(largest[0], abs(fill)) * math.sqrt(size)
    norm_of_kernel = largest[1] * math.sqrt(problem.taps)
    eps = float(np.finfo(np.float64).eps)
    return 4 * eps * math.log2(max(size, 2)) * norm_of_x * norm_of_kernel < 0.25


def correlate_fft(
    problem: Problem,
    x: NDArray[Any],
    kernel: NDArray[Any],
    terms: Terms,
    *,
    blocks: tuple[AxisBlocks, ...],
    out: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return the correlation, block by block of the transform, and whether it is finite.

    A NaN or an infinity in the input spoils all outputs of its block, not only those whose window
    contains it.
    """
    y = np.empty(problem.output_shape, terms.result) if out is None else out
    if not y.size:
        return y, True
    transform = _Transform(problem, x, kernel, terms, blocks=blocks, y=y)
    with np.errstate(invalid="ignore", over="ignore"):
        transform.run()
    return y, transform.finite


class _Transform:
    """One call: the arrays, and the spectra that blocks share."""

    def __init__(
        self,
        problem: Problem,
        x: NDArray[Any],
        kernel: NDArray[Any],
        terms: Terms,
        *,
        blocks: tuple[AxisBlocks, ...],
        y: NDArray[Any],
    ) -> None:
        self.problem, self.x, self.y = problem, x, y
        result = terms.result
        self.result, self.fill, self.threads = result, terms.fill, terms.threads
        self.blocks = blocks
        self.real_dtype = transform_dtype(result)
        self.is_real = result.kind != "c"
        name = "float32" if self.real_dtype == np.float32 else "float64"
        pair = {"float32": "complex64", "float64": "complex128"}
        self.dtype = np.dtype(name if self.is_real else pair[name])
        self.lengths = tuple(block.length for block in blocks)
        self.kernel = kernel
        self.rank = x.ndim
        self.finite = True
        """Whether all blocks so far are; one bad input makes the whole of its block bad."""

    def run(self) -> None:
        """Compute all blocks of all groups of the batch."""
        for group in self._groups():
            x, y = self._part(self.x, group), self.y[group]
            spectrum = self._kernel_spectrum(self._part(self.kernel, group))
            for first, count in self._runs():
                if count == 1:
                    self._one_block(x, y, spectrum, first)
                else:
                    self._many_blocks(x, y, spectrum, first, count)

    def _part(self, array: NDArray[Any], group: tuple[slice, ...]) -> NDArray[Any]:
        return array[
            tuple(
                slice(None) if array.shape[axis] == 1 or axis in self.problem.sliding else part
                for axis, part in enumerate(group)
            )
        ]

    def _groups(self) -> Iterator[tuple[slice, ...]]:
        """Give slices of the batch axes that are computed together."""
        size = math.prod(self.lengths) * self.dtype.itemsize
        room = max(1, GROUP_BYTES // size)
        shape = self.y.shape
        steps = []
        for axis in reversed(range(self.rank)):
            if axis in self.problem.sliding:
                steps.append(shape[axis])
                continue
            step = max(1, min(shape[axis], room))
            room //= step
            steps.append(step)
        steps.reverse()
        starts = [range(0, n, step) for n, step in zip(shape, steps, strict=True)]
        for corner in itertools.product(*starts):
            yield tuple(slice(a, a + step) for a, step in zip(corner, steps, strict=True))

    def _forward(self, array: NDArray[Any]) -> NDArray[Any]:
        from scipy import fft  # noqa: PLC0415 - kept out of the import

        axes = self.problem.sliding
        if self.is_real:
            spectrum: NDArray[Any] = fft.rfftn(array, axes=axes, workers=self.threads)
        else:
            spectrum = fft.fftn(array, axes=axes, workers=self.threads)
        return spectrum

    def _backward(self, spectrum: NDArray[Any]) -> NDArray[Any]:
        from scipy import fft  # noqa: PLC0415 - kept out of the import

        axes = self.problem.sliding
        if self.is_real:
            y: NDArray[Any] = fft.irfftn(
                spectrum, self.lengths, axes=axes, workers=self.threads, overwrite_x=True
            )
        else:
            y = fft.ifftn(spectrum, axes=axes, workers=self.threads, overwrite_x=True)
        return y

    def _kernel_spectrum(self, kernel: NDArray[Any]) -> NDArray[Any]:
        shape = list(kernel.shape)
        at: list[slice] = [slice(None)] * self.rank
        source: list[slice] = [slice(None)] * self.rank
        for axis, length in zip(self.problem.axes, self.lengths, strict=True):
            shape[axis.axis] = length
            at[axis.axis] = slice(0, axis.reach, axis.dilation)
            if self.problem.flip:
                source[axis.axis] = slice(None, None, -1)
        padded = np.zeros(shape, self.dtype)
        padded[tuple(at)] = np.conj(kernel[tuple(source)])
        spectrum: NDArray[Any] = np.conj(self._forward(padded))
        return spectrum

    def _runs(self) -> Iterator[tuple[tuple[int, ...], int]]:
        """Give blocks by their numbers, and how many along the last axis go together."""
        *others, last = [range(block.count) for block in self.blocks]
        axis, blocks = self.problem.axes[-1], self.blocks[-1]
        low, high = self._inside(axis, blocks)
        size = self.dtype.itemsize * math.prod(self.lengths)
        most = max(1, GROUP_BYTES // (4 * size))
        for first in itertools.product(*others):
            number = 0
            while number < len(last):
                count = min(high - number, most) if low <= number < high else 1
                yield (*first, number), count
                number += count

    def _inside(self, axis: SlidingAxis, blocks: AxisBlocks) -> tuple[int, int]:
        """Return which blocks of an axis need nothing from beyond the input."""
        if axis.stride > 1:  # kept outputs would begin differently in each block
            return 0, 0
        low = -(-axis.low // blocks.block)
        high = (axis.extent + axis.low - blocks.length) // blocks.block + 1
        return low, max(low, min(high, blocks.positions // blocks.block))

    def _input(
        self, x: NDArray[Any], axes: tuple[SlidingAxis, ...], first: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return the input of a block, extended beyond the ends, in an array of the transform."""
        constant = self.problem.boundary == "constant"
        shape = list(x.shape)
        source: list[slice] = [slice(None)] * self.rank
        target: list[slice] = [slice(None)] * self.rank
        needed: list[slice] = [slice(None)] * self.rank
        for axis, blocks, number in zip(axes, self.blocks, first, strict=False):
            begin = number * blocks.block - axis.low
            count = min(blocks.block, blocks.positions - number * blocks.block)
            end = begin + count + axis.reach - 1
            shape[axis.axis] = blocks.length
            needed[axis.axis] = slice(0, end - begin)
            if constant:
                inside = slice(max(begin, 0), max(min(end, axis.extent), begin, 0))
                source[axis.axis] = inside
                target[axis.axis] = slice(inside.start - begin, inside.stop - begin)
            else:
                mapped = source_positions(np.arange(begin, end), self.problem.boundary, axis.extent)
                x = np.take(x, mapped, axis=axis.axis)
                target[axis.axis] = needed[axis.axis]
        padded = np.zeros(shape, self.dtype)
        if constant and self.fill:
            padded[tuple(needed)] = self.fill if not self.is_real else self.fill.real
        padded[tuple(target)] = x[tuple(source)]
        return padded

    def _one_block(
        self, x: NDArray[Any], y: NDArray[Any], spectrum: NDArray[Any], first: tuple[int, ...]
    ) -> None:
        values = self._backward(
            self._product(self._forward(self._input(x, self.problem.axes, first)), spectrum)
        )
        source: list[slice] = [slice(None)] * self.rank
        target: list[slice] = [slice(None)] * self.rank
        for axis, blocks, number in zip(self.problem.axes, self.blocks, first, strict=True):
            begin = number * blocks.block
            end = min(begin + blocks.block, blocks.positions)
            kept = -(-begin // axis.stride)
            target[axis.axis] = slice(kept, -(-end // axis.stride))
            source[axis.axis] = slice(kept * axis.stride - begin, end - begin, axis.stride)
        self._write(y, tuple(target), values[tuple(source)])

    def _product(self, spectrum: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
        same = np.broadcast_shapes(spectrum.shape, kernel.shape) == spectrum.shape
        product: NDArray[Any] = np.multiply(spectrum, kernel, out=spectrum if same else None)
        return product

    def _write(self, y: NDArray[Any], at: tuple[Any, ...], values: NDArray[Any]) -> None:
        if self.result.kind == "b":
            y[at] = np.rint(values) != 0
        elif self.result.kind in "iu":
            y[at] = np.rint(values).astype(np.int64).astype(self.result)
        else:
            y[at] = values
            first = tuple(
                slice(0, 1) if axis in self.problem.sliding else slice(None)
                for axis in range(self.rank)
            )
            self.finite = self.finite and bool(np.isfinite(values[first]).all())

    def _many_blocks(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        spectrum: NDArray[Any],
        first: tuple[int, ...],
        count: int,
    ) -> None:
        """Transform neighbouring blocks of the last sliding axis at once.

        They overlap in memory: as a view with one more axis in front, they are read in place.
        """
        *others, axis = self.problem.axes
        blocks = self.blocks[-1]
        padded = self._input_rows(x, tuple(others), first[:-1])
        begin = first[-1] * blocks.block - axis.low
        at: list[slice] = [slice(None)] * self.rank
        at[axis.axis] = slice(begin, begin + (count - 1) * blocks.block + blocks.length)
        part = padded[tuple(at)].astype(self.dtype, copy=False)
        step = part.strides[axis.axis]
        shape = list(part.shape)
        shape[axis.axis] = blocks.length
        view = as_strided(
            part, (count, *shape), (step * blocks.block, *part.strides), writeable=False
        )
        values = self._shifted_axes(view, spectrum)
        begin = first[-1] * blocks.block
        for number in range(count):
            source: list[slice] = [slice(None)] * self.rank
            target: list[slice] = [slice(None)] * self.rank
            for other, cut, k in zip(others, self.blocks, first, strict=False):
                start = k * cut.block
                end = min(start + cut.block, cut.positions)
                kept = -(-start // other.stride)
                target[other.axis] = slice(kept, -(-end // other.stride))
                source[other.axis] = slice(kept * other.stride - start, end - start, other.stride)
            source[axis.axis] = slice(0, blocks.block)
            start = begin + number * blocks.block
            target[axis.axis] = slice(start, start + blocks.block)
            self._write(y, tuple(target), values[number][tuple(source)])

    def _input_rows(
        self, x: NDArray[Any], others: tuple[SlidingAxis, ...], first: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return the input of a row of blocks, in place if there is but one sliding axis."""
        return self._input(x, others, first) if others else x

    def _shifted_axes(self, view: NDArray[Any], spectrum: NDArray[Any]) -> NDArray[Any]:
        """Transform, multiply and transform back arrays with one more axis in front."""
        from scipy import fft  # noqa: PLC0415 - kept out of the import

        axes = tuple(axis + 1 for axis in self.problem.sliding)
        workers = self.threads
        if self.is_real:
            product = self._product(fft.rfftn(view, axes=axes, workers=workers), spectrum[None])
            y: NDArray[Any] = fft.irfftn(
                product, self.lengths, axes=axes, workers=workers, overwrite_x=True
            )
        else:
            product = self._product(fft.fftn(view, axes=axes, workers=workers), spectrum[None])
            y = fft.ifftn(product, axes=axes, workers=workers, overwrite_x=True)
        return y
