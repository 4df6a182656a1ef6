"""Sums that a convolution makes over what it stores, while the vectors are in registers.

Batch normalisation needs the moments of each value that it normalises. A kernel that stores such a
value adds it to the moments of the chunk in passing, so that no other kernel has to read it for
them. They lie as those of :class:`~convoi.kernels.moments.MomentsAccumulate`, and the same kernel
finishes them.

A tile of a convolution has few positions. Their moments are found in registers and are merged into
those of the chunk, which stay in the first-level cache; the order follows from the shapes and the
convoys alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from convoi.kernels.lanes import tree
from convoi.kernels.moments import Moments, Partial
from convoi.kernels.sums import Rows
from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.base import CallArguments
    from convoi.kernels.layout import Layout

CHAINS = 4
"""Sums of products that grow side by side: as many as hide the latency of a multiply-add."""

AddStored: TypeAlias = Callable[["Index", Sequence["Value"]], None]
"""Emits the addition of the vectors that are stored at some positions, given their channel."""


@dataclass(frozen=True)
class EpilogueSums:
    """What a kernel sums up over the values that it stores: here, nothing.

    Its pointers follow those of the kernel. A kernel hands over each vector once, those of a tile
    together; threads may not share its work.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    """What its pointers lead to."""

    def split(self, pointers: Sequence[Value]) -> tuple[list[Value], Sequence[Value]]:
        """Return the pointers of the kernel, and those of the sums."""
        own = len(pointers) - len(self.arguments)
        return list(pointers[:own]), pointers[own:]

    def begin(
        self, f: Function, y: Layout, pointers: Sequence[Value], call: CallArguments
    ) -> AddStored:
        """Emit what a chunk begins with; return what adds to it."""
        del f, y, pointers, call
        return _ignore


def _ignore(channel: Index, stored: Sequence[Value]) -> None:
    del channel, stored


NO_SUMS = EpilogueSums()


@dataclass(frozen=True)
class EpilogueMoments(EpilogueSums):
    """The moments of the stored values.

    The deviations d of a tile are those from its first position. With P positions, S the sum of d
    and Q that of d * d, the tile has the mean ``first + S / P`` and, about it, the squares
    ``Q - S * S / P``. These are at least Q / P, for the first position is one of them: no digits
    are lost, however large the mean is.
    """

    arguments: ClassVar[tuple[str, ...]] = ("accumulator",)

    def begin(
        self, f: Function, y: Layout, pointers: Sequence[Value], call: CallArguments
    ) -> AddStored:
        """Emit the clearing of a fresh chunk; return what merges tiles into it."""
        (accumulator,) = pointers
        chunk = Rows(f, y, accumulator)
        chunk.clear_when_fresh(len(Partial), call)
        return lambda channel, stored: _merge_tile(chunk, channel, stored)


def _merge_tile(chunk: Rows, channel: Index, stored: Sequence[Value]) -> None:
    """Emit the moments of the vectors of a tile, and merge them into those of a chunk."""
    m = VectorMath(chunk.f, chunk.layout.vector)
    first, *others = stored
    deviations = [m.sub(value, first) for value in others]
    total = tree(deviations, m.add) if others else m.constant(0)
    shift = m.mul(total, 1 / len(stored))
    squares = m.fma(m.neg(total), shift, _squares(m, deviations))
    held = Moments.load(chunk, channel)
    # The chunk's first value becomes its origin.
    origin = m.where(m.greater(held.count, 0), chunk.load(Partial.ORIGIN, channel), first)
    chunk.store(origin, Partial.ORIGIN, channel)
    mean = m.add(m.sub(first, origin), shift)
    held.merge(m, Moments(m.constant(len(stored)), mean, squares)).store(chunk, channel)


def _squares(m: VectorMath, deviations: Sequence[Value]) -> Value:
    """Return the sum of the squares."""
    sums = [m.mul(d, d) for d in deviations[:CHAINS]]
    for i, d in enumerate(deviations[CHAINS:]):
        sums[i % CHAINS] = m.fma(d, d, sums[i % CHAINS])
    return tree(sums, m.add) if sums else m.constant(0)
