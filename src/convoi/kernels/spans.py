"""Adjacent elements: copying and clearing them, and finding them in layouts."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from convoi.codegen.types import Value, Vector, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Scalar
    from convoi.kernels.layout import Layout

SPAN_BYTES = 64
"""Bytes that are moved at a time: a cache line. LLVM splits it where vectors are narrower."""
UNROLL = 4
"""Spans per iteration of a loop."""


def maximum(f: Function, a: Index, b: Index) -> Index:
    """Return the larger of two signed integers."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return f.select(f.compare("sgt", a, b), f.value(a), f.value(b))


def clamp(f: Function, a: Index, low: int, high: int) -> Index:
    """Return the integer of ``[low, high]`` that is nearest to a."""
    return f.minimum(maximum(f, a, low), high)


def pieces(count: int, widest: int) -> Iterator[tuple[int, int]]:
    """Cover elements by vectors whose lanes are powers of two; yield (offset, lanes)."""
    offset = 0
    while offset < count:
        while widest > count - offset:
            widest //= 2
        yield offset, widest
        offset += widest


def load_elements(
    f: Function, pointer: Value, count: int, vector: Vector, *, align: int | None = None
) -> Value:
    """Load adjacent elements, and no others, into the first lanes; the other lanes are zero."""
    if count == vector.lanes:
        return f.load(pointer, vector, align=align)
    result = constant(vector, 0)
    for offset, lanes in pieces(count, vector.lanes):
        place = f.at(pointer, offset, vector.element)
        part = f.load(place, Vector(vector.element, lanes), align=align)
        wide = f.shuffle(part, part, [*range(lanes), *[-1] * (vector.lanes - lanes)])
        result = f.shuffle(
            result,
            wide,
            [
                vector.lanes + lane - offset if offset <= lane < offset + lanes else lane
                for lane in range(vector.lanes)
            ],
        )
    return result


def store_elements(f: Function, value: Value, pointer: Value, count: int, vector: Vector) -> None:
    """Store the first lanes of a vector, and nothing behind them."""
    for offset, lanes in pieces(count, vector.lanes):
        part = value
        if lanes < vector.lanes:
            part = f.shuffle(value, value, range(offset, offset + lanes))
        f.store(part, f.at(pointer, offset, vector.element))


def pick(f: Function, vectors: Sequence[Value], lanes: Sequence[int]) -> Value:
    """Return lanes chosen from vectors, which are numbered one after another.

    As many lanes are chosen as a vector has; from a single vector, any number.
    """
    size = len(lanes) if len(vectors) > 1 else _lanes(vectors[0])
    result: Value | None = None
    for number, vector in enumerate(vectors):
        chosen = [lane - number * size if lane // size == number else -1 for lane in lanes]
        if all(lane < 0 for lane in chosen):
            continue
        if result is None:
            result = f.shuffle(vector, vector, chosen)
        else:
            mask = [size + lane if lane >= 0 else place for place, lane in enumerate(chosen)]
            result = f.shuffle(result, vector, mask)
    if result is None:
        message = f"None of the lanes {lanes} is in {len(vectors)} vectors."
        raise ValueError(message)
    return result


def _lanes(value: Value) -> int:
    return value.type.lanes if isinstance(value.type, Vector) else 1


def _spans(f: Function, count: int, element: Scalar, move: Callable[[Index, Vector], None]) -> None:
    """Call ``move`` for the vectors that cover so many adjacent elements."""
    lanes = SPAN_BYTES // element.size
    vector = Vector(element, lanes)
    looped = count - count % (UNROLL * lanes)

    def several(i: Index, _: list[Value]) -> None:
        for k in range(UNROLL):
            move(f.add(i, k * lanes), vector)

    f.loop(looped, several, step=UNROLL * lanes)
    for offset, width in pieces(count - looped, lanes):
        move(looped + offset, Vector(element, width))


def copy_span(f: Function, source: Value, target: Value, count: int, element: Scalar) -> None:
    """Copy adjacent elements."""

    def move(i: Index, vector: Vector) -> None:
        f.store(f.load(f.at(source, i, element), vector), f.at(target, i, element))

    _spans(f, count, element, move)


def clear_span(f: Function, target: Value, count: int, element: Scalar) -> None:
    """Set adjacent elements to zero."""

    def move(i: Index, vector: Vector) -> None:
        f.store(constant(vector, 0), f.at(target, i, element))

    _spans(f, count, element, move)


@dataclass(frozen=True)
class Sample:
    """One sample of an activation: where it begins, and how it lies there."""

    f: Function
    address: Value
    layout: Layout

    def at(self, element: Index) -> Value:
        """Return the address of an element."""
        return self.f.at(self.address, element, self.layout.element)

    def load(self, element: Index, block: int = 0) -> Value:
        """Load a vector of channels: some vectors behind an element."""
        place = self.at(self.f.add(element, block * self.layout.lanes))
        return self.f.load(place, self.layout.vector)

    def store(self, value: Value, element: Index, block: int = 0) -> None:
        """Store a vector of channels: some vectors behind an element."""
        self.f.store(value, self.at(self.f.add(element, block * self.layout.lanes)))

    def clear(self, axis: int, start: int, stop: int, element: Index) -> None:
        """Clear positions of an axis with all of the axes behind it, but no halo."""
        f, layout = self.f, self.layout
        step = layout.axis_strides[axis]
        if axis + 1 == len(layout.spatial):
            place = self.at(f.add(element, start * step))
            clear_span(f, place, (stop - start) * step, layout.element)
            return

        def one(i: Index, _: list[Value]) -> None:
            self.clear(axis + 1, 0, layout.spatial[axis + 1], f.add(element, f.mul(i, step)))

        f.loop(stop, one, start=start)


def each_sample(
    f: Function,
    count: Value,
    pointers: Sequence[Value],
    layouts: Sequence[Layout],
    body: Callable[[list[Sample]], None],
) -> None:
    """Run the body for every sample, which it receives from each of the activations."""
    activations = list(zip(pointers, layouts, strict=True))

    def one(i: Index, _: list[Value]) -> None:
        body([Sample(f, f.at(p, f.mul(i, a.size), a.element), a) for p, a in activations])

    f.loop(count, one)


def each_row(
    f: Function,
    layouts: Sequence[Layout],
    body: Callable[[list[Index], Index, int], None],
) -> None:
    """Run the body for runs of positions that are adjacent in every one of the layouts.

    The layouts have the same spatial shape. The body receives the element at which the row begins
    in each layout, the number of its first position in C order, and how many positions it has.
    """
    spatial = layouts[0].spatial
    looped = max(0, len(spatial) - 1)
    while looped and all(layout.halo[looped] == (0, 0) for layout in layouts):
        looped -= 1
    length = prod(spatial[looped:])

    def nest(axis: int, offsets: list[Index], position: Index) -> None:
        if axis == looped:
            body(offsets, position, length)
            return
        inner = prod(spatial[axis + 1 :])

        def one(i: Index, _: list[Value]) -> None:
            nest(
                axis + 1,
                [
                    f.add(offset, f.mul(i, layout.axis_strides[axis]))
                    for offset, layout in zip(offsets, layouts, strict=True)
                ],
                f.add(position, f.mul(i, inner)),
            )

        f.loop(spatial[axis], one)

    nest(0, [layout.origin for layout in layouts], 0)
