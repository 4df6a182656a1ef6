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

from convoi.codegen.types import Index, Scalar, Value, Vector, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.epilogue_sums import NO_SUMS, EpilogueSums
from convoi.kernels.expression import IDENTITY, Expression
from convoi.kernels.sharing import Bounds, Units, WeighedUnits, within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function, LoopBody
    from convoi.kernels.grid import Axis, Run
    from convoi.kernels.layout import Layout
    from convoi.kernels.weights import WeightLayout

UNROLLED_PRODUCTS = 160
"""Multiply-adds that the innermost loop may hold: beyond, taps are looped over, not unrolled."""
LINE_BYTES = 64
"""Bytes that are prefetched together."""
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
class Origin:
    """Where the first position of a grid lies along an axis of x."""

    at: Index
    most: int
    """The largest it can be; the smallest is 0."""


@dataclass(frozen=True)
class Correlate(Kernel):
    """The direct kernel. Pointers: x, weights, [bias], epilogue tensors, y, those of the sums."""

    x: Layout
    y: Layout
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
    ahead: int = 0
    """Elements of x from these positions to others that will be read soon: they are asked for while
    these are worked on; 0: they are not."""
    values_once: bool = False
    """Whether a value of x is loaded once for all taps of a row, whose weights are in registers, or
    else once for each tap."""

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 3 + self.bias + len(self.tensors) + len(self.sums.arguments)

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
        return self.weights.size * self.y.positions

    @property
    def samples_at_once(self) -> int:
        """Those of a tile."""
        return self.tile.samples

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples, blocks of channels and positions."""
        _Emitter(self, f, pointers, call).emit()

    def emit_part(
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        origins: tuple[Origin, ...],
    ) -> None:
        """Emit the same for a part of a grid: pointers lead to it, origins say where it is."""
        _Emitter(self, f, pointers, call, origins).emit()


class _Emitter:
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
        self.origins = origins or (Origin(0, 0),) * len(kernel.axes)
        self.single_columns = bool(origins)
        self.f = f
        own, sums = kernel.sums.split(pointers)
        self.x, self.w, *rest = own
        self.bias = rest.pop(0) if kernel.bias else None
        self.y = rest.pop()
        self.tensors = rest
        self.add_stored = kernel.sums.begin(f, kernel.y, sums, call)
        self.vector = kernel.y.vector
        self.element = kernel.y.element
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

        def some(block: _Block) -> Bounds | None:
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

            def each(block: _Block) -> None:
                tiles = some(block)
                samples(
                    lambda s, n: self._rows(s, n, tiles, lambda rows: self._columns(rows, block))
                )

            self._each_block(some_blocks, each)
        elif k.rows_outermost:

            def row(rows: _Rows) -> None:
                tile = self._tile_number(rows) if k.divided else 0
                self._each_block(units.inner(tile), lambda block: self._columns(rows, block))

            tiles = units.outer if k.divided else None
            samples(lambda s, n: self._rows(s, n, tiles, row))
        else:

            def columns(rows: _Rows) -> None:
                self._each_block(
                    some_blocks,
                    lambda block: self._columns(replace(rows, tiles=some(block)), block),
                )

            samples(lambda s, n: self._rows(s, n, None, columns))

    def _tile_number(self, rows: _Rows) -> Index:
        """Return which of the tiles along the first axis it is."""
        position = rows.place.steps[0]
        return _divide(self.f, position, self.k.tile_extent(0, rows.runs[0].count))

    def _each_block(self, bounds: Bounds, body: Callable[[_Block], None]) -> None:
        """Run the body for some blocks of output channels: groups of equal blocks in a loop."""
        for size, first, count in self.block_groups:
            self._equal_blocks(size, first, within(self.f, bounds, first, count), body)

    def _equal_blocks(
        self, size: int, first: int, bounds: Bounds, body: Callable[[_Block], None]
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
                _Block(
                    size,
                    f.at(self.w, offset, self.element),
                    f.add(channel, f.mul(i, width)),
                    f.entry(starts, i),
                    f.add(first, i),
                )
            )

        f.loop(bounds[1], one, start=bounds[0])

    def _rows(
        self, sample: Index, samples: int, tiles: Bounds | None, body: Callable[[_Rows], None]
    ) -> None:
        """Run the body for every combination of runs, and every row (tile of rows) of it.

        Of the tiles along the first axis, some may be asked for.
        """
        f, x, y = self.f, self.k.x, self.k.y
        for runs in itertools.product(*self.k.axes):
            start = _Place(
                f.add(x.origin, f.mul(sample, x.size)),
                f.add(y.origin, f.mul(sample, y.size)),
                tuple(f.add(t.origin, f.mul(sample, t.size)) for t in self.k.tensors),
            )
            self._row_axes(runs, 0, _Rows(runs, samples, 1, start, tiles), body)

    def _row_axes(
        self, runs: tuple[Run, ...], axis: int, rows: _Rows, body: Callable[[_Rows], None]
    ) -> None:
        if axis >= len(runs) - 1:
            body(rows)
            return

        def one(height: int) -> LoopBody:
            def loop_body(i: Index, _: object) -> None:
                place = self._advance(rows.place, runs, axis, i)
                inner = _Rows(runs, rows.samples, height, place, rows.tiles)
                self._row_axes(runs, axis + 1, inner, body)

            return loop_body

        self._axis(rows, axis, one)

    def _axis(self, rows: _Rows, axis: int, one: Callable[[int], LoopBody]) -> None:
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

    def _advance(self, place: _Place, runs: tuple[Run, ...], axis: int, i: Index) -> _Place:
        """Return the place of the i-th position of a run along an axis."""
        f, run = self.f, runs[axis]
        out = f.add(run.first, f.mul(i, run.step))
        return _Place(
            f.add(place.x, f.mul(i, run.input_step * self.k.x.axis_strides[axis])),
            f.add(place.y, f.mul(out, self.k.y.axis_strides[axis])),
            tuple(
                f.add(p, f.mul(out, t.axis_strides[axis]))
                for p, t in zip(place.tensors, self.k.tensors, strict=True)
            ),
            (*place.steps, i),
        )

    def _columns(self, rows: _Rows, block: _Block) -> None:
        """Run the tile over the columns of a row."""
        runs = rows.runs
        if not runs:
            self._tile(rows, rows.place, 1, block)
            return
        axis = len(runs) - 1

        def one(columns: int) -> LoopBody:
            def loop_body(i: Index, _: object) -> None:
                self._tile(rows, self._advance(rows.place, runs, axis, i), columns, block)

            return loop_body

        self._axis(rows, axis, one)

    # The tile -------------------------------------------------------------------------------

    def _tile(self, rows: _Rows, place: _Place, columns: int, block: _Block) -> None:
        """Emit one tile: accumulate over taps and channels, apply the epilogue, store."""
        f = self.f
        offsets = self._tile_offsets(rows, columns)
        self._prefetch(place, offsets, block)
        x = f.at(self.x, f.add(place.x, block.start), self.element)
        zero = constant(self.vector, 0.0)
        initial = [zero] * block.vectors
        if self.bias is not None:
            at = f.at(self.bias, block.channel, self.element)
            initial = [
                f.load(f.at(at, v * self.vector.lanes, self.element), self.vector, align=64)
                if self.vector.size == 64
                else f.load(f.at(at, v * self.vector.lanes, self.element), self.vector)
                for v in range(block.vectors)
            ]
        accumulators = [initial[v] for v in range(block.vectors) for _ in offsets]
        # Columns of a tile meet different taps; one column by itself is bounded like a row.
        bounded = place.steps if columns == 1 and self.single_columns else place.steps[:-1]
        bounds = [self._tap_bounds(rows, axis, step) for axis, step in enumerate(bounded)]
        accumulators = self._taps(rows.runs, bounds, x, block.weights, accumulators, offsets, block)
        self._finish(place, offsets, block, accumulators)

    def _prefetch(self, place: _Place, offsets: list[_Offsets], block: _Block) -> None:
        """Ask for what the epilogue reads and writes: often far away, and needed all at once."""
        f = self.f
        first = f.at(self.y, f.add(place.y, block.channel), self.element)
        for offset in offsets:
            for v in range(block.vectors):
                at = f.at(first, offset.y + v * self.vector.lanes, self.element)
                f.prefetch(at, write=True)
        for i, (pointer, start) in enumerate(zip(self.tensors, place.tensors, strict=True)):
            first = f.at(pointer, f.add(start, block.channel), self.element)
            for offset in offsets:
                for v in range(block.vectors):
                    f.prefetch(f.at(first, offset.tensors[i] + v * self.vector.lanes, self.element))

    def _tile_offsets(self, rows: _Rows, columns: int) -> list[_Offsets]:
        """Return the constant offsets of the tile's positions from its first one."""
        k, runs = self.k, rows.runs
        found = []
        for s, i, j in itertools.product(range(rows.samples), range(rows.height), range(columns)):
            x, y = s * k.x.size, s * k.y.size
            tensors = [s * t.size for t in k.tensors]
            for axis, n in ((len(runs) - 2, i), (len(runs) - 1, j)):
                if axis >= 0:
                    x += n * runs[axis].input_step * k.x.axis_strides[axis]
                    y += n * runs[axis].step * k.y.axis_strides[axis]
                    tensors = [
                        o + n * runs[axis].step * t.axis_strides[axis]
                        for o, t in zip(tensors, k.tensors, strict=True)
                    ]
            found.append(_Offsets(x, y, tuple(tensors)))
        return found

    def _tap_bounds(self, rows: _Rows, axis: int, step: Index) -> tuple[Index, Index]:
        """Return which taps of a leading axis can meet the input inside its halo.

        The others would only add zeros; at the borders of small grids they are many (of a 5x5
        kernel's gradient on 14x14 positions, two in seven).
        """
        f, run, origin = self.f, rows.runs[axis], self.origins[axis]
        taps, extent = run.taps, self.k.x.spatial[axis]
        height = rows.height if axis == len(rows.runs) - 2 else 1
        reach = run.input_step * (height - 1)
        last = origin.most + run.input_step * (run.count - 1)
        always = taps.lowest >= 0 and last + taps.highest < extent
        if always or not taps.count:
            return 0, taps.count
        # The tile's first row meets `first` with tap 0, its last row `first + reach`.
        first = f.add(f.add(f.mul(step, run.input_step), taps.offset), origin.at)
        size = abs(taps.offset_step)
        if taps.offset_step > 0:
            below, above = f.sub(-reach, first), f.sub(extent - 1, first)
        else:
            below, above = f.sub(first, extent - 1), f.add(first, reach)
        # Divisions round towards zero; the numerators are made positive first.
        shift = size * (taps.count + extent)
        low = f.sub(_divide(f, f.add(below, shift + size - 1), size), shift // size)
        high = f.add(f.sub(_divide(f, f.add(above, shift), size), shift // size), 1)
        return f.maximum(low, 0), f.minimum(high, taps.count)

    def _taps(  # noqa: PLR0917 - the state of the loops
        self,
        runs: tuple[Run, ...],
        bounds: list[tuple[Index, Index]],
        x: Value,
        w: Value,
        accumulators: list[Value],
        offsets: list[_Offsets],
        block: _Block,
        axis: int = 0,
    ) -> list[Value]:
        """Emit the loops over the taps of an axis and of those after it."""
        f, k = self.f, self.k
        width = block.vectors * k.weights.lanes * k.weights.reduction
        if axis >= len(runs):
            return self._channels(x, w, [(0, 0)], accumulators, offsets, block)
        taps = runs[axis].taps
        stride = k.x.axis_strides[axis]
        inner = width
        for extent in k.kernel[axis + 1 :]:
            inner *= extent
        if axis == len(runs) - 1 and (len(bounds) <= axis or bounds[axis] == (0, taps.count)):
            unrolled = taps.count * block.vectors * len(offsets) <= UNROLLED_PRODUCTS
            if unrolled and taps.count:
                listed = [
                    (
                        (taps.offset + t * taps.offset_step) * stride,
                        (taps.weight + t * taps.weight_step) * inner,
                    )
                    for t in range(taps.count)
                ]
                return self._channels(x, w, listed, accumulators, offsets, block)

        def one(t: Index, carried: list[Value]) -> list[Value]:
            x_tap = f.add(taps.offset * stride, f.mul(t, taps.offset_step * stride))
            w_tap = f.add(taps.weight * inner, f.mul(t, taps.weight_step * inner))
            return self._taps(
                runs,
                bounds,
                f.at(x, x_tap, self.element),
                f.at(w, w_tap, self.element),
                carried,
                offsets,
                block,
                axis + 1,
            )

        first, last = bounds[axis] if axis < len(bounds) else (0, taps.count)
        return f.loop(last, one, accumulators, start=first)

    def _channels(  # noqa: PLR0917 - the state of the loops
        self,
        x: Value,
        w: Value,
        taps: list[tuple[int, int]],
        accumulators: list[Value],
        offsets: list[_Offsets],
        block: _Block,
    ) -> list[Value]:
        """Emit the loop over input channels around the unrolled taps."""
        f, weights = self.f, self.k.weights
        products = self._by_values if self.k.values_once else self._by_taps

        def one(c: Index, carried: list[Value]) -> list[Value]:
            carried = list(carried)
            x_channel = x if weights.per_lane else f.at(x, c, self.element)
            w_channel = f.at(w, f.mul(c, block.vectors * self.vector.lanes), self.element)
            self._prefetch_ahead(x, c, offsets)
            products(x_channel, w_channel, taps, carried, offsets, block, c)
            return carried

        if weights.per_lane:
            # Which lane takes which value is known for each channel of a group: no loop.
            for c in range(weights.reduction):
                accumulators = one(c, accumulators)
            return accumulators
        return f.loop(weights.reduction, one, accumulators)

    def _value(self, x: Value, at: int, channel: Index) -> Value:
        """Return what a channel's weights are multiplied by, in every lane."""
        f, weights = self.f, self.k.weights
        place = f.at(x, at, self.element)
        if not weights.per_lane or not isinstance(channel, int):
            return f.broadcast(place, self.vector)
        return values_per_lane(f, place, weights, self.element, channel)

    def _by_taps(  # noqa: PLR0917 - the operands of the products
        self,
        x: Value,
        w: Value,
        taps: list[tuple[int, int]],
        accumulators: list[Value],
        offsets: list[_Offsets],
        block: _Block,
        channel: Index,
    ) -> None:
        """Add the products of a channel, tap by tap."""
        f = self.f
        for i, (x_tap, w_tap) in enumerate(taps):
            here = f.opaque(x) if i or channel != 0 else x
            vectors = self._tap_weights(w, w_tap, block)
            for j, offset in enumerate(offsets):
                value = self._value(here, x_tap + offset.x, channel)
                for v in range(block.vectors):
                    n = v * len(offsets) + j
                    accumulators[n] = f.fma(value, vectors[v], accumulators[n])

    def _by_values(  # noqa: PLR0917 - the operands of the products
        self,
        x: Value,
        w: Value,
        taps: list[tuple[int, int]],
        accumulators: list[Value],
        offsets: list[_Offsets],
        block: _Block,
        channel: Index,
    ) -> None:
        """Add the products of a channel, value of x by value of x."""
        f = self.f
        weights = [self._tap_weights(w, w_tap, block) for _, w_tap in taps]
        meeting: dict[int, list[tuple[int, int]]] = {}
        for (i, (x_tap, _)), (j, offset) in itertools.product(enumerate(taps), enumerate(offsets)):
            meeting.setdefault(x_tap + offset.x, []).append((i, j))
        for at in sorted(meeting):
            value = self._value(x, at, channel)
            for (i, j), v in itertools.product(meeting[at], range(block.vectors)):
                n = v * len(offsets) + j
                accumulators[n] = f.fma(value, weights[i][v], accumulators[n])

    def _tap_weights(self, w: Value, tap: int, block: _Block) -> list[Value]:
        """Load the weights of a tap."""
        f, lanes = self.f, self.vector.lanes
        return [
            f.load(f.at(w, tap + v * lanes, self.element), self.vector)
            for v in range(block.vectors)
        ]

    def _prefetch_ahead(self, x: Value, channel: Index, offsets: list[_Offsets]) -> None:
        """Ask for a channel's share of the memory that the tile's positions have further on."""
        k = self.k
        line = LINE_BYTES // self.element.size
        span = max(offset.x for offset in offsets) + k.x.stride
        share = -(-span // k.weights.reduction)
        first = self.f.at(x, self.f.add(k.ahead, self.f.mul(channel, share)), self.element)
        for at in range(0, share if k.ahead else 0, line):
            self.f.prefetch(self.f.at(first, at, self.element))

    def _finish(
        self, place: _Place, offsets: list[_Offsets], block: _Block, accumulators: list[Value]
    ) -> None:
        """Apply the epilogue to the accumulators and store them."""
        f, lanes = self.f, self.vector.lanes
        y = f.at(self.y, f.add(place.y, block.channel), self.element)
        tensors = [
            f.at(pointer, f.add(p, block.channel), self.element)
            for pointer, p in zip(self.tensors, place.tensors, strict=True)
        ]
        for v in range(block.vectors):
            stored = []
            for j, offset in enumerate(offsets):
                extra = [
                    f.load(f.at(t, o + v * lanes, self.element), self.vector)
                    for t, o in zip(tensors, offset.tensors, strict=True)
                ]
                value = accumulators[v * len(offsets) + j]
                value = self.k.epilogue.emit(f, [value, *extra])
                f.store(value, f.at(y, offset.y + v * lanes, self.element))
                stored.append(value)
            self.add_stored(f.add(block.channel, v * lanes), stored)


def values_per_lane(
    f: Function, pointer: Value, weights: WeightLayout, element: Scalar, channel: int
) -> Value:
    """Load into each lane the value of a channel of its own group; the groups of a vector lie here.

    One load and one shuffle, for as many products as lanes.
    """
    outputs, inputs = weights.group_sizes
    values = f.load(pointer, Vector(element, weights.span))
    lanes = [lane // outputs * inputs + channel for lane in range(weights.lanes)]
    return f.shuffle(values, values, lanes)


def _divide(f: Function, number: Index, divisor: int) -> Index:
    """Return a quotient of numbers that are not negative."""
    if isinstance(number, int):
        return number // divisor
    return number if divisor == 1 else f.integer("sdiv", number, divisor)


@dataclass(frozen=True)
class _Block:
    """A block of output channels as the loops see it."""

    vectors: int
    weights: Value
    channel: Index
    start: Index
    """First input channel."""
    number: Index


@dataclass(frozen=True)
class _Place:
    """Elements from the pointers to a position."""

    x: Index
    y: Index
    tensors: tuple[Index, ...]
    steps: tuple[Index, ...] = ()
    """How many positions of its run lie before it, for each axis so far."""


@dataclass(frozen=True)
class _Rows:
    """The rows that a tile covers: of how many samples, and where they begin."""

    runs: tuple[Run, ...]
    samples: int
    height: int
    place: _Place
    tiles: Bounds | None
    """Tiles along the first axis that are asked for; None: all."""


@dataclass(frozen=True)
class _Offsets:
    """Constant distances of one position of a tile from its first."""

    x: int
    y: int
    tensors: tuple[int, ...]
