"""Reading one sample of a user's array, row by row along its last axis.

Rows whose elements are adjacent are read in tiles: some positions of every channel, or of all
channels together, are loaded as vectors, converted, and transposed or interleaved in registers.
The last tile of a row overlaps the one before it. Other rows are read position by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.types import F32, F64, I8, I16, I32, I64, Index, Scalar, Value, Vector, constant
from convoi.kernels.spans import load_elements, pick
from convoi.kernels.transpose import each_block, each_tile, transpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.kernels.layout import Layout
    from convoi.kernels.spans import Sample

SOURCE_TYPES: dict[str, tuple[Scalar, str]] = {
    "bool": (I8, "uitofp"),
    "uint8": (I8, "uitofp"),
    "uint16": (I16, "uitofp"),
    "uint32": (I32, "uitofp"),
    "uint64": (I64, "uitofp"),
    "int8": (I8, "sitofp"),
    "int16": (I16, "sitofp"),
    "int32": (I32, "sitofp"),
    "int64": (I64, "sitofp"),
    "float32": (F32, "fpext"),
    "float64": (F64, "fptrunc"),
}
"""Dtypes of arrays that can be read: LLVM's type, and how it becomes another float type."""

UNPADDED_WIDTH = 16
"""Positions of a tile where the layout has single lanes: the most lanes that there are."""
INTERLEAVED_CHANNELS = 8
"""Most channels that are interleaved in registers: the shuffles grow with their square."""


@dataclass(frozen=True)
class Rows:
    """How the rows of an array lie in memory, and what they are read into."""

    dtype: str
    contiguous: bool
    """Whether the positions of a row are adjacent."""
    channels_last: bool
    """Whether the channels of a position are adjacent, and so are the positions."""
    layout: Layout

    @property
    def width(self) -> int:
        """Positions of a tile; 0 if rows are read position by position."""
        layout = self.layout
        if layout.lanes > 1:
            most = layout.lanes if self.contiguous else 0
        elif layout.channels <= INTERLEAVED_CHANNELS:
            most = UNPADDED_WIDTH if self.contiguous or self.channels_last else 0
        else:
            most = 0
        extent = layout.spatial[-1] if layout.spatial else 0
        return min(most, 1 << extent.bit_length() >> 1)

    def vector(self, lanes: int) -> Vector:
        """Return LLVM's type of elements as they lie in the array."""
        return Vector(SOURCE_TYPES[self.dtype][0], lanes)

    def convert(self, f: Function, raw: Value, lanes: int) -> Value:
        """Convert elements to the dtype of the layout."""
        vector = Vector(self.layout.element, lanes)
        return raw if raw.type == vector else f.convert(SOURCE_TYPES[self.dtype][1], raw, vector)


@dataclass(frozen=True)
class Axis:
    """A spatial axis of one sample, as the target sees it."""

    step: Index
    """Bytes from the element of one target position to that of the next."""
    low: Index
    high: Index
    """Target positions that the source has: ``range(low, high)``."""
    flip: Value | None = None
    """Whether this sample is mirrored; None: no sample ever is."""


@dataclass(frozen=True)
class Affine:
    """``x * scale + shift``, with vectors over the channels."""

    f: Function
    layout: Layout
    scale: Value
    shift: Value

    def _load(self, channel: Index, lanes: int) -> tuple[Value, Value]:
        vector = Vector(self.layout.element, lanes)
        scale, shift = (self.f.at(p, channel, vector.element) for p in (self.scale, self.shift))
        return self.f.load(scale, vector), self.f.load(shift, vector)

    def channels(self, x: Value, channel: Index) -> Value:
        """Apply it to a vector of channels."""
        return self.f.fma(x, *self._load(channel, self.layout.lanes))

    def positions(self, x: Value, channel: Index, width: int) -> Value:
        """Apply it to positions of one channel."""
        scale, shift = (
            self.f.broadcast(self.f.at(p, channel, self.layout.element), vector)
            for vector in (Vector(self.layout.element, width),)
            for p in (self.scale, self.shift)
        )
        return self.f.fma(x, scale, shift)

    def interleaved(self, width: int) -> list[tuple[Value, Value]]:
        """Return (scale, shift) for vectors that hold positions with all of their channels."""
        channels = self.layout.channels
        whole = Vector(self.layout.element, INTERLEAVED_CHANNELS)
        factors = [load_elements(self.f, p, channels, whole) for p in (self.scale, self.shift)]
        patterns = [
            [(first + lane) % channels for lane in range(width)]
            for first in range(0, channels * width, width)
        ]
        return [
            (pick(self.f, [factors[0]], lanes), pick(self.f, [factors[1]], lanes))
            for lanes in patterns
        ]


@dataclass(frozen=True)
class RowReader:
    """Reads rows of one sample of the user's array into the target."""

    rows: Rows
    source: Value
    """Address of the element that belongs to the target's first position and channel."""
    channel_step: Value
    """Bytes from one channel to the next."""
    target: Sample
    affine: Affine
    patterns: Sequence[tuple[Value, Value]]
    """What :meth:`Affine.interleaved` gives for tiles of all channels together."""

    def row(self, axis: Axis, offset: Index, element: Index) -> None:
        """Read a row, some bytes from the start of the source, to an element of the target."""
        f, stride, width = self.target.f, self.rows.layout.stride, self.rows.width

        def position(p: Index, _: list[Value]) -> None:
            self.position(f.add(offset, f.mul(p, axis.step)), f.add(element, f.mul(p, stride)))

        def tile(p: Index, _: int) -> None:
            # A mirrored row runs backwards in memory: its tiles begin at their last position.
            begin = p
            if axis.flip is not None:
                begin = f.select(axis.flip, f.value(f.add(p, width - 1)), f.value(p))
            place = f.add(element, f.mul(p, stride))
            self._tile(axis.flip, f.add(offset, f.mul(begin, axis.step)), place)

        if width == 0:
            f.loop(axis.high, position, start=axis.low)
        elif isinstance(axis.low, int) and isinstance(axis.high, int):
            each_tile(f, axis.high - axis.low, width, tile)
        else:
            last = f.value(f.sub(axis.high, width))
            with f.when(f.compare("sge", last, axis.low)):
                f.loop(last, lambda p, _: tile(p, width), start=axis.low, step=width)
                tile(last, width)
            with f.when(f.compare("slt", last, axis.low)):
                f.loop(axis.high, position, start=axis.low)

    def position(self, offset: Index, element: Index) -> None:
        """Read all channels of one position."""
        f, lanes = self.target.f, self.rows.layout.lanes

        def block(channel: Index, channels: int) -> None:
            place = f.add(offset, f.mul(self.channel_step, channel))
            read = self._load if self.rows.channels_last else self._collect
            value = self.rows.convert(f, read(place, channels, lanes), lanes)
            self.target.store(self.affine.channels(value, channel), f.add(element, channel))

        each_block(f, self.rows.layout, block)

    def _tile(self, flip: Value | None, offset: Index, element: Index) -> None:
        """Read a tile of positions."""
        f, layout, width = self.target.f, self.rows.layout, self.rows.width
        if layout.lanes > 1:
            self._transposed(flip, offset, element)
            return
        if self.rows.contiguous:
            planes = [self._plane(flip, offset, c) for c in range(layout.channels)]
            numbers = range(width * layout.channels)
            order = [n % layout.channels * width + n // layout.channels for n in numbers]
            results = _reordered(f, planes, order)
        else:
            results = self._all_channels(flip, offset)
        for k, value in enumerate(results):
            f.store(value, self.target.at(f.add(element, k * width)))

    def _all_channels(self, flip: Value | None, offset: Index) -> list[Value]:
        """Return positions with all of their channels, converted and scaled."""
        f, channels, width = self.target.f, self.rows.layout.channels, self.rows.width
        size = self.rows.vector(width).size
        vectors = [self._load(f.add(offset, k * size), width, width) for k in range(channels)]
        if flip is not None:
            numbers = range(width * channels)
            order = [(width - 1 - n // channels) * channels + n % channels for n in numbers]
            mirrored = _reordered(f, vectors, order)
            vectors = [f.select(flip, a, b) for a, b in zip(mirrored, vectors, strict=True)]
        return [
            f.fma(self.rows.convert(f, vector, width), scale, shift)
            for vector, (scale, shift) in zip(vectors, self.patterns, strict=True)
        ]

    def _transposed(self, flip: Value | None, offset: Index, element: Index) -> None:
        """Read a tile of positions into vectors of channels."""
        f, layout, width = self.target.f, self.rows.layout, self.rows.width
        rest = [-1] * (layout.lanes - width)

        def block(channel: Index, channels: int) -> None:
            matrix: list[Value | None] = [None] * layout.lanes
            for c in range(channels):
                plane = self._plane(flip, offset, f.add(channel, c))
                matrix[c] = f.shuffle(plane, plane, [*range(width), *rest]) if rest else plane
            columns = transpose(f, matrix, layout.vector)
            for i in range(width):
                self.target.store(columns[i], f.add(f.add(element, channel), i * layout.stride))

        each_block(f, layout, block)

    def _plane(self, flip: Value | None, offset: Index, channel: Index) -> Value:
        """Return positions of one channel, converted and scaled."""
        f, width = self.target.f, self.rows.width
        raw = self._load(f.add(offset, f.mul(self.channel_step, channel)), width, width)
        if flip is not None:
            raw = f.select(flip, f.shuffle(raw, raw, range(width - 1, -1, -1)), raw)
        return self.affine.positions(self.rows.convert(f, raw, width), channel, width)

    def _load(self, offset: Index, count: int, lanes: int) -> Value:
        """Load adjacent elements; the other lanes are zero."""
        f = self.target.f
        return load_elements(
            f, f.at(self.source, offset, I8), count, self.rows.vector(lanes), align=1
        )

    def _collect(self, offset: Index, count: int, lanes: int) -> Value:
        """Load elements of successive channels; the other lanes are zero."""
        f, vector = self.target.f, self.rows.vector(lanes)
        result = constant(vector, 0)
        for lane in range(count):
            place = f.at(self.source, f.add(offset, f.mul(self.channel_step, lane)), I8)
            x = f.load(place, vector.element, align=1)
            text = f"insertelement {vector} {result.text}, {x.type} {x.text}, i32 {lane}"
            result = f.emit(vector, text)
        return result


def _reordered(f: Function, vectors: Sequence[Value], order: Sequence[int]) -> list[Value]:
    """Return the lanes of vectors in another order, in as many vectors."""
    width = len(order) // len(vectors)
    return [pick(f, vectors, order[k : k + width]) for k in range(0, len(order), width)]
