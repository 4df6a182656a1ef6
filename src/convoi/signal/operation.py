"""One call of the operator: arguments, choice of the method, result."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import refusal
from convoi.errors import ArgumentError
from convoi.runtime.threads import resolve_threads
from convoi.signal import transform
from convoi.signal.arguments import (
    METHODS,
    NAN_TREATMENTS,
    Method,
    check_array,
    check_fill,
    check_name,
    check_out,
    make_problem,
)
from convoi.signal.cost import Cost, costs, ranking
from convoi.signal.direct import correlate_direct, readable
from convoi.signal.direct_plan import COMPUTE, WORK_OF_A_THREAD, dtype_name
from convoi.signal.lane_transform import can_transform, correlate_blocks
from convoi.signal.problem import Problem, Terms, sliding_axis
from convoi.signal.running import usable_threads
from convoi.signal.separable import correlate_separable, factors, may_separate
from convoi.signal.transform_blocks import AxisBlocks, cut_blocks, whole_blocks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Options:
    """The arguments that `convolve` and `correlate` have in common, as they were given."""

    mode: str = "full"
    boundary: str = "constant"
    fill_value: complex = 0
    axes: object = None
    stride: object = 1
    dilation: object = 1
    method: str = "auto"
    nan: str = "propagate"
    threads: int | None = None
    out: NDArray[Any] | None = None
    within: int | None = None
    """An axis, counted from the end, of which only complete overlaps are wanted in any mode."""


@dataclass
class Operation:
    """A call whose arguments were checked."""

    problem: Problem
    x: NDArray[Any]
    kernel: NDArray[Any]
    result: np.dtype[Any]
    fill: complex
    method: Method
    threads: int

    @property
    def terms(self) -> Terms:
        """How it is computed, whatever the method."""
        return Terms(self.result, self.fill, self.threads)

    @property
    def factor(self) -> int:
        """How many real products a product of the dtypes takes."""
        return (1 + (self.x.dtype.kind == "c")) * (1 + (self.kernel.dtype.kind == "c"))

    def costs(self) -> dict[str, Cost]:
        """Return the expected cost of each method that can be used here."""
        element = COMPUTE[dtype_name(self.result)]
        found = dict(costs(self.problem, self.terms, element, self.factor))
        if not self.transform_is_exact:
            del found["fft"]
            found.pop("overlap-add", None)
        return found

    @property
    def transform_is_exact(self) -> bool:
        """Whether the transform gives integers exactly, or they are no integers."""
        return self.result.kind not in "iub" or transform.is_exact(
            self.problem, self.x, self.kernel, self.fill
        )

    def lines(self) -> tuple[NDArray[Any], ...] | None:
        """Return the kernels per axis of a separable kernel."""
        kernel = self.kernel
        if kernel.ndim == 2 and kernel.size == self.problem.taps and not may_separate(kernel):
            return None
        return factors(self.problem, kernel, self.result)

    def choose(self) -> tuple[str, tuple[NDArray[Any], ...] | None]:
        """Return the cheapest method, with the factors of a separable kernel."""
        if self.method == "auto":
            return self._cheapest()
        if self.method in {"fft", "overlap-add"}:
            self._require_exact_transform()
        lines = None
        # One line of taps is separated already.
        if self.method == "separable" and sum(axis.taps > 1 for axis in self.problem.axes) > 1:
            lines = self.lines()
            if lines is None:
                raise ArgumentError(
                    f"The kernel of {self.problem.owner} with method='separable' must be one "
                    "outer product of kernels per sliding axis, to rounding. Got a kernel of "
                    f"shape {self.kernel.shape} that is not. Use method='auto'."
                )
        return ("direct" if self.method == "separable" and lines is None else self.method), lines

    def _cheapest(self) -> tuple[str, tuple[NDArray[Any], ...] | None]:
        element = COMPUTE[dtype_name(self.result)]
        for name in ranking(self.problem, self.terms, element, self.factor):
            if name == "separable":
                lines = self.lines()
                if lines is not None:
                    return name, lines
            elif name == "direct" or self.transform_is_exact:
                return name, None
        return "direct", None

    def _require_exact_transform(self) -> None:
        if not self.transform_is_exact:
            raise ArgumentError(
                refusal("method", self.problem.owner, "'auto' or 'direct' here", self.method)
                + " The transform computes in float64, and integers as large as these would not "
                "come out exactly. Convert them to float64 if rounding does not matter."
            )

    def run(self, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the result, in `out` where that can be written directly."""
        method, lines = self.choose()
        if method == "direct":
            return correlate_direct(self.problem, self.x, self.kernel, self.terms, out)
        if lines is not None:
            return correlate_separable(self.problem, self.x, lines, self.terms, out)
        return self._transformed(method, out)

    def _transformed(self, method: str, out: NDArray[Any] | None) -> NDArray[Any]:
        real = self.result.kind != "c"
        if out is not None and out.dtype != self.result:
            out = None
        if method == "overlap-add" and self._by_lanes:
            y, finite = correlate_blocks(self.problem, self.x, self.kernel, self.terms, out)
            if finite:
                return y
        if method == "fft":
            blocks = whole_blocks(self.problem, self.fill, real=real)
        else:
            blocks = cut_blocks(self.problem, real=real)
        y, finite = transform.correlate_fft(
            self.problem, self.x, self.kernel, self.terms, blocks=blocks, out=out
        )
        if finite:
            return y
        return self._without_spread(blocks, y)

    @property
    def _by_lanes(self) -> bool:
        """Whether generated code can transform the blocks."""
        return can_transform(self.problem, self.result) and readable(self.x)

    def _without_spread(self, blocks: tuple[AxisBlocks, ...], y: NDArray[Any]) -> NDArray[Any]:
        """Compute again with NaN and infinities taken out, then put in what they lead to.

        An output is NaN if its window has a NaN, or infinities that do not all push the same way.
        """
        if not np.isfinite(self.kernel).all() or not np.isfinite(self.fill):
            return correlate_direct(self.problem, self.x, self.kernel, self.terms)
        finite = np.isfinite(self.x)

        def summed(x: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
            dtype = np.dtype(np.float32 if self.result.itemsize == 4 else np.float64)
            x, kernel = x.astype(dtype), kernel.astype(dtype)
            terms = Terms(dtype, 0, self.threads)
            total, _ = transform.correlate_fft(self.problem, x, kernel, terms, blocks=blocks)
            whole: NDArray[Any] = np.rint(total)
            return whole

        x = np.where(finite, self.x, 0)
        y, _ = transform.correlate_fft(
            self.problem, x, self.kernel, self.terms, blocks=blocks, out=y
        )
        ones = np.ones(self.kernel.shape)
        touched = summed(~finite, ones)
        if self.x.dtype.kind == "c" or self.kernel.dtype.kind == "c":
            y[touched > 0] = np.nan
            return y
        infinite = np.isinf(self.x)
        signs = np.where(infinite, np.sign(self.x), 0)
        pushed = summed(signs, np.sign(self.kernel))
        all_infinite = summed(infinite, ones) == touched
        certain = all_infinite & (np.abs(pushed) == touched)
        y[touched > 0] = np.nan
        hit = certain & (touched > 0)
        y[hit] = np.sign(pushed[hit]) * np.inf
        return y


def prepare(
    owner: str, x: ArrayLike, kernel: ArrayLike, options: Options, *, flip: bool
) -> Operation:
    """Check the arguments of a call."""
    a = check_array(x, "x", owner)
    w = check_array(kernel, "kernel", owner)
    problem = make_problem(
        owner,
        a,
        w,
        mode=options.mode,
        boundary=options.boundary,
        axes=options.axes,
        stride=options.stride,
        dilation=options.dilation,
        flip=flip,
    )
    if options.within is not None:
        problem = _within(problem, options.within)
    method = check_name(options.method, "method", owner, METHODS)
    result = np.result_type(a.dtype, w.dtype)
    fill = 0j if options.fill_value == 0 else check_fill(options.fill_value, owner, result)
    if options.threads is not None:
        threads = resolve_threads(options.threads, owner)
    elif problem.taps * math.prod(problem.output_shape) < WORK_OF_A_THREAD:
        threads = 1
    else:
        threads = usable_threads()
    a, w = a.reshape(problem.x_shape), w.reshape(problem.kernel_shape)
    if not flip and w.dtype.kind == "c":
        w = w.conj()
    operation = Operation(problem, a, w, result, fill, method, threads)
    return operation if method == "separable" else _exchanged(operation)


def _within(problem: Problem, number: int) -> Problem:
    """Return the problem with mode 'valid' along one axis."""
    wanted = len(problem.x_shape) + number
    axes = tuple(
        sliding_axis(
            a.axis,
            a.extent,
            a.taps,
            stride=a.stride,
            dilation=a.dilation,
            mode="valid",
            owner=problem.owner,
        )
        if a.axis == wanted
        else a
        for a in problem.axes
    )
    return replace(problem, axes=axes)


def _exchanged(operation: Operation) -> Operation:
    """Let the longer array be the input: the full result is the same either way."""
    problem = operation.problem
    total = 1
    for axis in problem.axes:
        if (
            axis.low != axis.taps - 1
            or axis.stride * axis.dilation > 1
            or axis.output != axis.extent + axis.taps - 1
        ):
            return operation
        total *= axis.extent
    if problem.taps <= total or problem.boundary != "constant" or operation.fill != 0:
        return operation
    kernel = operation.kernel
    if not problem.flip:
        kernel = np.flip(kernel, problem.sliding)
    axes = tuple(
        sliding_axis(
            a.axis, a.taps, a.extent, stride=1, dilation=1, mode="full", owner=problem.owner
        )
        for a in problem.axes
    )
    exchanged = replace(
        problem,
        x_shape=problem.kernel_shape,
        kernel_shape=problem.x_shape,
        axes=axes,
        flip=True,
    )
    return replace(operation, problem=exchanged, x=kernel, kernel=operation.x)


def operate(
    owner: str, x: ArrayLike, kernel: ArrayLike, options: Options, *, flip: bool
) -> NDArray[Any]:
    """Return the result of a call of `convolve` or `correlate`."""
    nan = check_name(options.nan, "nan", owner, NAN_TREATMENTS)
    if isinstance(kernel, np.ma.MaskedArray) and np.ma.is_masked(kernel):
        raise ArgumentError(
            refusal("kernel", owner, "an array without masked taps", kernel)
            + " Fill them: kernel.filled(0)."
        )
    operation = prepare(owner, x, kernel, options, flip=flip)
    out = check_out(options.out, owner, operation.problem.output_shape, operation.result)
    direct_out = out
    if out is not None and any(
        np.may_share_memory(out, array) for array in (operation.x, operation.kernel)
    ):
        direct_out = None
    if nan == "ignore" and operation.result.kind in "fc" and np.isnan(operation.x).any():
        y = _ignoring_nan(operation)
    else:
        y = operation.run(direct_out)
    if out is None or y is out:
        return y
    np.copyto(out, y, casting="same_kind")
    return out


def _ignoring_nan(operation: Operation) -> NDArray[Any]:
    """Give NaN samples no weight, and scale what the others add up to."""
    problem, kernel = operation.problem, operation.kernel
    wide = np.result_type(operation.result, np.float32)
    total = kernel.sum(axis=problem.sliding, keepdims=True, dtype=wide)
    size = np.abs(kernel).sum(axis=problem.sliding, keepdims=True, dtype=wide)
    eps = float(np.finfo(wide).eps)
    if (np.abs(total) <= kernel.size * eps * size.real).any():
        raise ArgumentError(
            refusal("kernel", problem.owner, "a kernel whose taps do not sum to 0", kernel)
            + " With nan='ignore' the taps on valid samples are scaled to the sum of all taps. "
            "Fill the NaN samples instead, or use nan='propagate'."
        )
    missing = np.isnan(operation.x)
    fill_missing = bool(np.isnan(operation.fill))
    filled = replace(
        operation,
        x=np.where(missing, 0, operation.x),
        fill=0j if fill_missing else operation.fill,
        result=wide,
    )
    absent = replace(
        operation,
        x=missing.astype(np.float32 if wide.itemsize == 4 else np.float64),
        fill=complex(fill_missing),
        method="direct" if operation.method == "direct" else "auto",
        result=wide,
    )
    y, lost = filled.run(), absent.run()
    weight = total - lost
    empty = np.abs(weight) <= 8 * eps * size.real
    near = np.abs(lost) <= 8 * eps * size.real  # nothing is missing, to the transform's rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.where(near, y, y * (total / np.where(empty, 1, weight)))
    y = np.where(empty, np.nan, y)
    ignored: NDArray[Any] = y.astype(operation.result, copy=False)
    return ignored
