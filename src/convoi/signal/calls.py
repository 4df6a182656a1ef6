"""Calls that were made before on arrays of the same shapes: nothing is checked twice.

A direct correlation of a thousand samples takes less than a microsecond, checking its arguments
twenty. What the checks and the choice of the method lead to depends on shapes, strides, dtypes and
options alone, apart from cases that are left to the full way; it is remembered for the last calls.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convoi.codegen.target import current_target
from convoi.config import overridden
from convoi.errors import ConvoiError
from convoi.signal.cost import ranking
from convoi.signal.direct_plan import COMPUTE, Memory, PlanKey, direct_plan, dtype_name
from convoi.signal.lane_transform import can_transform, lane_transform
from convoi.signal.operation import Operation, Options, prepare
from convoi.signal.running import SCRATCH, usable_threads
from convoi.signal.separable import may_separate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.signal.direct_plan import DirectPlan
    from convoi.signal.lane_transform import LaneTransform

MOST_CALLS = 512
"""Calls that are remembered; shapes are unbounded."""

_empty = np.empty


class DirectCall:
    """A call that is computed directly, whatever the numbers in the arrays."""

    __slots__ = ("_dtype", "_native", "_plan", "_scratch", "_screened", "_shape", "_threads")

    def __init__(self, plan: DirectPlan, *, threads: int | None, screened: bool) -> None:
        self._plan = plan
        self._shape, self._dtype = plan.shape, plan.result
        self._native, self._scratch = plan.native.call, plan.scratch
        self._threads = 1 if plan.most_threads == 1 else threads
        self._screened = screened

    def __call__(self, x: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any] | None:
        """Return the result, or None if another method may be better for this kernel.

        None also stands for arrays whose data is not aligned.
        """
        if self._screened and may_separate(kernel):
            return None
        y = _empty(self._shape, self._dtype)
        if self._threads == 1:
            scratch = SCRATCH.address(self._scratch) if self._scratch else 0
            found: NDArray[Any] | None = self._native(x, kernel, y, scratch)
            return found
        if not (x.flags.aligned and kernel.flags.aligned):
            return None
        self._plan.run(x, kernel, y, self._threads or usable_threads())
        return y


class BlockCall:
    """A call that is computed by transforms of blocks, unless the input is not finite."""

    __slots__ = ("_plan", "_screened", "_shapes", "_threads")

    def __init__(
        self, plan: LaneTransform, operation: Operation, *, threads: int | None, screened: bool
    ) -> None:
        self._plan = plan
        self._shapes = operation.problem.x_shape, operation.problem.kernel_shape
        self._threads = threads
        self._screened = screened

    def __call__(self, x: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any] | None:
        """Return the result, or None if another method may be better for this kernel."""
        if not (x.flags.aligned and kernel.flags.aligned):
            return None
        if self._screened and may_separate(kernel):
            return None
        x, kernel = x.reshape(self._shapes[0]), kernel.reshape(self._shapes[1])
        y, finite = self._plan.run(x, kernel, self._threads or usable_threads())
        return y if finite else None


_quick: dict[object, DirectCall | BlockCall] = {}
"""Calls without unusual options, by arrays and options: found in half of the time."""
_ZERO, _ONE = 0, 1


def recalled(
    x: NDArray[Any],
    kernel: NDArray[Any],
    flip: bool,  # noqa: FBT001 - a keyword costs time in every call
    options: tuple[Any, ...],
) -> NDArray[Any] | None:
    """Return the result if such a call was made before and needs no more checks, else None.

    The options are those of `remembered_call` from `mode` on.
    """
    if overridden():
        return None
    mode, boundary, fill_value, axes, stride, dilation, method, threads = options
    key = None
    try:
        # Equal options of other types, such as 1.0 for 1, may be refused: these are what they seem.
        if (
            stride is _ONE
            and dilation is _ONE
            and fill_value is _ZERO
            and axes is None
            and (threads is None or type(threads) is int)
        ):
            key = (
                x.shape, x.strides, x.dtype, kernel.shape, kernel.strides, kernel.dtype, flip,
                mode, boundary, method, threads,
            )  # fmt: skip
            call: DirectCall | BlockCall | None = _quick.get(key)
            if call is not None:
                return call(x, kernel)
        call = remembered_call(
            flip, x.shape, x.strides, x.dtype, kernel.shape, kernel.strides, kernel.dtype, *options
        )
    except TypeError:  # an option that cannot be looked up, such as a list of axes
        return None
    if call is None:
        return None
    if key is not None:
        if len(_quick) >= MOST_CALLS:
            _quick.clear()
        _quick[key] = call
    return call(x, kernel)


@functools.lru_cache(maxsize=MOST_CALLS, typed=True)
def remembered_call(  # noqa: PLR0917 - hashable as they are, for the cache
    flip: bool,  # noqa: FBT001 - one of the values that the cache looks up
    x_shape: tuple[int, ...],
    x_strides: tuple[int, ...],
    x_dtype: np.dtype[Any],
    kernel_shape: tuple[int, ...],
    kernel_strides: tuple[int, ...],
    kernel_dtype: np.dtype[Any],
    mode: str,
    boundary: str,
    fill_value: complex,
    axes: object,
    stride: object,
    dilation: object,
    method: str,
    threads: int | None,
) -> DirectCall | BlockCall | None:
    """Return how such a call is made, or None where that depends on the numbers.

    None also stands for arguments that are refused: the full way words the error.
    """
    if method not in {"auto", "direct", "overlap-add"} or not {
        x_dtype.kind,
        kernel_dtype.kind,
    } <= set("iuf"):
        return None
    memory = ((x_dtype, x_strides), (kernel_dtype, kernel_strides))
    if any(not t.isnative or t.itemsize == 2 or any(s % t.itemsize for s in p) for t, p in memory):
        return None
    arrays = [
        as_strided(np.empty(1, dtype), shape, strides, writeable=False)
        for dtype, shape, strides in (
            (x_dtype, x_shape, x_strides),
            (kernel_dtype, kernel_shape, kernel_strides),
        )
    ]
    options = Options(mode, boundary, fill_value, axes, stride, dilation, method, threads=threads)
    try:
        operation = prepare("convolve", arrays[0], arrays[1], options, flip=flip)
    except ConvoiError:
        return None
    return _decided(operation, kernel_dtype, math.prod(kernel_shape), threads)


def _decided(
    operation: Operation, kernel_dtype: np.dtype[Any], taps: int, threads: int | None
) -> DirectCall | BlockCall | None:
    """Return how an operation is computed if that does not depend on the numbers."""
    problem, result = operation.problem, operation.result
    exchanged = math.prod(problem.kernel_shape) != taps
    if exchanged or problem.taps == 1 or math.prod(problem.output_shape) == 0:
        return None
    method: str = operation.method
    screened = False
    if method == "auto":
        element = COMPUTE[dtype_name(result)]
        order = ranking(problem, operation.terms, element, operation.factor)
        screened = order[0] == "separable"
        method = order[1] if screened else order[0]
    x, kernel = operation.x, operation.kernel
    memory = Memory(x.strides, x.dtype)
    if method == "direct" and kernel_dtype == COMPUTE[dtype_name(result)]:
        fill = (operation.fill.real, operation.fill.real)
        plan = direct_plan(PlanKey(problem, memory, kernel.strides, result, fill, current_target()))
        if plan.in_order:
            return DirectCall(plan, threads=threads, screened=screened)
    if method == "overlap-add" and can_transform(problem, result):
        transform = lane_transform(problem, memory, result, operation.fill.real, current_target())
        return BlockCall(transform, operation, threads=threads, screened=screened)
    return None
