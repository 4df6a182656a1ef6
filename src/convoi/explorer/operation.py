"""Convolution and correlation of a sample, with what each output is a sum of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from convoi.explorer import limits
from convoi.explorer.samples import samples
from convoi.signal import convolve, correlate
from convoi.signal.boundaries import BOUNDARIES, Boundary, source_positions
from convoi.signal.named import NAMES, named_kernel
from convoi.signal.problem import MODES, Mode, SlidingAxis, sliding_axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.explorer.fields import Fields


@dataclass(frozen=True)
class Operation:
    """What is computed."""

    x: NDArray[np.float64]
    kernel: NDArray[np.float64]
    mode: Mode
    boundary: Boundary
    fill_value: float
    stride: int
    dilation: int


def read_operation(fields: Fields) -> Operation:
    """Return what a request describes.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If a field has a value or a type that it may not have.
    """
    x = read_input(fields)
    operation = Operation(
        x,
        read_kernel(fields, x.ndim),
        fields.choice("mode", "same", MODES),
        fields.choice("boundary", "constant", BOUNDARIES),
        fields.real("fill_value", 0.0, -limits.MAGNITUDE, limits.MAGNITUDE),
        fields.integer("stride", 1, 1, limits.STEP),
        fields.integer("dilation", 1, 1, limits.STEP),
    )
    fields.finish()
    return operation


def read_input(fields: Fields) -> NDArray[np.float64]:
    """Return the sample that a request names or spells out."""
    if "values" not in fields:
        names = tuple(samples())
        return samples()[fields.choice("sample", names[0], names)].values
    rank = fields.integer("rank", 2, 1, 2)
    return fields.array("values", rank, limits.SIGNAL if rank == 1 else limits.IMAGE)


def read_kernel(fields: Fields, rank: int) -> NDArray[np.float64]:
    """Return the kernel that a request names or spells out."""
    kernel = fields.fields("kernel")
    if "values" in kernel:
        taps = kernel.array("values", rank, limits.TAPS)
    else:
        taps = named_kernel(
            kernel.choice("name", NAMES[0], NAMES),
            rank,
            sigma=kernel.real("sigma", 0.5, 0.1, 1.0),
            size=kernel.integer("size", 3, 1, limits.TAPS),
            axis=kernel.integer("axis", -1, -rank, rank - 1),
        )
    kernel.finish()
    return taps


def operate(operation: Operation) -> dict[str, Any]:
    """Return both results, and the input continued as far as any of their windows reaches.

    Output ``o`` of either is the sum over the taps ``t`` of ``taps[t] *
    extended[o * stride + t * dilation - low - begin]`` along each axis; ``begin`` is the position
    of the input at which ``extended`` begins.
    """
    x, kernel = operation.x, operation.kernel
    axes = _axes(operation)
    options: dict[str, Any] = {
        "mode": operation.mode,
        "boundary": operation.boundary,
        "fill_value": operation.fill_value,
        "stride": operation.stride,
        "dilation": operation.dilation,
        "threads": 1,
    }
    begins = [min(0, -axis.low) for axis in axes]
    return {
        "input": x.tolist(),
        "kernel": kernel.tolist(),
        "convolution": {
            "taps": np.flip(kernel).tolist(),
            "output": (convolve(x, kernel, **options) + 0.0).tolist(),
        },
        "correlation": {
            "taps": kernel.tolist(),
            "output": (correlate(x, kernel, **options) + 0.0).tolist(),
        },
        "extended": _extended(operation, axes, begins).tolist(),
        "begin": begins,
        "low": [axis.low for axis in axes],
        "stride": operation.stride,
        "dilation": operation.dilation,
    }


def _axes(operation: Operation) -> list[SlidingAxis]:
    return [
        sliding_axis(
            number,
            extent,
            taps,
            stride=operation.stride,
            dilation=operation.dilation,
            mode=operation.mode,
            owner="convolve",
        )
        for number, (extent, taps) in enumerate(
            zip(operation.x.shape, operation.kernel.shape, strict=True)
        )
    ]


def _extended(
    operation: Operation, axes: list[SlidingAxis], begins: list[int]
) -> NDArray[np.float64]:
    """Return the input with what is taken to lie around it."""
    extended = operation.x
    for axis, begin in zip(axes, begins, strict=True):
        last = (axis.output - 1) * axis.stride - axis.low + axis.reach
        positions = np.arange(begin, max(axis.extent, last))
        sources = source_positions(positions, operation.boundary, axis.extent)
        known = np.take(extended, np.maximum(sources, 0), axis=axis.axis)
        missing = np.expand_dims(sources < 0, tuple(range(1, extended.ndim - axis.axis)))
        extended = np.where(missing, operation.fill_value, known)
    return extended


def choices() -> dict[str, Any]:
    """Return what the page offers for requests to this module."""
    return {
        "samples": [
            {"name": name, "title": sample.title, "rank": sample.values.ndim}
            for name, sample in samples().items()
        ],
        "kernels": list(NAMES),
        "modes": list(get_args(Mode)),
        "boundaries": list(get_args(Boundary)),
        "taps": limits.TAPS,
        "step": limits.STEP,
    }
