"""Checks of the operator's arguments; messages know the names that other libraries use."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from convoi.checks import check_per_axis, describe, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.signal.boundaries import BOUNDARIES, Boundary
from convoi.signal.direct_plan import COMPUTE, dtype_name
from convoi.signal.problem import MODES, Mode, Problem, sliding_axis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Method: TypeAlias = Literal["auto", "direct", "separable", "fft", "overlap-add"]
METHODS: tuple[Method, ...] = get_args(Method)
NanTreatment: TypeAlias = Literal["propagate", "ignore"]
NAN_TREATMENTS: tuple[NanTreatment, ...] = get_args(NanTreatment)

EQUIVALENTS = {
    "boundary": {
        # name elsewhere: (ours, where it comes from)
        "fill": ("constant", "scipy.signal.convolve2d and astropy"),
        "zeros": ("constant", "torch"),
        "zero": ("constant", "PyWavelets"),
        "symm": ("symmetric", "scipy.signal.convolve2d"),
        "nearest": ("edge", "scipy.ndimage"),
        "replicate": ("edge", "torch and OpenCV"),
        "extend": ("edge", "astropy"),
        "mirror": ("reflect", "scipy.ndimage"),
        "reflect_101": ("reflect", "OpenCV"),
        "grid-mirror": ("symmetric", "scipy.ndimage"),
        "grid-wrap": ("wrap", "scipy.ndimage"),
        "grid-constant": ("constant", "scipy.ndimage"),
        "circular": ("wrap", "torch"),
        "periodic": ("wrap", "PyWavelets"),
    },
    "method": {
        "oaconvolve": ("overlap-add", "scipy.signal"),
        "oa": ("overlap-add", "scipy.signal"),
        "fftconvolve": ("fft", "scipy.signal"),
    },
    "nan": {
        "interpolate": ("ignore", "astropy"),
        "omit": ("ignore", "scipy.stats"),
        "fill": ("propagate", "astropy"),
    },
}
"""Names of other libraries that an error message translates."""


def check_name(value: object, name: str, owner: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401 - of several kinds
    """Return one of several names; the message translates those of other libraries."""
    if isinstance(value, str) and value in choices:
        return value
    listed = ", ".join(repr(choice) for choice in choices)
    message = refusal(name, owner, f"one of {listed}", value)
    if not isinstance(value, str):
        raise ArgumentTypeError(message)
    known = EQUIVALENTS.get(name, {})
    if value in known:
        ours, home = known[value]
        message += f" {value!r} of {home} is {name}={ours!r} here."
    elif known:
        pairs = ", ".join(f"{theirs!r} is {ours!r}" for theirs, (ours, _) in known.items())
        message += f" Names of other libraries: {pairs}."
    raise ArgumentError(message)


def check_array(value: ArrayLike, name: str, owner: str) -> NDArray[Any]:
    """Return an argument as an array of numbers that can be computed with."""
    if isinstance(value, np.ma.MaskedArray) and value.mask is not np.ma.nomask:
        array = _masked_as_nan(value)
    else:
        array = np.asarray(value)
    if dtype_name(array.dtype) not in COMPUTE:
        raise ArgumentTypeError(
            f"{refusal(name, owner, 'an array of numbers', array)} Supported are booleans, "
            "integers up to 64 bits, float16, float32, float64, complex64 and complex128: convert "
            "it with .astype(numpy.float64), for example."
        )
    return array


def _masked_as_nan(value: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    floating = value.dtype if value.dtype.kind in "fc" else np.dtype(np.float64)
    return np.where(np.ma.getmaskarray(value), np.nan, np.ma.getdata(value)).astype(floating)


def check_fill(value: object, owner: str, result: np.dtype[Any]) -> complex:
    """Return the fill value as a number that the result's dtype can hold."""
    if isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        number = complex(value)
        if result.kind == "c" or (number.imag == 0 and result.kind == "f"):
            return number
        if number.imag == 0 and number.real.is_integer():
            return number
        raise ArgumentError(refusal("fill_value", owner, f"a value that {result} can hold", value))
    raise ArgumentTypeError(refusal("fill_value", owner, "a number", value))


def make_problem(
    owner: str,
    x: NDArray[Any],
    kernel: NDArray[Any],
    *,
    mode: object,
    boundary: object,
    axes: object,
    stride: object,
    dilation: object,
    flip: bool,
) -> Problem:
    """Return the problem that arguments describe, or raise what is wrong with them."""
    options = (axes, stride, dilation)
    if all(option is None or type(option) is int for option in options):
        return _known_problem(owner, x.shape, kernel.shape, mode, boundary, *options, flip)
    return _problem(owner, x.shape, kernel.shape, mode, boundary, *options, flip)


def _problem(  # noqa: PLR0917 - hashable as they are, for the cache
    owner: str,
    x_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    mode: object,
    boundary: object,
    axes: object,
    stride: object,
    dilation: object,
    flip: bool,  # noqa: FBT001 - one of the values that the cache looks up
) -> Problem:
    checked_mode: Mode = check_name(mode, "mode", owner, MODES)
    checked_boundary: Boundary = check_name(boundary, "boundary", owner, BOUNDARIES)
    rank = max(len(x_shape), len(kernel_shape))
    if min(len(x_shape), len(kernel_shape)) == 0:
        name = "x" if not x_shape else "kernel"
        raise ShapeError(
            f"The {name!r} parameter of {owner} is a single number; it must have at least one "
            "axis. Pass [number], or multiply."
        )
    shapes = [(1,) * (rank - len(shape)) + shape for shape in (x_shape, kernel_shape)]
    sliding = _check_axes(axes, owner, rank, min(len(x_shape), len(kernel_shape)))
    strides = check_per_axis(stride, "stride", owner, len(sliding), minimum=1)
    dilations = check_per_axis(dilation, "dilation", owner, len(sliding), minimum=1)
    for axis in range(rank):
        n, k = shapes[0][axis], shapes[1][axis]
        if axis in sliding:
            for name, length in (("x", n), ("kernel", k)):
                if length == 0:
                    raise ShapeError(
                        f"The {name!r} parameter of {owner} has length 0 along axis {axis}, on "
                        "which the kernel slides: it must have at least one element there."
                    )
        elif n != k and 1 not in {n, k}:
            raise ShapeError(
                f"The axes of {owner} that do not slide must broadcast: axis {axis} has length "
                f"{n} in x of shape {x_shape} and {k} in the kernel of shape {kernel_shape}. "
                f"Sliding are the axes {sliding}; choose them with axes=."
            )
    lines = [
        sliding_axis(
            axis,
            shapes[0][axis],
            shapes[1][axis],
            stride=s,
            dilation=d,
            mode=checked_mode,
            owner=owner,
        )
        for axis, s, d in zip(sliding, strides, dilations, strict=True)
    ]
    lines.sort(key=operator.attrgetter("axis"))
    return Problem(owner, shapes[0], shapes[1], tuple(lines), checked_boundary, flip)


_known_problem = functools.lru_cache(maxsize=512)(_problem)


def _check_axes(axes: object, owner: str, rank: int, shared: int) -> tuple[int, ...]:
    """Return the numbers of the sliding axes; by default the last ones, which both arrays have."""
    if axes is None:
        return tuple(range(rank - shared, rank))
    given = (axes,) if not isinstance(axes, (Sequence, np.ndarray)) else tuple(axes)
    expectation = f"None, an integer, or a sequence of integers from {-rank} to {rank - 1}"
    try:
        numbers = [operator.index(axis) for axis in given]
    except TypeError:
        raise ArgumentTypeError(refusal("axes", owner, expectation, axes)) from None
    if not numbers or not all(-rank <= number < rank for number in numbers):
        raise ArgumentError(refusal("axes", owner, expectation, axes))
    numbers = [number % rank for number in numbers]
    if len(set(numbers)) < len(numbers):
        raise ArgumentError(
            f"The 'axes' parameter of {owner} must name each axis once. Got {describe(axes)}, "
            f"which are the axes {tuple(numbers)}."
        )
    return tuple(numbers)


def check_out(
    out: object, owner: str, shape: tuple[int, ...], result: np.dtype[Any]
) -> NDArray[Any] | None:
    """Return the array for the result, if one was given and fits."""
    if out is None:
        return None
    expectation = f"a writeable array of shape {shape} to which {result} can be cast"
    if not isinstance(out, np.ndarray):
        raise ArgumentTypeError(refusal("out", owner, expectation, out))
    if (
        out.shape != shape
        or not out.flags.writeable
        or not np.can_cast(result, out.dtype, "same_kind")
    ):
        raise ArgumentError(refusal("out", owner, expectation, out))
    return out
