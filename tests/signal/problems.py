"""Hypothesis strategies for the operator: arrays, kernels and options that fit each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from convoi.signal.boundaries import BOUNDARIES
from convoi.signal.problem import MODES

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

LENGTHS = {
    1: (1, 3, 4, 5, 15, 16, 17, 33, 70, 200),
    2: (1, 3, 5, 16, 17, 33),
    3: (1, 3, 5, 9),
    4: (1, 2, 5),
}
TAPS = {1: (1, 2, 3, 8, 15, 16, 17, 40, 130), 2: (1, 2, 3, 5, 8, 11), 3: (1, 2, 3, 4), 4: (1, 2, 3)}
FLOATS = ("float32", "float64", "complex64", "complex128")
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@dataclass
class Case:
    """Arguments of a call."""

    x: np.ndarray
    kernel: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)


def numbers(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return numbers that fill the dtype's range, if it is one of integers."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return generator.random(shape) < 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return generator.integers(limits.min, limits.max, shape, kind, endpoint=True)
    values = generator.standard_normal(shape)
    if kind.kind == "c":
        values = values + 1j * generator.standard_normal(shape)
    return values.astype(kind)


@st.composite
def cases(draw: DrawFn, dtypes: tuple[str, ...] = FLOATS, *, plain: bool = False) -> Case:
    """Draw arrays of 1 to 4 axes, some of which slide and the others broadcast."""
    rank = draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sliding = draw(st.permutations(range(rank)))[: draw(st.integers(1, rank))]
    shape, taps = [], []
    for axis in range(rank):
        n, k = draw(st.sampled_from(LENGTHS[rank])), draw(st.sampled_from(TAPS[rank]))
        if axis not in sliding:
            n, k = draw(st.sampled_from([(n, 1), (1, k), (k, k)]))
        shape.append(n)
        taps.append(k)
    dtype = draw(st.sampled_from(dtypes))
    other = draw(st.sampled_from([dtype, dtype, *dtypes]))
    options: dict[str, Any] = {"axes": sliding, "mode": draw(st.sampled_from(MODES))}
    if not plain:
        options["boundary"] = draw(st.sampled_from(BOUNDARIES))
        options["stride"] = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in sliding]
        options["dilation"] = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in sliding]
        if draw(st.booleans()):
            options["fill_value"] = 1
    if options["mode"] == "valid":
        reaches = options.get("dilation", [1] * len(sliding))
        for axis, dilation in zip(sliding, reaches, strict=True):
            shape[axis] = max(shape[axis], (taps[axis] - 1) * dilation + 1)
    x = numbers(generator, tuple(shape), dtype)
    layout = draw(st.sampled_from(["contiguous", "reversed", "transposed", "strided"]))
    if layout == "reversed":
        x = x[tuple(slice(None, None, -1) for _ in shape)]
    elif layout == "transposed":
        x = np.ascontiguousarray(x.T).T
    elif layout == "strided":
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    return Case(x, numbers(generator, tuple(taps), other), options)
