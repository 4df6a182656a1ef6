"""Direct correlation by the pixel-lane kernels: real arithmetic, any strides, no padded copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convoi.codegen.target import current_target
from convoi.signal.direct_plan import COMPUTE, Memory, PlanKey, direct_plan, dtype_name
from convoi.signal.problem import Problem, Terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDENED = {np.dtype(np.float16): np.dtype(np.float32), np.dtype(np.bool_): np.dtype(np.int32)}


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


def _correlate_real(
    problem: Problem,
    x: NDArray[Any],
    kernel: NDArray[Any],
    terms: _RealTerms,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    result = terms.result
    x = _readable(x)
    with np.errstate(invalid="ignore"):  # numbers that the result's type wraps
        kernel = _readable(kernel.astype(COMPUTE[dtype_name(result)], copy=False))
    key = PlanKey(
        problem, Memory(x.strides, x.dtype), kernel.strides, result, terms.fill, current_target()
    )
    plan = direct_plan(key)
    if out is not None and plan.in_order and _writable(out, result):
        y = out
    else:
        y = np.empty(plan.shape, result)
    if y.size:
        plan.run(x, kernel, y, terms.threads)
    return y if plan.in_order else y.transpose(plan.natural)


def _writable(out: NDArray[Any], result: np.dtype[Any]) -> bool:
    return out.dtype == result and out.dtype.isnative and out.flags.c_contiguous


def readable(x: NDArray[Any]) -> bool:
    """Tell whether kernels can read an array where it lies."""
    size = x.dtype.itemsize
    plain = x.dtype != np.float16 and x.dtype.isnative and x.flags.aligned
    return plain and not any(stride % size for stride in x.strides)


def _readable(x: NDArray[Any]) -> NDArray[Any]:
    """Return the array, converted if kernels cannot read it where it lies."""
    if readable(x):
        return x
    wide = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype.newbyteorder("=")
    return x.astype(wide, order="C")
