"""The way of samples from the user's arrays into the first activation, and back out.

Packing reads arrays in place, of any dtype and strides, in the order of an index. While reading,
it converts, scales and shifts (standardisation), and augments:

    target[c, p] = scale[c] * source[index, c, q(p)] + shift[c]

where ``q`` is the identity, or mirrors and moves each axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from convoi.codegen.types import I8, I64
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pack_rows import SOURCE_TYPES, Affine, Axis, RowReader, Rows
from convoi.kernels.spans import Sample, clamp
from convoi.kernels.transpose import from_channels_first, to_channels_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout
    from convoi.kernels.sharing import Bounds

AXIS_FIELDS = ("flip", "shift", "cut_low", "cut_high")
"""Words of a sample's record for each spatial axis."""
SHARED_ELEMENTS = 1 << 14
"""Elements of a sample from which threads share the packing of one: it takes 1 us then."""


@cache
def sample_record(rank: int, *, augment: bool) -> np.dtype[np.void]:
    """Return the record that the table ``samples`` has for each sample, all of int64.

    ``index`` is the number of the sample in the source array. With ``augment``, ``axes`` has for
    each spatial axis: ``flip``, 1 to mirror it, else 0; ``shift``, by how many positions it is
    then moved towards its end; ``cut_low`` and ``cut_high``, the range of a box of positions that
    becomes zero (none if it is empty on any axis). What moves in from outside is zero, too.
    """
    fields: list[tuple[Any, ...]] = [("index", np.int64)]
    if augment and rank:
        fields.append(("axes", [(name, np.int64) for name in AXIS_FIELDS], (rank,)))
    return np.dtype(fields)


def adjacency(strides: Sequence[int], itemsize: int, channels: int) -> tuple[bool, bool]:
    """Return what strides in bytes mean for :class:`Pack`: (contiguous, channels_last).

    The strides are those of the samples, the channels and each spatial axis.
    """
    _, channel, *spatial = strides
    adjacent = channel == itemsize or channels == 1
    contiguous = bool(spatial) and spatial[-1] == itemsize
    return contiguous, adjacent and (not spatial or spatial[-1] == channels * itemsize)


@dataclass(frozen=True)
class Pack(Kernel):
    """Read samples of the user's array into an activation.

    ``source`` is the address of the array's element at index zero on all axes. ``geometry`` has
    its strides in bytes as int64: of the samples, the channels, and each spatial axis; they may
    be zero or negative, and elements need no alignment. ``samples`` is a table of
    :func:`sample_record`; ``scale`` and ``shift`` are vectors over the channels. The array has
    the channels and the spatial shape of the target.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "source", "geometry", "samples", "scale", "shift", "output",
    )  # fmt: skip

    target: Layout
    source_dtype: str
    augment: bool = False
    contiguous: bool = False
    """Whether the elements of the last spatial axis are adjacent."""
    channels_last: bool = False
    """Whether the channels are adjacent, and so are the positions of the last spatial axis."""

    def __post_init__(self) -> None:
        """Check the dtype."""
        if self.source_dtype not in SOURCE_TYPES:
            message = f"Arrays of {self.source_dtype} cannot be packed; convert them before."
            raise ValueError(message)

    @property
    def units(self) -> int:
        """Positions along the first of several axes, where a sample has many elements."""
        large = self.target.size >= SHARED_ELEMENTS and not self.augment
        return self.target.spatial[0] if large and len(self.target.spatial) > 1 else 1

    @property
    def work(self) -> int:
        """What reading and writing its elements takes, in multiply-adds."""
        return 16 * self.target.positions * self.target.stride

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        array, geometry, samples, scale, shift, output = pointers
        target = self.target
        strides = [f.load(f.at(geometry, i, I64), I64) for i in range(2 + len(target.spatial))]
        words = sample_record(len(target.spatial), augment=self.augment).itemsize // I64.size
        rows = Rows(self.source_dtype, self.contiguous, self.channels_last, target)
        affine = Affine(f, target, scale, shift)
        together = target.lanes == 1 and not self.contiguous and rows.width
        patterns = affine.interleaved(rows.width) if together else ()

        def one(i: Index, _: list[Value]) -> None:
            record = f.at(samples, f.mul(i, words), I64)
            start = f.mul(f.load(record, I64), strides[0])
            axes = []
            for number, (step, extent) in enumerate(zip(strides[2:], target.spatial, strict=True)):
                axis = Axis(step, 0, extent)
                if self.augment:
                    fields = f.at(record, 1 + number * len(AXIS_FIELDS), I64)
                    axis, first = _moved(f, fields, step, extent)
                    start = f.add(start, first)
                axes.append(axis)
            sample = Sample(f, f.at(output, f.mul(i, target.size), target.element), target)
            address = f.at(array, start, I8)
            reader = RowReader(rows, address, strides[1], sample, affine, patterns)
            some = (call.begin, call.end) if self.units > 1 else None
            _read(reader, axes, 0, (0, target.origin), some)
            if self.augment:
                _cut(sample, f.at(record, 1, I64), 0, target.origin)

        f.loop(call.count, one)


@dataclass(frozen=True)
class PackTensor(Kernel):
    """Read a C-contiguous array ``(n, channels, *spatial)`` of the layout's dtype."""

    arguments: ClassVar[tuple[str, ...]] = ("source", "output")

    target: Layout

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        source, output = pointers
        size = self.target.channels * self.target.positions

        def one(i: Index, _: list[Value]) -> None:
            place = f.at(output, f.mul(i, self.target.size), self.target.element)
            array = f.at(source, f.mul(i, size), self.target.element)
            from_channels_first(array, Sample(f, place, self.target))

        f.loop(call.count, one)


@dataclass(frozen=True)
class Unpack(Kernel):
    """Write an activation to a C-contiguous array ``(n, channels, *spatial)`` of its dtype."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "output")

    source: Layout

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        x, output = pointers
        size = self.source.channels * self.source.positions

        def one(i: Index, _: list[Value]) -> None:
            place = f.at(x, f.mul(i, self.source.size), self.source.element)
            array = f.at(output, f.mul(i, size), self.source.element)
            to_channels_first(Sample(f, place, self.source), array)

        f.loop(call.count, one)


def _moved(f: Function, fields: Value, step: Value, extent: int) -> tuple[Axis, Index]:
    """Return an axis that is mirrored and moved, and the offset in bytes of its position 0."""
    flip = f.compare("ne", f.load(fields, I64), 0)
    shift = f.load(f.at(fields, 1, I64), I64)
    low = clamp(f, shift, 0, extent)
    high = clamp(f, f.add(shift, extent), 0, extent)
    backwards = f.value(f.sub(0, step))
    moved_step = f.select(flip, backwards, step)
    end = f.select(flip, f.value(f.mul(step, extent - 1)), f.value(0))
    return Axis(moved_step, low, high, flip), f.sub(end, f.mul(shift, moved_step))


def _read(
    reader: RowReader,
    axes: Sequence[Axis],
    number: int,
    places: tuple[Index, Index],
    some: Bounds | None = None,
) -> None:
    """Read an axis and those behind it, or some of its positions; the rest is zero.

    Places are bytes from the source and the element of the target.
    """
    f, target = reader.target.f, reader.target
    at, element = places
    if number == len(axes):
        reader.position(at, element)
        return
    axis, step = axes[number], target.layout.axis_strides[number]
    _clear(target, number, 0, axis.low, element)
    _clear(target, number, axis.high, target.layout.spatial[number], element)
    if number + 1 == len(axes):
        reader.row(axis, at, element)
        return

    def one(p: Index, _: list[Value]) -> None:
        there = f.add(at, f.mul(p, axis.step)), f.add(element, f.mul(p, step))
        _read(reader, axes, number + 1, there)

    start, stop = some or (axis.low, axis.high)
    f.loop(stop, one, start=start)


def _cut(target: Sample, fields: Value, number: int, element: Index) -> None:
    """Clear the box of a sample's record."""
    f, layout = target.f, target.layout
    if not layout.spatial:
        return
    extent, step = layout.spatial[number], layout.axis_strides[number]
    words = f.at(fields, number * len(AXIS_FIELDS), I64)
    low = clamp(f, f.load(f.at(words, 2, I64), I64), 0, extent)
    high = clamp(f, f.load(f.at(words, 3, I64), I64), 0, extent)
    if number + 1 == len(layout.spatial):
        _clear(target, number, low, high, element)
        return

    def one(p: Index, _: list[Value]) -> None:
        _cut(target, fields, number + 1, f.add(element, f.mul(p, step)))

    f.loop(high, one, start=low)


def _clear(target: Sample, number: int, start: Index, stop: Index, element: Index) -> None:
    """Clear positions of an axis, with those of the axes behind it."""
    step = target.layout.axis_strides[number]
    target.f.loop(
        stop,
        lambda p, _: target.clear(number, 0, 1, target.f.add(element, target.f.mul(p, step))),
        start=start,
    )
