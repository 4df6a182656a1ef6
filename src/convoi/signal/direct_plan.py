"""Plans of direct correlations: all that calls on arrays of the same shapes share."""

from __future__ import annotations

import ctypes
import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import ConvoiError
from convoi.kernels.base import kernel_address
from convoi.kernels.pixel_call import PixelCall, call_address
from convoi.kernels.pixel_tables import GRID
from convoi.signal.grids import Layout, Line, build_grid
from convoi.signal.roles import Roles, assign_roles
from convoi.signal.running import SCRATCH, native_kernel, run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.signal.problem import Problem

WORK_OF_A_THREAD = 200_000
"""Multiply-adds below which waking another thread costs more than it gains."""
_ENTRY = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)

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


@functools.cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return NumPy's name of a dtype, which takes NumPy itself several microseconds."""
    return dtype.name


@functools.cache
def _data_offset() -> int:
    """Return where an array object has the address of its data.

    It follows the head that all Python objects have: NumPy's C interface fixes that, because
    every compiled extension relies on it.
    """
    offset = object.__basicsize__
    array = np.zeros(1)
    found = ctypes.c_void_p.from_address(id(array) + offset).value
    if found != array.ctypes.data:
        raise ConvoiError("Arrays of this Python are not those that NumPy's C interface describes.")
    return offset


@dataclass(frozen=True)
class Memory:
    """How an array lies in memory."""

    strides: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class PlanKey:
    """What a plan depends on."""

    problem: Problem
    x: Memory
    kernel_strides: tuple[int, ...]
    """Of the kernel, which has the dtype that is computed in."""
    result: np.dtype[Any]
    """Of the output; real."""
    fill: tuple[float, float]
    """Values outside the input, for even and odd elements of a row."""
    target: Target


class DirectPlan:
    """A direct correlation of real arrays of known shapes, dtypes and strides."""

    def __init__(self, key: PlanKey) -> None:
        problem, result = key.problem, key.result
        self.element = np.dtype(COMPUTE[dtype_name(result)])
        self.result = result
        self._target = key.target
        layout, roles = _lay_out(key, self.element)
        source, element = dtype_name(key.x.dtype), self.element.name
        grid = build_grid(layout, source, element, dtype_name(result), key.target)
        if problem.flip:
            grid = replace(grid, tap_order=problem.taps - 1 - grid.tap_order)
        self._grid = grid
        others = [a for a in range(len(key.x.strides)) if a not in {*roles.batch, *problem.sliding}]
        self._kernel_order = (*roles.batch, *others, *problem.sliding)
        self._items = plan_items(problem, key.x, roles)
        self._places = self._tap_places(key)
        self._outside = np.empty(32, self.element)
        self._outside[0::2], self._outside[1::2] = key.fill
        words = grid.words
        words[GRID.items] = self._items.ctypes.data
        words[GRID.fill] = self._outside.ctypes.data
        words[GRID.order] = self._places.ctypes.data
        words[GRID.weight_count] = self._places.size
        words[GRID.weights_at] = grid.scratch
        words[GRID.tasks] = grid.tasks
        self.words = int(words.ctypes.data)
        """Address of the record, the first argument of the entry."""
        self.scratch = grid.scratch + self._places.size * self.element.itemsize
        """Bytes of scratch memory, the second one; then come the ids of the three arrays."""
        call = PixelCall(grid.kernel, _data_offset())
        self._address = call_address(call, key.target)
        self.entry = _ENTRY(self._address)
        """The native function for one thread."""
        order = roles.order()
        self.shape = tuple(problem.output_shape[axis] for axis in order)
        """Of the output, in the order of the grid."""
        self.natural = tuple(int(i) for i in np.argsort(order))
        """The grid's axes in the output's order."""
        self.in_order = self.natural == tuple(range(len(order)))
        work = math.prod(self.shape) * problem.taps
        self.most_threads = 1 if grid.tasks == 1 else max(1, work // WORK_OF_A_THREAD)
        """The most threads that have enough to do."""

    def _tap_places(self, key: PlanKey) -> NDArray[np.int64]:
        """Return where in the kernel each weight is found, in elements."""
        places = np.zeros(key.problem.kernel_shape, np.int64)
        for axis, (extent, stride) in enumerate(
            zip(key.problem.kernel_shape, key.kernel_strides, strict=True)
        ):
            shape = [1] * places.ndim
            shape[axis] = extent
            places += (np.arange(extent) * (stride // self.element.itemsize)).reshape(shape)
        return np.ascontiguousarray(self._sorted(places))

    def _sorted(self, taps: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the kernel's shape as kernels in the order of their taps' use."""
        lines = taps.transpose(self._kernel_order).reshape(-1, self._grid.tap_order.size)
        return lines.take(self._grid.tap_order, axis=1)

    def run(self, x: NDArray[Any], kernel: NDArray[Any], y: NDArray[Any], threads: int) -> None:
        """Compute; the arrays are as the plan was made for, and the output is contiguous."""
        if threads == 1 or self.most_threads == 1:
            self.entry(self.words, SCRATCH.address(self.scratch), id(x), id(kernel), id(y))
            return
        weights = self._sorted(kernel)
        words = self._grid.words.copy()
        words[GRID.source] = x.ctypes.data
        words[GRID.weights] = weights.ctypes.data
        words[GRID.output] = y.ctypes.data
        run_tasks(
            native_kernel(kernel_address(self._grid.kernel, self._target)),
            words,
            self._grid.tasks,
            scratch=self._grid.scratch,
            threads=min(threads, self.most_threads),
            target=self._target,
        )


direct_plan = functools.lru_cache(maxsize=256)(DirectPlan)
"""The plan for a key; shapes are unbounded, so only the last ones are remembered."""


def _pitches(problem: Problem, x: Memory) -> list[int]:
    size = x.dtype.itemsize
    return [
        0 if extent == 1 else stride // size
        for extent, stride in zip(problem.x_shape, x.strides, strict=True)
    ]


def plan_line(problem: Problem, x: Memory, axis: int | None) -> Line:
    """Return an axis of a problem as a line of a grid; None is one that the arrays lack."""
    if axis is None:
        return Line(1, 0, 1)
    pitch = _pitches(problem, x)[axis]
    for a in problem.axes:
        if a.axis == axis:
            return Line(a.extent, pitch, a.output, a.taps, a.stride, a.dilation, a.low)
    return Line(problem.x_shape[axis], pitch, problem.x_shape[axis])


def plan_items(problem: Problem, x: Memory, roles: Roles) -> NDArray[np.int64]:
    """Return for each item of the batch its offsets into the input and into the weights."""
    pitches = _pitches(problem, x)
    shape = tuple(problem.output_shape[axis] for axis in roles.batch)
    items = np.zeros((*shape, 2), np.int64)
    step = problem.taps
    for i in reversed(range(len(shape))):
        axis, kernels = roles.batch[i], problem.kernel_shape[roles.batch[i]]
        index = np.arange(shape[i]).reshape(-1, *[1] * (len(shape) - i - 1))
        items[..., 0] += index * pitches[axis]
        if kernels > 1:
            items[..., 1] += index * step
        step *= kernels
    return items.reshape(-1, 2)


def _lay_out(key: PlanKey, element: np.dtype[Any]) -> tuple[Layout, Roles]:
    """Return the grid's layout, and what each axis is in it."""
    problem, pitches = key.problem, _pitches(key.problem, key.x)
    roles = assign_roles(problem, pitches, key.target.vector_bytes // element.itemsize)
    output = problem.output_shape
    layout = Layout(
        tuple(plan_line(problem, key.x, axis) for axis in roles.outer),
        plan_line(problem, key.x, roles.row),
        plan_line(problem, key.x, roles.column),
        math.prod(output[axis] for axis in roles.inner),
        math.prod(output[axis] for axis in roles.batch),
        problem.boundary,
    )
    return layout, roles
