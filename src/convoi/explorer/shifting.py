"""A shifted input: the outputs of a convolution move with it, pooled ones largely stay.

I. Goodfellow, Y. Bengio and A. Courville, *Deep Learning*, MIT Press 2016, sections 9.2 and 9.3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from convoi.explorer import limits
from convoi.explorer.operation import read_input, read_kernel
from convoi.nn import MaxPool, Network
from convoi.signal import correlate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.explorer.fields import Fields

Surroundings: TypeAlias = Literal["wrap", "constant"]
"""What is beyond the ends and comes in when the input moves: its other end, or zeros."""

TOLERANCE = 1e-5
"""Difference, relative to the largest value, from which on a value counts as changed."""


def shifted_by(
    values: NDArray[Any], shift: tuple[int, ...], surroundings: Surroundings
) -> NDArray[Any]:
    """Return values that are moved towards higher positions.

    Examples
    --------
    >>> import numpy as np
    >>> shifted_by(np.array([1, 2, 3]), (1,), "constant")
    array([0, 1, 2])
    >>> shifted_by(np.array([1, 2, 3]), (1,), "wrap")
    array([3, 1, 2])
    """
    axes = tuple(range(values.ndim))
    moved = np.roll(values, shift, axes)
    if surroundings == "constant":
        for axis, (steps, extent) in enumerate(zip(shift, values.shape, strict=True)):
            positions = np.expand_dims(
                np.arange(extent), tuple(other for other in axes if other != axis)
            )
            entered = (positions < steps) | (positions >= extent + steps)
            moved = np.where(entered, 0, moved)
    return moved


def shift_input(fields: Fields) -> dict[str, Any]:
    """Return the outputs of a small network for an input and for the shifted input.

    The network is a correlation, a rectifier and a maximum over windows.
    """
    x = read_input(fields)
    kernel = read_kernel(fields, x.ndim)
    surroundings = fields.choice("surroundings", "wrap", get_args(Surroundings))
    size = min(fields.integer("pool", 2, 1, limits.POOL), *x.shape)
    overlapping = fields.choice("windows", "apart", ("apart", "overlapping")) == "overlapping"
    shift = tuple(
        fields.integer(name, 0, -limits.IMAGE, limits.IMAGE)
        for name in ("down", "right")[-x.ndim :]
    )
    fields.finish()
    detect = _Detector(kernel, surroundings, size, 1 if overlapping else size)
    inputs = x, shifted_by(x, shift, surroundings)
    maps = [detect.outputs(values) for values in inputs]
    pools = [detect.pooled(values) for values in maps]
    expected = shifted_by(maps[0], shift, surroundings)
    return {
        "inputs": [values.tolist() for values in inputs],
        "outputs": [values.tolist() for values in maps],
        "pooled": [values.tolist() for values in pools],
        "expected": expected.tolist(),
        "changed": {
            "input": _changed(*inputs),
            "outputs": _changed(*maps),
            "pooled": _changed(*pools),
        },
        "largest": [float(values.max()) for values in maps],
        "difference": {
            "everywhere": _difference(maps[1], expected),
            "interior": _difference(
                *(_interior(values, kernel.shape, shift) for values in (maps[1], expected))
            ),
        },
    }


class _Detector:
    """The layers of the demonstration."""

    def __init__(
        self, kernel: NDArray[np.float64], surroundings: Surroundings, size: int, stride: int
    ) -> None:
        self._kernel = kernel
        self._surroundings = surroundings
        self._pool = size, stride

    def outputs(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = correlate(
            x,
            self._kernel,
            mode="same",
            boundary=self._surroundings,
            # A transform's rounding would depend on the position.
            method="direct",
            threads=1,
        )
        rectified: NDArray[np.float64] = np.maximum(sums, 0.0)
        return rectified

    def pooled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        network = _pool_network((1, *values.shape), *self._pool)
        pooled: NDArray[np.float64] = network(values[np.newaxis, np.newaxis])[0, 0]
        return pooled


@lru_cache(maxsize=64)
def _pool_network(shape: tuple[int, ...], size: int, stride: int) -> Network:
    return Network(MaxPool(size, stride=stride), shape, dtype="float64", threads=1)


def _changed(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the part of the values that differ."""
    scale = max(float(np.abs(before).max()), float(np.abs(after).max()))
    return float(np.mean(np.abs(after - before) > TOLERANCE * scale))


def _difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    return float(np.abs(one - other).max()) if one.size else None


def _interior(
    values: NDArray[np.float64], taps: tuple[int, ...], shift: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the values whose windows saw nothing that entered or left, or lay beyond the ends."""
    for axis, (k, steps) in enumerate(zip(taps, shift, strict=True)):
        low = k // 2 + max(steps, 0)
        high = values.shape[axis] - (k - 1 - k // 2) + min(steps, 0)
        values = values.take(np.arange(low, max(low, high)), axis=axis)
    return values
