"""Overlap-save in blocks by the pixel-lane transforms: real arrays, one kernel, unit strides."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.codegen.target import current_target
from convoi.kernels.base import kernel_address
from convoi.kernels.pixel_fft import PixelTransform
from convoi.kernels.pixel_passes import RADICES
from convoi.kernels.pixel_tables import GRID, PASS, TRANSFORM
from convoi.runtime.buffers import aligned_zeros
from convoi.signal.direct_plan import Memory, dtype_name, plan_items, plan_line
from convoi.signal.grids import Blocks, Layout, Line, grid_record
from convoi.signal.roles import Roles
from convoi.signal.running import native_kernel, run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.signal.problem import Problem, Terms

LONGEST = 2048
"""Rows or columns of a block at most: a strip of them should stay in the cache."""
LARGEST = 2**21
"""Positions of a block at most."""
SPECTRUM_SHARE = 0.1
"""Of a pair of blocks: the kernel's spectrum takes half a pair, if it is not the last one again."""
CACHED = 2**16
"""Positions of a block beyond which it does not stay in the second-level cache."""


@dataclass(frozen=True)
class BlockShape:
    """The matrix of a block's transform, and how many outputs come of it."""

    height: int
    width: int
    rows: int
    columns: int
    """Outputs; of a signal, rows is 1."""
    signal: bool

    @property
    def positions(self) -> int:
        """Elements of the matrix."""
        return self.height * self.width


def can_transform(problem: Problem, result: np.dtype[Any]) -> bool:
    """Tell whether the kernels of this file can compute a problem."""
    return (
        result.name in {"float32", "float64"}
        and math.prod(problem.kernel_shape) == problem.taps
        and len(problem.axes) <= 2
        and all(axis.stride == 1 for axis in problem.axes)
        and math.prod(problem.output_shape) > 0
        and block_shape(problem, current_target().lanes(result.name)) is not None
    )


@functools.cache
def lengths(lanes: int) -> tuple[int, ...]:
    """Return the lengths of a matrix's sides: products of 2, 4 and 3, multiples of the lanes."""
    found = [lanes << i for i in range(12)] + [3 * lanes << i for i in range(11)]
    return tuple(sorted(n for n in found if n <= LONGEST))


def block_count(problem: Problem, shape: BlockShape) -> int:
    """Return how many blocks the outputs are cut into; they are transformed two by two."""
    rows, columns = (1, *(axis.output for axis in problem.axes))[-2:]
    items = math.prod(problem.output_shape) // (rows * columns)
    return items * -(-columns // shape.columns) * -(-rows // shape.rows)


def expected_work(problem: Problem, shape: BlockShape) -> float:
    """Return what all blocks and the kernel's spectrum cost, in no unit."""
    pairs = -(-block_count(problem, shape) // 2)
    return (pairs + SPECTRUM_SHARE) * relative_work(shape)


def relative_work(shape: BlockShape) -> float:
    """Return what transforming a pair of blocks costs, in no unit."""
    beyond = 1 + 0.25 * max(0.0, math.log2(shape.positions / CACHED))
    turned = 2 if shape.signal else 0
    return shape.positions * (math.log2(shape.positions) + 5 + turned) * beyond + 3000


@functools.lru_cache(maxsize=512)
def block_shape(problem: Problem, lanes: int) -> BlockShape | None:
    """Return the blocks that cost least, or None if the kernel is too long for any."""
    sides = lengths(lanes)
    best, least = None, math.inf
    for height in sides:
        for width in sides:
            shape = _block_of(problem, height, width)
            if shape is None:
                continue
            work = expected_work(problem, shape)
            if work < least:
                best, least = shape, work
    return best


def _block_of(problem: Problem, height: int, width: int) -> BlockShape | None:
    positions = height * width
    if len(problem.axes) == 1:
        axis = problem.axes[0]
        columns = positions - axis.reach + 1
        if columns < 1 or not height <= width <= 2 * height or positions > LARGEST:
            return None
        return BlockShape(height, width, 1, min(columns, axis.output), signal=True)
    row, column = problem.axes
    rows, columns = height - row.reach + 1, width - column.reach + 1
    if rows < 1 or columns < 1 or positions > LARGEST // 8:
        return None
    return BlockShape(
        height, width, min(rows, row.output), min(columns, column.output), signal=False
    )


@functools.lru_cache(maxsize=64)
def _passes(length: int, element: str) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Return the records of a length's passes, and the tables that they lead to."""
    radices = _radices(length)
    records = np.zeros(1 + PASS.words * len(radices), np.int64)
    records[0] = len(radices)
    tables, parts = [], 1
    for number, radix in enumerate(radices):
        part = length // (parts * radix)
        angles = -2 * math.pi / (part * radix) * np.outer(np.arange(part), np.arange(1, radix))
        table = np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(element).ravel()
        tables.append(table)
        record = records[1 + PASS.words * number :]
        record[PASS.radix], record[PASS.part], record[PASS.parts] = radix, part, parts
        record[PASS.turns] = table.ctypes.data
        parts *= radix
    return records, tuple(tables)


def _radices(length: int) -> list[int]:
    found = []
    for radix in RADICES:
        while length % radix == 0:
            found.append(radix)
            length //= radix
    return found


def _frequencies(length: int) -> NDArray[np.int64]:
    """Return the frequencies in the order in which the passes leave them."""

    def order(radices: list[int]) -> NDArray[np.int64]:
        if not radices:
            return np.zeros(1, np.int64)
        inner = order(radices[1:])
        return np.concatenate([q + radices[0] * inner for q in range(radices[0])])

    return order(_radices(length))


@functools.lru_cache(maxsize=8)
def _turns(height: int, width: int, lanes: int, element: str) -> NDArray[Any]:
    """Return what turns a signal's elements: [group of rows][column][re, im][row]."""
    frequencies = _frequencies(height).reshape(-1, 1, lanes)
    angles = frequencies * (np.arange(width) * (-2 * math.pi / (height * width)))[:, None]
    table = np.empty((height // lanes, width, 2, lanes), element)
    table[:, :, 0], table[:, :, 1] = np.cos(angles), np.sin(angles)
    return table


class LaneTransform:
    """A correlation by transforms, of inputs and kernels of known shapes."""

    def __init__(
        self, problem: Problem, x: Memory, result: np.dtype[Any], fill: float, target: Target
    ) -> None:
        self._problem, self._element, self._target = problem, result, target
        lanes = target.lanes(result.name)
        shape = block_shape(problem, lanes)
        if shape is None:
            message = "The kernel is too long for a block."
            raise ValueError(message)
        self.shape = shape
        *others, column = problem.sliding
        row = others[0] if others else None
        batch = tuple(a for a in range(len(problem.x_shape)) if a not in problem.sliding)
        roles = Roles(batch, (), row, column, ())
        self._items = plan_items(problem, x, roles)
        layout = Layout(
            (),
            plan_line(problem, x, row),
            plan_line(problem, x, column),
            1,
            len(self._items),
            problem.boundary,
        )
        self._outside = np.full(32, fill, result)
        self._kernel = self._native(dtype_name(x.dtype), lanes, spectrum=False)
        self._words, self._tables = self._record(layout, shape.rows, shape.columns, lanes)
        self._words[GRID.items] = self._items.ctypes.data
        self._blocks = int(self._words[TRANSFORM.blocks])
        self._lanes = lanes
        self._spectrum: tuple[NDArray[Any], NDArray[Any]] | None = None
        order = roles.order()
        self._shape = tuple(problem.output_shape[axis] for axis in order)
        self._natural = tuple(int(i) for i in np.argsort(order))
        self._in_order = self._natural == tuple(range(len(order)))
        corners: list[slice] = [slice(None)] * len(order)
        for axis, step in zip(problem.sliding[::-1], (shape.columns, shape.rows), strict=False):
            corners[axis] = slice(None, None, step)
        self._corners = tuple(corners)

    def _native(self, source: str, lanes: int, *, spectrum: bool) -> Any:  # noqa: ANN401 - ctypes
        kernel = PixelTransform(
            source, self._element.name, lanes, self.shape.signal, spectrum=spectrum
        )
        return native_kernel(kernel_address(kernel, self._target))

    def _record(
        self, layout: Layout, rows: int, columns: int, lanes: int
    ) -> tuple[NDArray[np.int64], list[Any]]:
        """Return the record of a grid of blocks, and the tables that it leads to."""
        shape, element = self.shape, self._element
        pitch = shape.width if shape.signal else shape.width + lanes
        words, tables = grid_record(layout, Blocks(pitch, rows, columns, 0), ())
        kept: list[Any] = list(tables)
        words[GRID.fill] = self._outside.ctypes.data
        words[TRANSFORM.height], words[TRANSFORM.width] = shape.height, shape.width
        blocks = layout.items * int(words[GRID.row_blocks]) * int(words[GRID.column_blocks])
        words[TRANSFORM.blocks] = blocks
        fills = (
            columns + layout.column.span == shape.positions
            if shape.signal
            else (rows + layout.row.span, columns + layout.column.span)
            == (shape.height, shape.width)
        )
        words[TRANSFORM.whole_rows] = rows if fills else -1
        words[TRANSFORM.whole_columns] = columns if fills else -1
        work_pitch = shape.width + lanes
        plane = shape.height * work_pitch + 2 * lanes
        words[TRANSFORM.work_re], words[TRANSFORM.work_im] = 0, plane
        words[TRANSFORM.work_pitch], words[TRANSFORM.input_pitch] = work_pitch, pitch
        first = 2 * plane if shape.signal else 0
        words[TRANSFORM.input_re], words[TRANSFORM.input_im] = first, first + plane
        end = first + 2 * plane
        line = shape.width * lanes
        words[TRANSFORM.lines_re], words[TRANSFORM.lines_im] = end, end + line + lanes
        self._scratch = (end + 2 * (line + lanes)) * element.itemsize
        for at, length in (
            (TRANSFORM.column_passes, shape.height),
            (TRANSFORM.row_passes, shape.width),
        ):
            records, more = _passes(length, element.name)
            words[at] = records.ctypes.data
            kept += [records, more]
        if shape.signal:
            turns = _turns(shape.height, shape.width, lanes, element.name)
            words[TRANSFORM.turns] = turns.ctypes.data
            kept.append(turns)
        scale = np.full(1, 1 / shape.positions, element)
        words[TRANSFORM.scale] = scale.ctypes.data
        kept.append(scale)
        return words, kept

    def run(
        self,
        x: NDArray[Any],
        kernel: NDArray[Any],
        threads: int,
        out: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], bool]:
        """Return the correlation, and whether it is finite.

        A NaN or an infinity in the input spoils all outputs of its block and of one more.
        """
        spectrum = self._kernel_spectrum(kernel)
        usable = out is not None and self._in_order and out.flags.c_contiguous
        y = out if usable and out is not None else np.empty(self._shape, self._element)
        words = self._words.copy()
        words[GRID.source] = x.ctypes.data
        words[GRID.output] = y.ctypes.data
        words[TRANSFORM.spectrum] = spectrum.ctypes.data
        run_tasks(
            self._kernel,
            words,
            -(-self._blocks // 2),
            scratch=self._scratch,
            threads=threads,
            target=self._target,
        )
        y = y if self._in_order else y.transpose(self._natural)
        return y, bool(np.isfinite(y[self._corners]).all())

    def _kernel_spectrum(self, kernel: NDArray[Any]) -> NDArray[Any]:
        """Return the kernel's spectrum; that of the last kernel is kept."""
        kept = self._spectrum
        if kept is not None and np.array_equal(kept[0], kernel):
            return kept[1]
        problem, element = self._problem, self._element
        taps = kernel.reshape([axis.taps for axis in problem.axes])
        if problem.flip:
            taps = np.flip(taps)
        spread = np.zeros([axis.reach for axis in problem.axes], element)
        spread[tuple(slice(None, None, axis.dilation) for axis in problem.axes)] = taps
        *rows, columns = spread.shape
        height = rows[0] if rows else 1
        layout = Layout(
            (), Line(height, columns, height), Line(columns, 1, columns), 1, 1, "constant"
        )
        words, tables = self._record(layout, height, columns, self._lanes)
        words[TRANSFORM.whole_rows] = -1
        items, outside = np.zeros(2, np.int64), np.zeros(32, element)
        spectrum = aligned_zeros(2 * self.shape.positions, element.name)
        words[GRID.items], words[GRID.fill] = items.ctypes.data, outside.ctypes.data
        words[GRID.source] = spread.ctypes.data
        words[TRANSFORM.spectrum] = spectrum.ctypes.data
        native = self._native(element.name, self._lanes, spectrum=True)
        run_tasks(native, words, 1, scratch=self._scratch, threads=1, target=self._target)
        del tables
        self._spectrum = (kernel.copy(), spectrum)
        return spectrum


@functools.lru_cache(maxsize=16)
def lane_transform(
    problem: Problem, x: Memory, result: np.dtype[Any], fill: float, target: Target
) -> LaneTransform:
    """Return the plan of a correlation; the last ones are remembered, with their tables."""
    return LaneTransform(problem, x, result, fill, target)


def correlate_blocks(
    problem: Problem,
    x: NDArray[Any],
    kernel: NDArray[Any],
    terms: Terms,
    out: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return the correlation, block by block, and whether it is finite."""
    plan = lane_transform(
        problem, Memory(x.strides, x.dtype), terms.result, terms.fill.real, current_target()
    )
    return plan.run(x, kernel, terms.threads, out)
