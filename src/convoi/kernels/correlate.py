"""Convolution forward, and backward to its input: one direct kernel for both.

    y[k, o] = f( bias[k] + sum over c, r of w[k, c, r] * x[c, position(o, r)] )

Lanes are output channels ``k``. A tile of register accumulators covers some vectors of channels
times some positions; weights are loaded as vectors, activations are broadcast:

    acc[v][j] += w[v] * x[j]

Layouts: ``x``, ``y`` as :class:`~convoi.kernels.layout.Layout`, ``w`` as
:class:`~convoi.kernels.weights.WeightLayout`. The halo of ``x`` stands for the padding, so there
is no check at the borders. Forward and backward differ only in the runs of their axes
(:mod:`convoi.kernels.grid`); a dense layer is the case without axes, its positions are samples.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.epilogue_pool import NO_POOL, EpiloguePool
from convoi.kernels.epilogue_sums import NO_SUMS, EpilogueSums
from convoi.kernels.expression import IDENTITY, Expression
from convoi.kernels.register_tile import Block, Place, Rows, TileEmitter
from convoi.kernels.sharing import Units, WeighedUnits, within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function, LoopBody
    from convoi.codegen.types import Index, Value
    from convoi.kernels.grid import Axis, Run
    from convoi.kernels.layout import Layout
    from convoi.kernels.register_tile import Origin
    from convoi.kernels.sharing import Bounds
    from convoi.kernels.weights import WeightLayout

KEPT_WEIGHTS = 128 * 1024
"""Bytes of weights that may be walked through once per row of positions; more are walked through
once per call (measured: 64 channels of 3x3 are 147 KiB and gain 6% from the second order)."""


@dataclass(frozen=True)
class Tile:
    """A register tile: how many samples, rows and columns its positions span."""

    samples: int = 1
    rows: int = 1
    columns: int = 1

    @property
    def positions(self) -> int:
        """Positions of the tile."""
        return self.samples * self.rows * self.columns


@dataclass(frozen=True)
class Correlate(Kernel):
    """The direct kernel.

    Pointers: x, weights, [bias], epilogue tensors, the pool's extra output, y, those of the sums.
    """

    x: Layout
    y: Layout
    """The output, or what is pooled of it: then the tile consists of whole windows."""
    weights: WeightLayout
    axes: tuple[Axis, ...]
    kernel: tuple[int, ...]
    tile: Tile
    bias: bool = False
    epilogue: Expression = IDENTITY
    """Applied to each accumulator (input 0) and to the epilogue's tensors (inputs 1, 2, …)."""
    tensors: tuple[Layout, ...] = ()
    divided: bool = False
    """Whether threads may share the tiles along the first axis and the blocks of channels."""
    sums: EpilogueSums = NO_SUMS
    """Made over what is stored; only kernels that are not divided make any."""
    pool: EpiloguePool = NO_POOL
    """What is stored instead of the positions; only kernels that make no sums have one."""
    ahead: int = 0
    """Elements of x from these positions to others that will be read soon: they are asked for while
    these are worked on; 0: they are not."""
    values_once: bool = False
    """Whether a value of x is loaded once for all taps of a row, whose weights are in registers, or
    else once for each tap."""

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        extra = len(self.tensors) + len(self.pool.extra) + len(self.sums.arguments)
        return 3 + self.bias + extra

    @property
    def blocks_outermost(self) -> bool:
        """Whether each block of weights is done with before the next, or else each row."""
        return self.weights.size * self.y.element.size > KEPT_WEIGHTS

    @property
    def tiles(self) -> int:
        """Tiles along the first axis."""
        if not self.axes:
            return 1
        (run,) = self.axes[0]
        return -(-run.count // self.tile_extent(0, run.count))

    def tile_extent(self, axis: int, count: int) -> int:
        """Return the positions of a tile along an axis of so many."""
        rank = len(self.axes)
        if axis == rank - 1:
            return min(self.tile.columns, count)
        return self.tile.rows if axis == rank - 2 else 1

    @property
    def rows_outermost(self) -> bool:
        """Whether each row is done with before the next."""
        return not self.blocks_outermost and len(self.axes) > 1

    @property
    def units(self) -> int:
        """Tiles along the first axis times blocks, or vectors, of channels."""
        if not self.divided:
            return 1
        return self.tiles * (len(self.weights.blocks) if self.rows_outermost else self.y.blocks)

    @property
    def work(self) -> int:
        """Multiply-adds of a sample."""
        return self.weights.size * self.y.positions * self.pool.taps

    @property
    def samples_at_once(self) -> int:
        """Those of a tile."""
        return self.tile.samples

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples, blocks of channels and positions."""
        _Loops(self, f, pointers, call).emit()

    def emit_part(
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        origins: tuple[Origin, ...],
    ) -> None:
        """Emit the same for a part of a grid: pointers lead to it, origins say where it is."""
        _Loops(self, f, pointers, call, origins).emit()


class _Loops:
    """The loops of one :class:`Correlate`, from the outermost to the tile."""

    def __init__(
        self,
        kernel: Correlate,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        origins: tuple[Origin, ...] = (),
    ) -> None:
        self.k = kernel
        self.call = call
        self.f = f
        (x, self.w, *rest), sums = kernel.sums.split(pointers)
        bias = rest.pop(0) if kernel.bias else None
        tensors, stored = rest[: len(kernel.tensors)], rest[len(kernel.tensors) :]
        add_stored = kernel.sums.begin(f, kernel.y, sums, call)
        self.tile = TileEmitter(kernel, f, x, bias, tensors, stored, add_stored, origins)
        # (vectors of the block, first block, number of such blocks)
        self.block_groups: list[tuple[int, int, int]] = []
        position = 0
        for size, group in itertools.groupby(kernel.weights.blocks):
            count = len(list(group))
            self.block_groups.append((size, position, count))
            position += count

    # Loops over samples, blocks and positions ----------------------------------------------

    def emit(self) -> None:
        f, k, call, tile = self.f, self.k, self.call, self.k.tile
        blocks = len(k.weights.blocks)
        units = Units.of(f, call, k.tiles if k.divided else 1, blocks, divided=k.divided)
        weighed = WeighedUnits(
            f, blocks, k.weights.blocks[0], units.outer_count, (call.begin, call.end)
        )
        some_blocks = weighed.outer if k.divided and not k.rows_outermost else (0, blocks)

        def some(block: Block) -> Bounds | None:
            return weighed.inner(block.number, block.vectors) if k.divided else None

        # What is left of a small batch is taken in tiles of half the size, and so on.
        sizes = [tile.samples >> k for k in range(tile.samples.bit_length())]
        ends = [f.sub(call.count, f.integer("srem", call.count, n)) for n in sizes[:-1]]
        ends.append(call.count)

        def samples(body: Callable[[Index, int], None]) -> None:
            start: Index = 0
            for size, end in zip(sizes, ends, strict=True):

                def one(s: Index, _: object, size: int = size) -> None:
                    body(s, size)

                f.loop(end, one, start=start, step=size)
                start = end

        if k.blocks_outermost:

            def each(block: Block) -> None:
                tiles = some(block)
                samples(
                    lambda s, n: self._rows(s, n, tiles, lambda rows: self._columns(rows, block))
                )

            self._each_block(some_blocks, each)
        elif k.rows_outermost:

            def row(rows: Rows) -> None:
                tile = self._tile_number(rows) if k.divided else 0
                self._each_block(units.inner(tile), lambda block: self._columns(rows, block))

            tiles = units.outer if k.divided else None
            samples(lambda s, n: self._rows(s, n, tiles, row))
        else:

            def columns(rows: Rows) -> None:
                self._each_block(
                    some_blocks,
                    lambda block: self._columns(replace(rows, tiles=some(block)), block),
                )

            samples(lambda s, n: self._rows(s, n, None, columns))

    def _tile_number(self, rows: Rows) -> Index:
        """Return which of the tiles along the first axis it is."""
        position = rows.place.steps[0]
        return self.f.quotient(position, self.k.tile_extent(0, rows.runs[0].count))

    def _each_block(self, bounds: Bounds, body: Callable[[Block], None]) -> None:
        """Run the body for some blocks of output channels: groups of equal blocks in a loop."""
        for size, first, count in self.block_groups:
            self._equal_blocks(size, first, within(self.f, bounds, first, count), body)

    def _equal_blocks(
        self, size: int, first: int, bounds: Bounds, body: Callable[[Block], None]
    ) -> None:
        """Run the body for blocks of the same size, which follow one another."""
        f, weights = self.f, self.k.weights
        width = size * weights.lanes
        channel = sum(weights.blocks[:first]) * weights.lanes
        starts = weights.starts[first:]
        step = width * weights.taps * weights.reduction

        def one(i: Index, _: object) -> None:
            offset = f.add(weights.block_offset(first), f.mul(i, step))
            body(
                Block(
                    size,
                    f.at(self.w, offset, self.k.y.element),
                    f.add(channel, f.mul(i, width)),
                    f.entry(starts, i),
                    f.add(first, i),
                )
            )

        f.loop(bounds[1], one, start=bounds[0])

    def _rows(
        self, sample: Index, samples: int, tiles: Bounds | None, body: Callable[[Rows], None]
    ) -> None:
        """Run the body for every combination of runs, and every row (tile of rows) of it.

        Of the tiles along the first axis, some may be asked for.
        """
        f, x = self.f, self.k.x

        def starts(layouts: Sequence[Layout]) -> tuple[Index, ...]:
            return tuple(f.add(each.origin, f.mul(sample, each.size)) for each in layouts)

        for runs in itertools.product(*self.k.axes):
            start = Place(
                f.add(x.origin, f.mul(sample, x.size)),
                starts((*self.k.pool.extra, self.k.y)),
                starts(self.k.tensors),
            )
            self._row_axes(runs, 0, Rows(runs, samples, 1, start, tiles), body)

    def _row_axes(
        self, runs: tuple[Run, ...], axis: int, rows: Rows, body: Callable[[Rows], None]
    ) -> None:
        if axis >= len(runs) - 1:
            body(rows)
            return

        def one(height: int) -> LoopBody:
            def loop_body(i: Index, _: object) -> None:
                place = self._advance(rows.place, runs, axis, i)
                inner = Rows(runs, rows.samples, height, place, rows.tiles)
                self._row_axes(runs, axis + 1, inner, body)

            return loop_body

        self._axis(rows, axis, one)

    def _axis(self, rows: Rows, axis: int, one: Callable[[int], LoopBody]) -> None:
        """Emit the tiles along an axis: all of them, or those of the first axis that are asked for.

        The tile at the end may have fewer positions; ``one`` returns the body for so many.
        """
        f, count = self.f, rows.runs[axis].count
        size = self.k.tile_extent(axis, count)
        whole = count // size * size
        if axis or rows.tiles is None:
            f.loop(whole, one(size), step=size)
            if count > whole:
                one(count - whole)(whole, [])
            return
        first, last = rows.tiles
        stop = f.minimum(f.mul(last, size), whole)
        f.loop(stop, one(size), start=f.mul(first, size), step=size)
        if count > whole:
            rest = whole // size
            reached = f.compare("sgt", f.value(last), rest)
            begun = f.compare("sle", f.value(first), rest)
            with f.when(f.integer("and", reached, begun)):
                one(count - whole)(whole, [])

    def _advance(self, place: Place, runs: tuple[Run, ...], axis: int, i: Index) -> Place:
        """Return the place of the i-th position of a run along an axis, the first of a window."""
        f, run, pool = self.f, runs[axis], self.k.pool

        def moved(
            places: tuple[Index, ...], layouts: Sequence[Layout], steps: Index
        ) -> tuple[Index, ...]:
            out = f.add(run.first, f.mul(steps, run.step))
            pairs = zip(places, layouts, strict=True)
            return tuple(f.add(p, f.mul(out, each.axis_strides[axis])) for p, each in pairs)

        return Place(
            f.add(place.x, f.mul(i, run.input_step * self.k.x.axis_strides[axis])),
            moved(place.stored, (*pool.extra, self.k.y), f.quotient(i, pool.side(axis))),
            moved(place.tensors, self.k.tensors, i),
            (*place.steps, i),
        )

    def _columns(self, rows: Rows, block: Block) -> None:
        """Run the tile over the columns of a row."""
        runs = rows.runs
        if not runs:
            self.tile.emit(rows, rows.place, 1, block)
            return
        axis = len(runs) - 1

        def one(columns: int) -> LoopBody:
            def loop_body(i: Index, _: object) -> None:
                self.tile.emit(rows, self._advance(rows.place, runs, axis, i), columns, block)

            return loop_body

        self._axis(rows, axis, one)
