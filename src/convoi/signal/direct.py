"""Direct correlation by the pixel-lane kernels: real arithmetic, any strides, no padded copies."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convoi.codegen.target import Target, current_target
from convoi.kernels.base import kernel_address
from convoi.kernels.pixel_tables import GRID
from convoi.signal.grids import Grid, Layout, Line, build_grid
from convoi.signal.problem import Problem, SlidingAxis, Terms
from convoi.signal.running import NativeKernel, native_kernel, run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PLANS = 256
"""Layouts that are remembered; shapes are unbounded."""
WORK_OF_A_THREAD = 200_000
"""Multiply-adds below which waking another thread costs more than it gains."""

COMPUTE = {
    "bool": "int32",
    "int8": "int32",
    "uint8": "int32",
    "int16": "int32",
    "uint16": "int32",
    "int32": "int32",
    "uint32": "int32",
    "int64": "int64",
    "uint64": "int64",
    "float16": "float32",
    "float32": "float32",
    "float64": "float64",
    "complex64": "float32",
    "complex128": "float64",
}
"""dtype of the result -> dtype that is computed in. Integers are computed modulo 2**32 or 2**64,
which cuts off to the wrapped result of the narrower types."""


_WIDENED = {np.dtype(np.float16): np.dtype(np.float32), np.dtype(np.bool_): np.dtype(np.int32)}


@functools.cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return NumPy's name of a dtype, which takes NumPy itself several microseconds."""
    return dtype.name


def correlate_direct(
    problem: Problem,
    x: NDArray[Any],
    kernel: NDArray[Any],
    terms: Terms,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return the sum over taps, one by one.

    Parameters
    ----------
    problem : Problem
        Its axes are those of the arrays.
    x, kernel : array
        With equally many axes. The kernel is as the user gave it, but conjugated if need be.
    terms : Terms
        dtype of the result, fill value, threads.
    out : array, optional
        Of the result's shape; used as the output where the kernels can write it, which the
        caller finds out from what is returned.
    """
    result, fill = terms.result, terms.fill
    if problem.taps == 1:
        return _multiplied(problem, x, kernel, result)
    if result.kind != "c":
        wide = _WIDENED.get(result, result)
        parts = _RealTerms(wide, (fill.real, fill.real), terms.threads)
        y = _correlate_real(problem, x, kernel, parts, out)
        return y if wide is result else y.astype(result)
    return _correlate_complex(problem, x, kernel, terms)


@dataclass(frozen=True)
class _RealTerms:
    """As `Terms`, of real arithmetic: the fill values of even and odd elements of a row."""

    result: np.dtype[Any]
    fill: tuple[float, float]
    threads: int


def _multiplied(
    problem: Problem, x: NDArray[Any], kernel: NDArray[Any], result: np.dtype[Any]
) -> NDArray[Any]:
    """Return the product with the only tap of each kernel."""
    steps: list[slice] = [slice(None)] * x.ndim
    for axis in problem.axes:
        steps[axis.axis] = slice(None, None, axis.stride)
    product: NDArray[Any] = np.multiply(x[tuple(steps)], kernel, dtype=result)
    return product


def _correlate_complex(
    problem: Problem, x: NDArray[Any], kernel: NDArray[Any], terms: Terms
) -> NDArray[Any]:
    """Correlate the real and imaginary parts, which lie next to each other, as two columns."""
    result, fill = terms.result, terms.fill
    real = np.dtype("float32" if result == np.complex64 else "float64")
    part_axis = x.ndim
    if x.dtype.kind == "c" or fill.imag:
        x = _parts(x.astype(result, copy=False))
        kernel_parts, x_shape = kernel[..., None], (*problem.x_shape, 2)
    else:
        kernel_parts, x_shape = kernel[..., None], (*problem.x_shape, 1)
        x = x[..., None]
    inner = Problem(
        problem.owner,
        x_shape,
        (*problem.kernel_shape, 1),
        problem.axes,
        problem.boundary,
        problem.flip,
    )
    parts = _RealTerms(real, (fill.real, fill.imag), terms.threads)

    def correlated(taps: NDArray[Any]) -> NDArray[Any]:
        return _correlate_real(inner, x, taps, parts)

    y = np.empty(problem.output_shape, result)
    with_real = correlated(kernel_parts.real)
    complex_x = x.shape[part_axis] == 2
    y.real = with_real[..., 0]
    y.imag = with_real[..., 1] if complex_x else 0
    if kernel.dtype.kind == "c":
        with_imaginary = correlated(kernel_parts.imag)
        y.imag += with_imaginary[..., 0]
        if complex_x:
            y.real -= with_imaginary[..., 1]
    return y


def _parts(x: NDArray[Any]) -> NDArray[Any]:
    """Return a real view with one more axis: real part, imaginary part."""
    half = x.dtype.itemsize // 2
    first = x.real
    return as_strided(first, (*x.shape, 2), (*x.strides, half))


@dataclass(frozen=True)
class _Plan:
    """A grid, and how the arrays lie in it."""

    grid: Grid
    call: NativeKernel
    items: NDArray[np.int64]
    """Offsets (input, weights) of each item."""
    kernel_order: tuple[int, ...]
    kernel_batch: int
    order: tuple[int, ...]
    """The axes of the output in the grid's order."""
    shape: tuple[int, ...]
    """Of the output in the grid's order."""
    natural: tuple[int, ...]
    """The grid's axes in the output's order."""
    threads: int
    target: Target
    in_order: bool


_PLANS: OrderedDict[tuple[Any, ...], _Plan] = OrderedDict()


def _correlate_real(
    problem: Problem,
    x: NDArray[Any],
    kernel: NDArray[Any],
    terms: _RealTerms,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    result = terms.result
    x = _readable(x)
    target = current_target()
    key = (problem, x.strides, x.dtype.num, result.num, terms.threads, target)
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = _make_plan(problem, x, terms, target)
        while len(_PLANS) > MOST_PLANS:
            _PLANS.popitem(last=False)
    if out is not None and plan.in_order and _writable(out, result):
        y = out
    else:
        y = np.empty(plan.shape, result)
    if y.size:
        _run(plan, x, kernel, y, terms.fill)
    return y if plan.in_order else y.transpose(plan.natural)


def _run(
    plan: _Plan,
    x: NDArray[Any],
    kernel: NDArray[Any],
    y: NDArray[Any],
    fill: tuple[float, float],
) -> None:
    grid, element = plan.grid, plan.grid.kernel.element
    taps = kernel.transpose(plan.kernel_order).reshape(plan.kernel_batch, -1)
    with np.errstate(invalid="ignore"):  # numbers that the result's type wraps
        weights = taps.take(grid.tap_order, axis=1).astype(element, copy=False)
    outside = np.empty(32, element)
    outside[0::2], outside[1::2] = fill
    words = grid.words.copy()
    words[GRID.source] = x.ctypes.data
    words[GRID.weights] = weights.ctypes.data
    words[GRID.output] = y.ctypes.data
    words[GRID.items] = plan.items.ctypes.data
    words[GRID.fill] = outside.ctypes.data
    run_tasks(
        plan.call, words, grid.tasks, scratch=grid.scratch, threads=plan.threads, target=plan.target
    )


def _writable(out: NDArray[Any], result: np.dtype[Any]) -> bool:
    return out.dtype == result and out.dtype.isnative and out.flags.c_contiguous


def _readable(x: NDArray[Any]) -> NDArray[Any]:
    """Return the array, converted only if kernels cannot read it where it lies."""
    if x.dtype == np.float16:
        return x.astype(np.float32)
    size = x.dtype.itemsize
    if not (x.dtype.isnative and x.flags.aligned) or any(s % size for s in x.strides):
        return x.astype(x.dtype.newbyteorder("="), order="C")
    return x


def _make_plan(problem: Problem, x: NDArray[Any], terms: _RealTerms, target: Target) -> _Plan:
    result = terms.result
    element = COMPUTE[dtype_name(result)]
    size = x.dtype.itemsize
    pitches = [
        0 if extent == 1 else stride // size
        for extent, stride in zip(x.shape, x.strides, strict=True)
    ]
    roles = _assign(problem, pitches, target.vector_bytes // np.dtype(element).itemsize)
    sliding = {axis.axis: axis for axis in problem.axes}

    def line(axis: int | None) -> Line:
        if axis is None:
            return Line(1, 0, 1)
        if axis in sliding:
            a = sliding[axis]
            return Line(a.extent, pitches[axis], a.output, a.taps, a.stride, a.dilation, a.low)
        return Line(x.shape[axis], pitches[axis], x.shape[axis])

    output = problem.output_shape
    batch_shape = tuple(output[axis] for axis in roles.batch)
    layout = Layout(
        tuple(line(axis) for axis in roles.outer),
        line(roles.row),
        line(roles.column),
        math.prod(output[axis] for axis in roles.inner),
        math.prod(batch_shape),
        problem.boundary,
    )
    grid = build_grid(layout, dtype_name(x.dtype), element, dtype_name(result), target)
    order = roles.order()
    items = np.zeros((*batch_shape, 2), np.int64)
    kernel_batch = [problem.kernel_shape[axis] for axis in roles.batch]
    taps = problem.taps
    step = taps
    weight_steps = [0] * len(kernel_batch)
    for i in reversed(range(len(kernel_batch))):
        weight_steps[i] = 0 if kernel_batch[i] == 1 else step
        step *= kernel_batch[i]
    for i, axis in enumerate(roles.batch):
        index = np.arange(batch_shape[i]).reshape(-1, *[1] * (len(batch_shape) - i - 1))
        items[..., 0] += index * pitches[axis]
        items[..., 1] += index * weight_steps[i]
    others = [a for a in range(x.ndim) if a not in roles.batch and a not in sliding]
    kernel_order = (*roles.batch, *others, *problem.sliding)
    if problem.flip:
        flipped = taps - 1 - grid.tap_order
        grid = Grid(grid.kernel, grid.words, grid.tables, flipped, grid.tasks, grid.scratch)
    work = math.prod(output) * taps
    useful = max(1, min(terms.threads, work // WORK_OF_A_THREAD))
    natural = tuple(int(i) for i in np.argsort(order))
    return _Plan(
        grid,
        native_kernel(kernel_address(grid.kernel, target)),
        items.reshape(-1, 2),
        kernel_order,
        math.prod(kernel_batch),
        order,
        tuple(output[axis] for axis in order),
        natural,
        useful,
        target,
        natural == tuple(range(len(order))),
    )


@dataclass(frozen=True)
class _Roles:
    """What each axis is in the grid."""

    batch: tuple[int, ...]
    outer: tuple[int, ...]
    row: int | None
    column: int
    inner: tuple[int, ...]

    def order(self) -> tuple[int, ...]:
        """Return the axes of the output as the grid has them in memory."""
        row = () if self.row is None else (self.row,)
        return (*self.batch, *self.outer, *row, self.column, *self.inner)


def _assign(problem: Problem, pitches: list[int], lanes: int) -> _Roles:
    """Decide what each axis is in the grid.

    The last sliding axis has the lanes. Axes after it that only repeat the kernel, such as colours
    or the parts of complex numbers, are merged with it if they lie together in memory.
    """
    *others, column = problem.sliding
    rank = len(problem.x_shape)
    first = rank
    together = 1
    for axis in reversed(range(column + 1, rank)):
        extent = problem.x_shape[axis]
        if problem.kernel_shape[axis] > 1 or (extent > 1 and pitches[axis] != together):
            break
        together *= extent
        first = axis
    inner = tuple(range(first, rank))
    row: int | None = None
    if others:
        *others, row = others
    batch = [a for a in range(rank) if a not in inner and a not in problem.sliding]
    if row is None:
        row = _batch_row(problem, batch, inner, lanes)
        if row is not None:
            batch.remove(row)
    return _Roles(tuple(batch), tuple(others), row, column, inner)


def _batch_row(
    problem: Problem, batch: list[int], inner: tuple[int, ...], lanes: int
) -> int | None:
    """Return the batch axis whose signals are the rows of a picture, if that is worth it.

    Long kernels share more loads along the signal. The choice may not depend on the length of
    the signal, because the order of the taps would then depend on it.
    """
    axis: SlidingAxis = problem.axes[0]
    spacing = axis.dilation * math.prod(problem.x_shape[a] for a in inner)
    if axis.stride == 1 and lanes % spacing == 0 and axis.taps >= 2 * lanes // spacing:
        return None
    candidates = [a for a in batch if problem.kernel_shape[a] == 1 and problem.x_shape[a] > 1]
    return max(candidates, key=lambda a: problem.x_shape[a], default=None)
