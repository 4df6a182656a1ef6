"""Kernels that are outer products: found, and applied axis by axis."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.signal.direct import correlate_direct
from convoi.signal.problem import Problem, Terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 4
"""Units in the last place of the largest tap by which the product may miss a tap."""
SCREENED = 1e-5
"""The same for a first look at a few taps, relative: far more than any dtype rounds."""
LARGEST_KERNEL = 2**16
"""Taps beyond which the search costs more than it is likely to gain."""


def factors(
    problem: Problem, kernel: NDArray[Any], result: np.dtype[Any]
) -> tuple[NDArray[Any], ...] | None:
    """Return one kernel per sliding axis whose outer product is the kernel, or None.

    The kernel must be one and not a bank. Factors of integers are integers; those of floats may
    miss taps by what the result's dtype rounds.
    """
    long = [axis for axis in problem.axes if axis.taps > 1]
    if len(long) < 2 or kernel.size != problem.taps or kernel.size > LARGEST_KERNEL:
        return None
    taps = kernel.reshape([axis.taps for axis in long])
    if taps.dtype.kind in "iu":
        found = _integer_factors(taps)
    elif taps.dtype.kind in "fc":
        single = result.name in {"float16", "float32", "complex64"}
        found = _factors(taps, float(np.finfo(np.float32 if single else np.float64).eps))
    else:
        return None
    if found is None:
        return None
    ones = [np.ones(1, kernel.dtype)] * len(problem.axes)
    for axis, factor in zip(long, found, strict=True):
        ones[problem.axes.index(axis)] = factor
    return tuple(ones)


def may_separate(kernel: NDArray[Any]) -> bool:
    """Tell whether a kernel might be an outer product: quick, and True in case of doubt.

    Of an outer product every minor of two rows and two columns is 0: asked are those of the
    largest tap and a corner.
    """
    if kernel.ndim != 2 or kernel.dtype.kind == "c":
        return True
    i, j = divmod(int(np.abs(kernel).argmax()), kernel.shape[1])
    largest = float(kernel[i, j])
    limit = SCREENED * largest * largest
    for k, m in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        minor = float(kernel[k, m]) * largest - float(kernel[k, j]) * float(kernel[i, m])
        if abs(minor) > limit:
            return False
    return True


def _factors(taps: NDArray[Any], eps: float) -> tuple[NDArray[Any], ...] | None:
    """Find the factors of floats: lines through the largest tap, or else singular vectors."""
    wide = taps.astype(np.complex128 if taps.dtype.kind == "c" else np.float64)
    scale = float(np.abs(wide).max())
    if not (math.isfinite(scale) and scale > 0):
        return None
    wide = wide / scale
    lines = _lines_through_largest(wide)
    error = float(np.abs(_outer(lines) - wide).max())
    if error > 64 * eps:
        return None
    found = lines if error <= TOLERANCE * eps else _singular_vectors(wide)
    if np.abs(_outer(found) - wide).max() > TOLERANCE * eps:
        return None
    found[-1] = found[-1] * scale
    return tuple(found)


def _singular_vectors(taps: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the product of least squared error: the leading vectors of each axis in turn."""
    vectors: list[NDArray[Any]] = []
    rest: NDArray[Any] = taps
    for extent in taps.shape[:-1]:
        left, values, right = np.linalg.svd(rest.reshape(extent, -1), full_matrices=False)
        root = math.sqrt(values[0])
        vectors.append(left[:, 0] * root)
        rest = right[0] * root
    return [*vectors, rest.ravel()]


def _lines_through_largest(taps: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the lines through the largest tap, scaled so that they give a product its taps."""
    pivot = np.unravel_index(int(np.abs(taps).argmax()), taps.shape)
    lines = []
    for axis in range(taps.ndim):
        at: list[Any] = list(pivot)
        at[axis] = slice(None)
        line = taps[tuple(at)]
        lines.append(line if axis == 0 else line / taps[pivot])
    return lines


def _integer_factors(taps: NDArray[Any]) -> tuple[NDArray[Any], ...] | None:
    """Find the factors of integers: primitive lines, and a last one that carries the scale."""
    rest = taps.astype(object)
    found = []
    for extent in taps.shape[:-1]:
        matrix = rest.reshape(extent, -1)
        row = next((line for line in matrix if any(line)), None)
        if row is None:
            return None
        divisor = math.gcd(*row)
        primitive = np.array([value // divisor for value in row], object)
        pivot = next(i for i, value in enumerate(primitive) if value)
        column = np.array([line[pivot] // primitive[pivot] for line in matrix], object)
        if (np.multiply.outer(column, primitive) != matrix).any():
            return None
        found.append(column)
        rest = primitive
    found.append(rest)
    limits = np.iinfo(taps.dtype)
    if any(value < limits.min or value > limits.max for line in found for value in line):
        return None
    return tuple(line.astype(taps.dtype) for line in found)


def _outer(lines: list[NDArray[Any]]) -> NDArray[Any]:
    product = lines[0]
    for line in lines[1:]:
        product = np.multiply.outer(product, line)
    return product


def correlate_separable(
    problem: Problem,
    x: NDArray[Any],
    lines: tuple[NDArray[Any], ...],
    terms: Terms,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Correlate with each axis's kernel in turn, the last axis first.

    Beyond the ends, rows of the fill value become rows of the fill value times the taps' sum.
    """
    result, fill = terms.result, terms.fill
    between = {"float16": np.dtype(np.float32)}.get(result.name, result)
    y, shape = x, problem.x_shape
    passes = [(a, w) for a, w in zip(problem.axes, lines, strict=True) if a.taps > 1]
    strided = [a for a in problem.axes if a.taps == 1 and a.stride > 1]
    for axis in strided:
        y = y[tuple(slice(None, None, axis.stride if a == axis.axis else 1) for a in range(x.ndim))]
    shape = y.shape
    for number, (axis, taps) in enumerate(reversed(passes)):
        last = number == len(passes) - 1
        kernel_shape = [1] * x.ndim
        kernel_shape[axis.axis] = axis.taps
        part = replace(problem, x_shape=shape, kernel_shape=tuple(kernel_shape), axes=(axis,))
        dtype = result if last else between
        weights = taps.reshape(kernel_shape)
        each = Terms(dtype, fill, terms.threads)
        y = correlate_direct(part, y, weights, each, out if last else None)
        fill = fill * complex(taps.sum())
        shape = y.shape
    return y
