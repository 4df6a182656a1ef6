"""Plans of direct correlations: all that calls on arrays of the same shapes share."""

from __future__ import annotations

import ctypes
import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.kernels.base import kernel_address
from convoi.kernels.pixel_call import PixelCall, call_addresses
from convoi.kernels.pixel_tables import GRID
from convoi.runtime.buffers import aligned_zeros
from convoi.runtime.native_function import NativeFunction, data_offset, interpreter_words
from convoi.signal.grids import Layout, Line, build_grid
from convoi.signal.roles import Roles, assign_roles
from convoi.signal.running import SCRATCH, NativeKernel, native_kernel, run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.signal.problem import Problem

WORK_OF_A_THREAD = 400_000
"""Multiply-adds below which waking another thread costs more than it gains."""
WORK_WITH_LOCK = 20_000
"""Multiply-adds up to which a call keeps the interpreter's lock: they take microseconds."""
STACK_BYTES = 2**16
"""Scratch memory that may lie on the stack of the thread that calls."""
_PREPARE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 6)

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


_data_offset = functools.cache(data_offset)
_interpreter_words = functools.cache(interpreter_words)


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
        weights = self._places.size * self.element.itemsize
        needed = grid.scratch + weights
        stacked = needed <= STACK_BYTES
        self.scratch = 0 if stacked else needed
        """Bytes of scratch memory that a call must be given; with 0, it is given the address 0 and
        takes its stack."""
        words = grid.words
        words[GRID.items] = self._items.ctypes.data
        words[GRID.fill] = self._outside.ctypes.data
        words[GRID.order] = self._places.ctypes.data
        words[GRID.weight_count] = self._places.size
        words[GRID.weights_at] = grid.scratch
        words[GRID.tasks] = grid.tasks
        words[GRID.stack] = needed if stacked else 0
        work = math.prod(problem.output_shape) * problem.taps
        words[GRID.lets_go] = work > WORK_WITH_LOCK
        record = aligned_zeros(GRID.words + len(_interpreter_words()), "int64")
        record[: GRID.words], record[GRID.words :] = words, _interpreter_words()
        self._record = int(record.ctypes.data)
        call = PixelCall(grid.kernel, _data_offset())
        address, prepare = call_addresses(call, key.target)
        self.native = NativeFunction(address, record)
        """Computes on this thread: called with the three arrays and an address of memory."""
        self._held, self._prepare = prepare, _PREPARE(prepare)
        self._kernel: NativeKernel | None = None
        order = roles.order()
        self.shape = tuple(problem.output_shape[axis] for axis in order)
        """Of the output, in the order of the grid."""
        self.natural = tuple(int(i) for i in np.argsort(order))
        """The grid's axes in the output's order."""
        self.in_order = self.natural == tuple(range(len(order)))
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
        lines = places.transpose(self._kernel_order).reshape(-1, self._grid.tap_order.size)
        return np.ascontiguousarray(lines.take(self._grid.tap_order, axis=1))

    def run(self, x: NDArray[Any], kernel: NDArray[Any], y: NDArray[Any], threads: int) -> None:
        """Compute; arrays are aligned and as the plan was made for, the output contiguous."""
        if threads == 1 or self.most_threads == 1:
            self.native.call(x, kernel, y, SCRATCH.address(self.scratch) if self.scratch else 0)
            return
        kernel_of_tasks = self._kernel
        if kernel_of_tasks is None:
            address = kernel_address(self._grid.kernel, self._target)
            self._kernel = kernel_of_tasks = native_kernel(address)
        words = np.empty(GRID.words, np.int64)
        weights = np.empty(self._places.size, self.element)
        self._prepare(self._record, id(words), id(weights), id(x), id(kernel), id(y))
        run_tasks(
            kernel_of_tasks,
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
