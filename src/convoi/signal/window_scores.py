"""Normalised scores of one template on plain arrays, by the kernel that sums windows."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.codegen.target import current_target
from convoi.kernels.base import kernel_address
from convoi.kernels.pixel_score import PixelScore
from convoi.kernels.pixel_tables import GRID, SCORE
from convoi.runtime.buffers import address_of
from convoi.signal.direct import readable
from convoi.signal.direct_plan import Memory, dtype_name, plan_line
from convoi.signal.grids import Blocks, Layout, grid_record
from convoi.signal.operation import Options, operate, prepare
from convoi.signal.running import NativeKernel, native_kernel, run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.signal.problem import Problem

BLOCK_ROWS = 64
BLOCK_COLUMNS = 128
"""Outputs of a block: four planes of them stay in the second-level cache."""
LARGEST_WINDOW = 1024
"""Elements of a window along an axis; blocks for larger ones would read most of the input twice."""
TOLERANCE = 1e-5
"""The error that float32 products may leave in a score."""
ROUNDING = 1
"""Units in the last place by which products of float32 may be off, relative to the norms."""


def can_score(x: NDArray[Any], template: NDArray[Any]) -> bool:
    """Tell whether `window_scores` can do it: arrays of the same one or two axes."""
    return (
        x.ndim == template.ndim <= 2
        and readable(x)
        and x.dtype.kind in "iufb"
        and max(template.shape) <= LARGEST_WINDOW
    )


@dataclass(frozen=True)
class Numbers:
    """What scores depend on besides the arrays."""

    level: float
    """Near to most of the input."""
    share: float
    """One over the elements of a window."""
    own: float
    """The template's sum of squares."""
    flat: float
    """What varies in a window below this share of its squares is rounding."""
    fill: float
    """Value of the input beyond its ends."""
    centred: bool
    """Whether the mean of the window is taken off."""


def window_scores(
    x: NDArray[Any], template: NDArray[np.float64], options: Options, numbers: Numbers
) -> NDArray[np.float64]:
    """Return the scores of windows against a template, which is centred already if need be.

    Products are summed in float32 where the input is float32 and no window varies so little that
    their rounding would show.
    """
    operation = prepare("match", x, template, options, flip=False)
    problem, threads = operation.problem, operation.threads
    less = replace(options, fill_value=numbers.fill - numbers.level)
    single = x.dtype == np.float32 or (x.dtype.kind in "iu" and x.dtype.itemsize <= 2)
    while True:
        shifted = np.subtract(x, numbers.level, dtype=np.float32 if single else np.float64)
        found = operate("match", shifted, template.astype(shifted.dtype), less, flip=False)
        y, least = _scored(problem, x, np.ascontiguousarray(found), numbers, threads)
        if not single:
            return y
        largest = max(float(shifted.max()), -float(shifted.min()), abs(float(less.fill_value.real)))
        error = ROUNDING * float(np.finfo(np.float32).eps) * largest * math.sqrt(template.size)
        if error <= TOLERANCE * math.sqrt(least):
            return y
        single = False


@dataclass(frozen=True)
class _ScorePlan:
    """What scores of arrays of the same shapes share."""

    kernel: NativeKernel
    words: NDArray[np.int64]
    """The record of the grid, without the addresses of arrays."""
    tables: tuple[NDArray[np.int64], ...]
    """What its addresses of tables lead to."""
    tasks: int
    scratch: int
    """Bytes per thread."""
    lanes: int
    target: Target


@functools.lru_cache(maxsize=64)
def _score_plan(
    problem: Problem, memory: Memory, products: str, target: Target, *, centred: bool
) -> _ScorePlan:
    """Return the plan of scores; the last ones are remembered."""
    lanes = target.lanes("float64")
    *others, column = problem.sliding
    row = plan_line(problem, memory, others[0] if others else None)
    layout = Layout((), row, plan_line(problem, memory, column), 1, 1, problem.boundary)
    rows, columns = min(BLOCK_ROWS, row.output), min(BLOCK_COLUMNS, layout.column.output)
    if not others:
        columns = min(BLOCK_ROWS * BLOCK_COLUMNS, layout.column.output)
    pitch = -(-(columns + layout.column.span) // (2 * lanes)) * 2 * lanes + lanes
    plane = (rows + row.span + 1) * pitch
    words, tables = grid_record(layout, Blocks(pitch, rows, columns, 0), ())
    items = np.zeros(2, np.int64)
    words[GRID.items] = items.ctypes.data
    words[SCORE.pitch], words[SCORE.plane] = pitch, plane
    words[SCORE.taps_down], words[SCORE.taps_along] = row.taps, layout.column.taps
    words[SCORE.digits_down] = row.taps.bit_length()
    words[SCORE.digits_along] = layout.column.taps.bit_length()
    kernel = PixelScore(dtype_name(memory.dtype), products, lanes, centred)
    return _ScorePlan(
        native_kernel(kernel_address(kernel, target)),
        words,
        (*tables, items),
        int(words[GRID.row_blocks] * words[GRID.column_blocks]),
        (4 * plane + 4 * lanes) * 8,
        lanes,
        target,
    )


def _scored(
    problem: Problem, x: NDArray[Any], found: NDArray[Any], numbers: Numbers, threads: int
) -> tuple[NDArray[np.float64], float]:
    """Return the scores, and the least sum of squares of a window that is not flat."""
    plan = _score_plan(
        problem,
        Memory(x.strides, x.dtype),
        dtype_name(found.dtype),
        current_target(),
        centred=numbers.centred,
    )
    table = np.empty(4 + plan.tasks * plan.lanes)
    table[:4] = numbers.level, numbers.share, numbers.own, numbers.flat
    outside = np.full(32, numbers.fill)
    y = np.empty(problem.output_shape)
    words = plan.words.copy()
    words[GRID.fill] = address_of(outside)
    words[GRID.source], words[GRID.weights] = address_of(x), address_of(found)
    words[GRID.output], words[SCORE.numbers] = address_of(y), address_of(table)
    run_tasks(
        plan.kernel, words, plan.tasks, scratch=plan.scratch, threads=threads, target=plan.target
    )
    return y, float(table[4:].min())
