"""One register tile of a direct convolution: products over taps and channels, epilogue, store."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from convoi.codegen.types import Index, Scalar, Value, Vector, constant
from convoi.kernels.lanes import values_per_lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.kernels.epilogue_pool import EpiloguePool
    from convoi.kernels.epilogue_sums import AddStored
    from convoi.kernels.expression import Expression
    from convoi.kernels.grid import Run
    from convoi.kernels.layout import Layout
    from convoi.kernels.sharing import Bounds
    from convoi.kernels.weights import WeightLayout

UNROLLED_PRODUCTS = 160
"""Multiply-adds that the innermost loop may hold: beyond, taps are looped over, not unrolled."""
LINE_BYTES = 64
"""Bytes that are prefetched together."""


class Correlation(Protocol):
    """What a tile has to know of the kernel: see :class:`~convoi.kernels.correlate.Correlate`."""

    @property
    def x(self) -> Layout:
        """The input."""

    @property
    def y(self) -> Layout:
        """The output."""

    @property
    def tensors(self) -> tuple[Layout, ...]:
        """What else the epilogue reads."""

    @property
    def weights(self) -> WeightLayout:
        """How the weights lie."""

    @property
    def kernel(self) -> tuple[int, ...]:
        """Its extents."""

    @property
    def epilogue(self) -> Expression:
        """What is stored of each sum."""

    @property
    def pool(self) -> EpiloguePool:
        """How positions become one that is stored."""

    @property
    def ahead(self) -> int:
        """Elements of x from a tile to what is asked for meanwhile; 0: nothing is."""

    @property
    def values_once(self) -> bool:
        """Whether all taps of a row share a load of x."""


@dataclass(frozen=True)
class Origin:
    """Where the first position of a grid lies along an axis of x."""

    at: Index
    most: int
    """The largest it can be; the smallest is 0."""


@dataclass(frozen=True)
class Block:
    """A block of output channels as the loops see it."""

    vectors: int
    weights: Value
    channel: Index
    start: Index
    """First input channel."""
    number: Index


@dataclass(frozen=True)
class Place:
    """Elements from the pointers to a position."""

    x: Index
    stored: tuple[Index, ...]
    """To that of its window, in all that is stored."""
    tensors: tuple[Index, ...]
    steps: tuple[Index, ...] = ()
    """How many positions of its run lie before it, for each axis so far."""


@dataclass(frozen=True)
class Rows:
    """The rows that a tile covers: of how many samples, and where they begin."""

    runs: tuple[Run, ...]
    samples: int
    height: int
    place: Place
    tiles: Bounds | None
    """Tiles along the first axis that are asked for; None: all."""


@dataclass(frozen=True)
class Offsets:
    """Constant distances of one position of a tile from its first."""

    x: int
    stored: tuple[int, ...]
    tensors: tuple[int, ...]


@dataclass(frozen=True)
class TileEmitter:
    """Emits the tiles of a direct kernel."""

    kernel: Correlation
    f: Function
    x: Value
    bias: Value | None
    tensors: Sequence[Value]
    stored: Sequence[Value]
    """What is written: y is the last."""
    add_stored: AddStored
    origins: tuple[Origin, ...] = ()
    """Where a part of a grid begins, whose columns are bounded one by one; empty: a whole grid."""

    @property
    def vector(self) -> Vector:
        """The type of a vector of output channels."""
        return self.kernel.y.vector

    @property
    def element(self) -> Scalar:
        """The type of its elements."""
        return self.kernel.y.element

    def emit(self, rows: Rows, place: Place, columns: int, block: Block) -> None:
        """Emit one tile: accumulate over taps and channels, apply the epilogue, store."""
        f = self.f
        offsets = self._tile_offsets(rows, columns)
        self._prefetch(place, offsets, block)
        x = f.at(self.x, f.add(place.x, block.start), self.element)
        zero = constant(self.vector, 0.0)
        initial = [zero] * block.vectors
        if self.bias is not None:
            at = f.at(self.bias, block.channel, self.element)
            align = 64 if self.vector.size == 64 else None
            initial = [
                f.load(f.at(at, v * self.vector.lanes, self.element), self.vector, align=align)
                for v in range(block.vectors)
            ]
        accumulators = [initial[v] for v in range(block.vectors) for _ in offsets]
        # Columns of a tile meet different taps; one column by itself is bounded like a row.
        bounded = place.steps if columns == 1 and self.origins else place.steps[:-1]
        bounds = [self._tap_bounds(rows, axis, step) for axis, step in enumerate(bounded)]
        accumulators = self._taps(rows.runs, bounds, x, block.weights, accumulators, offsets, block)
        self._finish(place, offsets, block, accumulators)

    def _prefetch(self, place: Place, offsets: list[Offsets], block: Block) -> None:
        """Ask for what the epilogue reads and writes: often far away, and needed all at once."""
        f = self.f
        first = f.at(self.stored[-1], f.add(place.stored[-1], block.channel), self.element)
        for distance in dict.fromkeys(offset.stored[-1] for offset in offsets):
            for v in range(block.vectors):
                at = f.at(first, distance + v * self.vector.lanes, self.element)
                f.prefetch(at, write=True)
        for i, (pointer, start) in enumerate(zip(self.tensors, place.tensors, strict=True)):
            first = f.at(pointer, f.add(start, block.channel), self.element)
            for offset in offsets:
                for v in range(block.vectors):
                    at = f.at(first, offset.tensors[i] + v * self.vector.lanes, self.element)
                    f.prefetch(at)

    def _tile_offsets(self, rows: Rows, columns: int) -> list[Offsets]:
        """Return the constant offsets of the tile's positions from its first one."""
        k, runs = self.kernel, rows.runs
        found = []
        for s, i, j in itertools.product(range(rows.samples), range(rows.height), range(columns)):
            x, tensors = s * k.x.size, [s * t.size for t in k.tensors]
            stored = [s * layout.size for layout in (*k.pool.extra, k.y)]
            for axis, n in ((len(runs) - 2, i), (len(runs) - 1, j)):
                if axis >= 0:
                    x += n * runs[axis].input_step * k.x.axis_strides[axis]
                    of_window = n // k.pool.side(axis) * runs[axis].step
                    stored = [
                        o + of_window * layout.axis_strides[axis]
                        for o, layout in zip(stored, (*k.pool.extra, k.y), strict=True)
                    ]
                    tensors = [
                        o + n * runs[axis].step * t.axis_strides[axis]
                        for o, t in zip(tensors, k.tensors, strict=True)
                    ]
            found.append(Offsets(x, tuple(stored), tuple(tensors)))
        return found

    def _tap_bounds(self, rows: Rows, axis: int, step: Index) -> tuple[Index, Index]:
        """Return which taps of a leading axis can meet the input inside its halo.

        The others would only add zeros; at the borders of small grids they are many (of a 5x5
        kernel's gradient on 14x14 positions, two in seven).
        """
        f, run = self.f, rows.runs[axis]
        origin = self.origins[axis] if self.origins else Origin(0, 0)
        taps, extent = run.taps, self.kernel.x.spatial[axis]
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
        low = f.sub(f.quotient(f.add(below, shift + size - 1), size), shift // size)
        high = f.add(f.sub(f.quotient(f.add(above, shift), size), shift // size), 1)
        return f.maximum(low, 0), f.minimum(high, taps.count)

    def _taps(  # noqa: PLR0917 - the state of the loops
        self,
        runs: tuple[Run, ...],
        bounds: list[tuple[Index, Index]],
        x: Value,
        w: Value,
        accumulators: list[Value],
        offsets: list[Offsets],
        block: Block,
        axis: int = 0,
    ) -> list[Value]:
        """Emit the loops over the taps of an axis and of those after it."""
        f, k = self.f, self.kernel
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
        offsets: list[Offsets],
        block: Block,
    ) -> list[Value]:
        """Emit the loop over input channels around the unrolled taps."""
        f, weights = self.f, self.kernel.weights
        products = self._by_values if self.kernel.values_once else self._by_taps

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
        f, weights = self.f, self.kernel.weights
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
        offsets: list[Offsets],
        block: Block,
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
        offsets: list[Offsets],
        block: Block,
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

    def _tap_weights(self, w: Value, tap: int, block: Block) -> list[Value]:
        """Load the weights of a tap."""
        f, lanes = self.f, self.vector.lanes
        return [
            f.load(f.at(w, tap + v * lanes, self.element), self.vector)
            for v in range(block.vectors)
        ]

    def _prefetch_ahead(self, x: Value, channel: Index, offsets: list[Offsets]) -> None:
        """Ask for a channel's share of the memory that the tile's positions have further on."""
        k = self.kernel
        line = LINE_BYTES // self.element.size
        span = max(offset.x for offset in offsets) + k.x.stride
        share = -(-span // k.weights.reduction)
        first = self.f.at(x, self.f.add(k.ahead, self.f.mul(channel, share)), self.element)
        for at in range(0, share if k.ahead else 0, line):
            self.f.prefetch(self.f.at(first, at, self.element))

    def _finish(
        self, place: Place, offsets: list[Offsets], block: Block, accumulators: list[Value]
    ) -> None:
        """Apply the epilogue to the accumulators, pool them and store what comes of it."""
        f, lanes, pool = self.f, self.vector.lanes, self.kernel.pool
        tensors = [
            f.at(pointer, f.add(p, block.channel), self.element)
            for pointer, p in zip(self.tensors, place.tensors, strict=True)
        ]
        elements = [layout.element for layout in (*pool.extra, self.kernel.y)]
        outputs = [
            f.at(pointer, f.add(start, block.channel), element)
            for pointer, start, element in zip(self.stored, place.stored, elements, strict=True)
        ]
        # The positions of a window have one place where they are stored.
        windows: dict[tuple[int, ...], list[int]] = {}
        for j, offset in enumerate(offsets):
            windows.setdefault(offset.stored, []).append(j)
        for v in range(block.vectors):

            def result(j: int, v: int = v) -> Value:
                extra = [
                    f.load(f.at(t, o + v * lanes, self.element), self.vector)
                    for t, o in zip(tensors, offsets[j].tensors, strict=True)
                ]
                value = accumulators[v * len(offsets) + j]
                return self.kernel.epilogue.emit(f, [value, *extra])

            kept = []
            for at, members in windows.items():
                results = pool.emit(f, [result(j) for j in members])
                places = zip(outputs, at, elements, strict=True)
                for value, (pointer, distance, element) in zip(results, places, strict=True):
                    f.store(value, f.at(pointer, distance + v * lanes, element))
                kept.append(results[-1])
            self.add_stored(f.add(block.channel, v * lanes), kept)
