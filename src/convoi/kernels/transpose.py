"""Between layouts, whose lanes are channels, and arrays ``(channels, *spatial)`` in C order.

Tiles of as many positions as lanes are transposed in registers. Where the positions are no
multiple of the lanes, the last tile overlaps the one before it; nothing is read or written beyond
the array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import Value, Vector, constant
from convoi.kernels.spans import Sample, copy_span, each_row, load_elements, store_elements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout


def transpose(f: Function, rows: Sequence[Value | None], vector: Vector) -> list[Value]:
    """Transpose a square matrix, whose rows are vectors; None is a row of zeros.

    Blocks of one, two, four… lanes are exchanged between rows that are as far from each other.
    """
    size = vector.lanes
    zero = constant(vector, 0)
    matrix = list(rows)
    distance = 1
    while distance < size:
        far = [lane & distance for lane in range(size)]
        upper = [size + lane - distance if far[lane] else lane for lane in range(size)]
        lower = [size + lane if far[lane] else lane + distance for lane in range(size)]
        for i in range(size):
            j = i + distance
            if i & distance or (matrix[i] is None and matrix[j] is None):
                continue
            a, b = matrix[i] or zero, matrix[j] or zero
            matrix[i], matrix[j] = f.shuffle(a, b, upper), f.shuffle(a, b, lower)
        distance *= 2
    return [row or zero for row in matrix]


def each_tile(f: Function, length: int, width: int, tile: Callable[[Index, int], None]) -> None:
    """Cover a row by tiles of a width; the tile receives its first position and its width."""
    if length < width:
        tile(0, length)
        return
    whole = length - length % width
    f.loop(whole, lambda position, _: tile(position, width), step=width)
    if length > whole:
        tile(length - width, width)


def each_block(f: Function, layout: Layout, block: Callable[[Index, int], None]) -> None:
    """Run the body for every vector of channels, with its first channel and how many it has."""
    whole = layout.channels - layout.channels % layout.lanes
    f.loop(whole, lambda channel, _: block(channel, layout.lanes), step=layout.lanes)
    if layout.channels > whole:
        block(whole, layout.channels - whole)


def to_channels_first(sample: Sample, target: Value) -> None:
    """Write a sample to an array: ``target[c * positions + p] = sample[c, p]``."""
    f, layout = sample.f, sample.layout
    if layout.positions == 1:
        copy_span(f, sample.at(layout.origin), target, layout.channels, layout.element)
        return

    def row(at: list[Index], position: Index, length: int) -> None:
        if layout.stride == 1:
            place = f.at(target, position, layout.element)
            copy_span(f, sample.at(at[0]), place, length, layout.element)
            return

        def block(channel: Index, channels: int) -> None:
            def tile(start: Index, width: int) -> None:
                first = f.add(f.add(at[0], channel), f.mul(start, layout.stride))
                rows = [sample.load(f.add(first, i * layout.stride)) for i in range(width)]
                rows += [Value(layout.vector, "poison")] * (layout.lanes - width)
                columns = transpose(f, rows, layout.vector)
                corner = f.add(f.mul(channel, layout.positions), f.add(position, start))
                for c in range(channels):
                    place = f.at(target, f.add(corner, c * layout.positions), layout.element)
                    store_elements(f, columns[c], place, width, layout.vector)

            each_tile(f, length, layout.lanes, tile)

        each_block(f, layout, block)

    each_row(f, (layout,), row)


def from_channels_first(source: Value, sample: Sample) -> None:
    """Read a sample from an array: ``sample[c, p] = source[c * positions + p]``.

    Lanes beyond the channels become zero.
    """
    f, layout = sample.f, sample.layout

    def elements(index: Index, count: int) -> Value:
        return load_elements(f, f.at(source, index, layout.element), count, layout.vector)

    if layout.positions == 1:
        each_block(f, layout, lambda c, n: sample.store(elements(c, n), f.add(layout.origin, c)))
        return

    def row(at: list[Index], position: Index, length: int) -> None:
        if layout.stride == 1:
            place = f.at(source, position, layout.element)
            copy_span(f, place, sample.at(at[0]), length, layout.element)
            return

        def block(channel: Index, channels: int) -> None:
            def tile(start: Index, width: int) -> None:
                corner = f.add(f.mul(channel, layout.positions), f.add(position, start))
                rows: list[Value | None] = [
                    elements(f.add(corner, c * layout.positions), width) for c in range(channels)
                ]
                rows += [None] * (layout.lanes - channels)
                columns = transpose(f, rows, layout.vector)
                first = f.add(f.add(at[0], channel), f.mul(start, layout.stride))
                for i in range(width):
                    sample.store(columns[i], f.add(first, i * layout.stride))

            each_tile(f, length, layout.lanes, tile)

        each_block(f, layout, block)

    each_row(f, (layout,), row)
