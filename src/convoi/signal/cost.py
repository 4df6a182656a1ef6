"""What each method is expected to cost, and which one is chosen.

The rates were fitted by ``python -m bench.signal_cost`` to one thread of an AMD EPYC 9004 with
AVX-512: there the expected seconds were off by a factor of 1.15 in the median. The chosen method
took at most 1.25 times as long as the quickest one in 136 of 136 cells of the grid, and in 119 of
120 problems of random sizes that had no part in the fit (``python -m bench signal-choice``). Other
vector widths scale what generated code computes. Only the ratios of rates decide.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.codegen.target import current_target
from convoi.signal.direct_plan import WORK_OF_A_THREAD
from convoi.signal.lane_transform import (
    block_count,
    block_shape,
    can_transform,
    expected_work,
)
from convoi.signal.transform import transform_dtype
from convoi.signal.transform_blocks import AxisBlocks, cut_blocks, positions_of, whole_blocks

if TYPE_CHECKING:
    from convoi.signal.problem import Problem, Terms


@dataclass(frozen=True)
class DirectRates:
    """Seconds of the direct method."""

    call: float
    """Per call, in Python and in the kernel's first lines."""
    multiply_add: float
    element: float
    """Per element that is read or written."""


@dataclass(frozen=True)
class TransformRates:
    """Seconds of the transform."""

    call: float
    """Per forward and backward transform, in Python."""
    butterfly: float
    """Per element and doubling of the length."""
    element: float
    """Per element and transform: copies, the product of spectra."""
    beyond_cache: float
    """The factor of `butterfly` where a transform does not fit the cache."""


@dataclass(frozen=True)
class LaneRates:
    """Seconds of transforms by generated code."""

    call: float
    work: float
    """Per unit of `convoi.signal.lane_transform.relative_work`."""


DIRECT = {
    "int32": DirectRates(3.3e-6, 3.2e-11, 3.1e-10),
    "int64": DirectRates(3.4e-6, 1.3e-10, 7.2e-10),
    "float32": DirectRates(3.3e-6, 1.9e-11, 2.2e-10),
    "float64": DirectRates(3.4e-6, 3.8e-11, 3.7e-10),
}
TRANSFORM = {
    "float32": TransformRates(44e-6, 3.7e-10, 1.0e-11, 1.05),
    "float64": TransformRates(56e-6, 5.7e-10, 1.0e-11, 1.27),
}
LANE_TRANSFORM = {
    "float32": LaneRates(12e-6, 2.05e-10),
    "float64": LaneRates(15.5e-6, 3.83e-10),
}
CACHE_ELEMENTS = 2**18
WIDTH_OF_MEASUREMENT = 64
"""Bytes per vector of the machine that the rates are from."""


@dataclass(frozen=True)
class Cost:
    """The expected cost of a method."""

    seconds: float
    memory: int
    """Bytes besides the input and the output."""


def direct_cost(problem: Problem, element: str, factor: int, threads: int) -> Cost:
    """Return the cost of summing tap by tap; `factor` real products make one of the dtype's."""
    rates = DIRECT[element]
    outputs = math.prod(problem.output_shape)
    width = WIDTH_OF_MEASUREMENT / current_target().vector_bytes
    multiply_adds = outputs * problem.taps * factor
    elements = outputs + math.prod(problem.x_shape)
    work = multiply_adds * rates.multiply_add * width + elements * factor * rates.element
    temporary = 2 * outputs * 8 if factor > 1 else 0
    calls = rates.call * (1 if factor == 1 else 2)
    useful = max(1, min(threads, multiply_adds // WORK_OF_A_THREAD))
    return Cost(calls + work / useful, 2**18 * threads + temporary)


def separable_cost(problem: Problem, element: str, factor: int, threads: int) -> Cost:
    """Return the cost of one pass per axis."""
    rates = DIRECT[element]
    width = WIDTH_OF_MEASUREMENT / current_target().vector_bytes
    shape = list(problem.x_shape)
    seconds, memory = 0.0, 0
    for axis in reversed(problem.axes):
        if axis.taps == 1:
            continue
        before = math.prod(shape)
        shape[axis.axis] = axis.output
        after = math.prod(shape)
        work = after * axis.taps * factor * rates.multiply_add * width
        work += (before + after) * factor * rates.element
        seconds += rates.call * (1 if factor == 1 else 2) + work / threads
        memory = max(memory, after * np.dtype(element).itemsize)
    return Cost(seconds, memory + 2**18 * threads)


def transform_cost(
    problem: Problem, blocks: tuple[AxisBlocks, ...], result: np.dtype[Any], threads: int
) -> Cost:
    """Return the cost of transforms of these lengths."""
    real = transform_dtype(result)
    rates = TRANSFORM[real.name]
    size = math.prod(block.length for block in blocks)
    count = math.prod(block.count for block in blocks)
    sliding = set(problem.sliding)

    def batch(shape: tuple[int, ...]) -> int:
        return math.prod(n for axis, n in enumerate(shape) if axis not in sliding)

    of_x, of_kernel = batch(problem.x_shape), batch(problem.kernel_shape)
    of_y = batch(problem.output_shape)
    transforms = count * (of_x + of_y) + of_kernel
    factor = 2 if result.kind == "c" else 1
    slow = rates.beyond_cache if size > CACHE_ELEMENTS else 1.0
    each = size * factor * (rates.butterfly * slow * math.log2(max(size, 2)) + rates.element)
    calls = rates.call * 3 + 20e-6 * (count if len(blocks) > 1 else math.sqrt(count))
    memory = 3 * size * factor * real.itemsize * (1 if count > 1 else min(of_y, 64))
    useful = min(threads, max(1, transforms // 2)) if len(blocks) == 1 else threads
    return Cost(calls + transforms * each / useful, memory + 2**23)


def lane_cost(problem: Problem, result: np.dtype[Any], threads: int) -> Cost:
    """Return the cost of transforms of blocks by generated code."""
    target = current_target()
    shape = block_shape(problem, target.lanes(result.name))
    if shape is None:
        return Cost(math.inf, 0)
    rates = LANE_TRANSFORM[result.name]
    width = WIDTH_OF_MEASUREMENT / target.vector_bytes
    work = expected_work(problem, shape) * rates.work * width
    memory = 6 * shape.positions * result.itemsize
    useful = max(1, min(threads, -(-block_count(problem, shape) // 2)))
    return Cost(rates.call + work / useful, memory * threads)


@functools.lru_cache(maxsize=512)
def costs(problem: Problem, terms: Terms, element: str, factor: int) -> dict[str, Cost]:
    """Return the cost of each method that the shapes allow."""
    result, fill, threads = terms.result, terms.fill, terms.threads
    real = result.kind != "c"
    found = {
        "direct": direct_cost(problem, element, factor, threads),
        "fft": transform_cost(problem, whole_blocks(problem, fill, real=real), result, threads),
    }
    if sum(axis.taps > 1 for axis in problem.axes) > 1:
        found["separable"] = separable_cost(problem, element, factor, threads)
    longest = max(positions_of(axis) for axis in problem.axes)
    if can_transform(problem, result):
        found["overlap-add"] = lane_cost(problem, result, threads)
    elif longest > 64:
        cut = cut_blocks(problem, real=real)
        found["overlap-add"] = transform_cost(problem, cut, result, threads)
    return found


@functools.lru_cache(maxsize=512)
def ranking(problem: Problem, terms: Terms, element: str, factor: int) -> tuple[str, ...]:
    """Return the methods that the shapes allow, the one of the least expected cost first."""
    found = costs(problem, terms, element, factor)
    return tuple(sorted(found, key=lambda name: found[name].seconds))
