"""Loops over the positions of tensors that lie differently in memory.

Tensors of the same spatial extents are passed through together. Axes that are contiguous in all
of them become one, samples included, so that tensors without halos are one long loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.base import CallArguments
    from convoi.kernels.layout import Layout

Point: TypeAlias = Sequence["Index"]
"""Where a position lies: elements from each tensor's first position."""

Body: TypeAlias = Callable[[Sequence[Point], list["Value"]], "Sequence[Value] | None"]
"""Emits the work on some consecutive positions, given the carried values; returns new ones."""


@dataclass(frozen=True)
class Steps:
    """Elements from one sample to the next, and from one position to the next on each axis."""

    sample: int
    axes: tuple[int, ...]


def steps_of(layout: Layout) -> Steps:
    """Return the steps of a tensor in memory."""
    return Steps(layout.size, layout.axis_strides)


def numbering(spatial: tuple[int, ...]) -> Steps:
    """Return the steps that number the positions of each sample in C order."""
    axes = tuple(prod(spatial[axis + 1 :]) for axis in range(len(spatial)))
    return Steps(prod(spatial), axes)


@dataclass(frozen=True)
class _Axis:
    extent: int
    steps: tuple[int, ...]
    per_sample: bool = False
    """Whether the extent is that of one sample, and the samples follow one another."""

    def encloses(self, inner: _Axis) -> bool:
        """Whether this axis goes on where the inner one ends, in every tensor."""
        return all(a == inner.extent * b for a, b in zip(self.steps, inner.steps, strict=True))


class Traversal:
    """The loops over all positions of a call's samples.

    Parameters
    ----------
    f : Function
        Where to emit.
    spatial : tuple of int
        Positions per axis, of all tensors.
    steps : sequence of Steps
        How each tensor lies in memory.
    call : CallArguments or None
        Gives the number of samples; None: one sample.
    vectors : tuple of int
        (number, elements) of the vectors of each position, when each is to be visited by itself.
    """

    def __init__(
        self,
        f: Function,
        spatial: tuple[int, ...],
        steps: Sequence[Steps],
        call: CallArguments | None,
        vectors: tuple[int, int] = (1, 1),
    ) -> None:
        self._f = f
        self._count = call.count if call else 1
        samples = _Axis(1, tuple(s.sample for s in steps), per_sample=True)
        inner = [_Axis(e, tuple(s.axes[i] for s in steps)) for i, e in enumerate(spatial)]
        inner.append(_Axis(vectors[0], (vectors[1],) * len(steps)))
        self._axes = _merge([samples, *inner])
        self._zero: Point = (0,) * len(steps)

    def each(self, body: Body, carried: Sequence[Value] = (), unroll: int = 1) -> list[Value]:
        """Visit all positions, so many consecutive ones at a time as can be."""
        return self._walk(0, (0, self._extent(0)), self._zero, body, list(carried), unroll)

    def tiles(self, limit: int, body: Callable[[Tile], None]) -> None:
        """Visit tiles of at most so many positions, which follow one another in memory."""
        depth = len(self._axes) - 1
        inside = 1
        while depth > 0 and inside * self._axes[depth].extent <= limit:
            inside *= self._axes[depth].extent
            depth -= 1
        self._tile(0, depth, max(1, limit // inside), inside, self._zero, body)

    def _tile(  # noqa: PLR0917 - the state of the recursion
        self,
        level: int,
        depth: int,
        size: int,
        inside: int,
        at: Point,
        body: Callable[[Tile], None],
    ) -> None:
        f = self._f
        extent = self._extent(level)
        if level < depth:
            f.loop(
                extent,
                lambda i, _: self._tile(
                    level + 1, depth, size, inside, self._move(at, level, i), body
                ),
            )
            return
        known = False
        if isinstance(extent, int):
            size = -(-extent // -(-extent // size))
            known = extent % size == 0

        def one(start: Index, _: list[Value]) -> None:
            length = size if known else f.minimum(size, f.sub(extent, start))
            body(Tile(self, level, (start, length), at, f.mul(length, inside)))

        f.loop(extent, one, step=size)

    def _extent(self, level: int) -> Index:
        axis = self._axes[level]
        return self._f.mul(self._count, axis.extent) if axis.per_sample else axis.extent

    def _move(self, at: Point, level: int, index: Index) -> Point:
        f = self._f
        steps = self._axes[level].steps
        return [f.add(o, f.mul(index, s)) for o, s in zip(at, steps, strict=True)]

    def _walk(  # noqa: PLR0917 - the state of the recursion
        self,
        level: int,
        bounds: tuple[Index, Index],
        at: Point,
        body: Body,
        carried: list[Value],
        unroll: int,
    ) -> list[Value]:
        """Emit the loops from this level inwards; bounds are where it starts and its length."""
        f = self._f
        start, length = bounds
        stop = f.add(start, length)
        if level < len(self._axes) - 1:
            inner = (0, self._extent(level + 1))
            return f.loop(
                stop,
                lambda i, c: self._walk(
                    level + 1, inner, self._move(at, level, i), body, c, unroll
                ),
                carried,
                start=start,
            )

        def some(number: int) -> Callable[[Index, list[Value]], Sequence[Value] | None]:
            def emit(i: Index, c: list[Value]) -> Sequence[Value] | None:
                return body([self._move(at, level, f.add(i, j)) for j in range(number)], c)

            return emit

        if isinstance(length, int):
            rest = length % unroll
            whole = f.sub(stop, rest)
            carried = f.loop(whole, some(unroll), carried, start=start, step=unroll)
            return list(some(rest)(whole, carried) or ()) if rest else carried
        if unroll == 1:
            return f.loop(stop, some(1), carried, start=start)
        whole = f.sub(stop, f.integer("srem", length, unroll))
        carried = f.loop(whole, some(unroll), carried, start=start, step=unroll)
        return f.loop(stop, some(1), carried, start=whole)


@dataclass(frozen=True)
class Tile:
    """Some positions, few enough to stay in a cache while they are visited several times."""

    _traversal: Traversal
    _level: int
    _bounds: tuple[Index, Index]
    _at: Point
    positions: Index
    """How many they are."""

    def each(self, body: Body, carried: Sequence[Value] = (), unroll: int = 1) -> list[Value]:
        """Visit them, so many consecutive ones at a time as can be."""
        return self._traversal._walk(  # noqa: SLF001 - a tile is a part of its traversal
            self._level, self._bounds, self._at, body, list(carried), unroll
        )


@dataclass(frozen=True)
class Stretch:
    """Consecutive positions on one axis, whose number may be computed by the kernel."""

    f: Function
    start: Index
    """Where the first one lies, in the one tensor that they are of."""
    step: int
    """Elements from one position to the next."""
    positions: Index

    def each(self, body: Body, carried: Sequence[Value] = (), unroll: int = 1) -> list[Value]:
        """Visit them, so many consecutive ones at a time as can be."""
        f = self.f
        values = list(carried)

        def some(number: int) -> Callable[[Index, list[Value]], Sequence[Value] | None]:
            def emit(i: Index, c: list[Value]) -> Sequence[Value] | None:
                places = [f.add(self.start, f.mul(f.add(i, j), self.step)) for j in range(number)]
                return body([(place,) for place in places], c)

            return emit

        whole: Index = 0
        if unroll > 1:
            whole = f.sub(self.positions, f.integer("srem", self.positions, unroll))
            values = f.loop(whole, some(unroll), values, step=unroll)
        return f.loop(self.positions, some(1), values, start=whole)


def _merge(axes: Sequence[_Axis]) -> list[_Axis]:
    """Make one axis of each two that are contiguous in every tensor."""
    merged = [axes[0]]
    for axis in axes[1:]:
        outer = merged[-1]
        if axis.extent == 1:
            continue
        if outer.encloses(axis):
            merged[-1] = replace(
                axis, extent=outer.extent * axis.extent, per_sample=outer.per_sample
            )
        else:
            merged.append(axis)
    return merged
