"""Calls that were made before on arrays of the same shapes: nothing is checked twice.

A direct correlation of a thousand samples takes less than a microsecond, checking its arguments
twenty. What the checks and the choice of the method lead to depends on shapes, strides, dtypes and
options alone, apart from cases that are left to the full way; it is remembered for the last calls.
"""

from __future__ import annotations

import functools
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convoi.codegen.target import current_target
from convoi.errors import ConvoiError
from convoi.runtime.threads import default_threads
from convoi.signal.cost import ranking
from convoi.signal.direct_plan import COMPUTE, Memory, PlanKey, direct_plan, dtype_name
from convoi.signal.operation import Operation, Options, prepare
from convoi.signal.separable import may_separate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.signal.direct_plan import DirectPlan

MOST_CALLS = 512
"""Calls that are remembered; shapes are unbounded."""
THREADS_HOLD = 1.0
"""Seconds for which the number of processors that the process may use is taken to hold: asking
for it takes a tenth of a millisecond."""

_empty = np.empty


class DirectCall:
    """A call that is computed directly, whatever the numbers in the arrays."""

    __slots__ = ("_dtype", "_plan", "_screened", "_shape", "_threads")

    def __init__(self, plan: DirectPlan, *, threads: int | None, screened: bool) -> None:
        self._plan = plan
        self._shape, self._dtype = plan.shape, plan.result
        self._threads = 1 if plan.most_threads == 1 else threads
        self._screened = screened

    def __call__(self, x: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any] | None:
        """Return the result, or None if another method may be better for this kernel."""
        if self._screened and may_separate(kernel):
            return None
        y = _empty(self._shape, self._dtype)
        self._plan.run(x, kernel, y, self._threads or usable_threads())
        return y


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
) -> DirectCall | None:
    """Return how such a call is made, or None where that depends on the numbers.

    None also stands for arguments that are refused: the full way words the error.
    """
    if method not in {"auto", "direct"} or not {x_dtype.kind, kernel_dtype.kind} <= set("iuf"):
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
    return _direct_call(operation, kernel_dtype, math.prod(kernel_shape), threads)


def _direct_call(
    operation: Operation, kernel_dtype: np.dtype[Any], taps: int, threads: int | None
) -> DirectCall | None:
    problem, result = operation.problem, operation.result
    element = COMPUTE[dtype_name(result)]
    exchanged = math.prod(problem.kernel_shape) != taps
    if exchanged or problem.taps == 1 or kernel_dtype != element or result.kind == "c":
        return None
    if math.prod(problem.output_shape) == 0:
        return None
    screened = False
    if operation.method == "auto":
        for name in ranking(problem, operation.terms, element, operation.factor):
            if name == "direct":
                break
            if name != "separable":
                return None
            screened = True
    fill = (operation.fill.real, operation.fill.real)
    x, kernel = operation.x, operation.kernel
    key = PlanKey(
        problem, Memory(x.strides, x.dtype), kernel.strides, result, fill, current_target()
    )
    plan = direct_plan(key)
    return DirectCall(plan, threads=threads, screened=screened) if plan.in_order else None


class _Usable:
    """How many threads the process may use, asked for now and then."""

    until = -math.inf
    threads = 1


def usable_threads() -> int:
    """Return how many threads a call may use that does not say."""
    now = time.monotonic()
    if now > _Usable.until:
        _Usable.threads = default_threads()
        _Usable.until = now + THREADS_HOLD
    return _Usable.threads
