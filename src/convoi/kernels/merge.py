"""Copying a range of channels: concatenation, slices of channels, and the gradients of both.

    target[target_channel + c, p] = source[source_channel + c, p]    for 0 <= c < channels

Lanes are channels on both sides, but the range may begin at another lane of the target than of the
source, and the two may have vectors of different widths: vectors of the target are then loaded
from the source without alignment, or shifted in a register at the ends of the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.spans import Sample, load_elements
from convoi.kernels.traversal import Traversal, steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout
    from convoi.kernels.traversal import Point

VECTORS = 4
"""Vectors that are handled per iteration of a loop."""


@dataclass(frozen=True)
class CopyChannels(Kernel):
    """Copy a range of channels, or add it to what the target holds.

    The other channels of the target stay as they are; with ``clear`` they become zero. Lanes
    beyond the target's channels become zero in the vectors that are written, so kernels that
    together write all channels leave them so, in any order.
    """

    arguments: ClassVar[tuple[str, ...]] = ("source", "target")

    source: Layout
    target: Layout
    source_channel: int
    target_channel: int
    channels: int
    accumulate: bool = False
    clear: bool = False

    def __post_init__(self) -> None:
        """Check that the range lies in both layouts."""
        fits = (
            self.channels > 0
            and 0 <= self.source_channel <= self.source.channels - self.channels
            and 0 <= self.target_channel <= self.target.channels - self.channels
        )
        if not fits or (self.accumulate and self.clear):
            message = f"{self} does not copy a range of the source into the target."
            raise ValueError(message)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over the positions."""
        source = Sample(f, pointers[0], self.source)
        target = Sample(f, pointers[1], self.target)

        def some(points: Sequence[Point], _: list[Value]) -> None:
            for s, t in points:
                self._position(
                    source, target, f.add(s, self.source.origin), f.add(t, self.target.origin)
                )

        steps = (steps_of(self.source), steps_of(self.target))
        traversal = Traversal(f, self.target.spatial, steps, call)
        traversal.each(some, unroll=max(1, VECTORS // len(self._written())))

    def _written(self) -> range:
        """Return the vectors of the target that are written at each position."""
        if self.clear:
            return range(self.target.blocks)
        stop = self.target_channel + self.channels
        lanes = self.target.lanes
        return range(self.target_channel // lanes, -(-stop // lanes))

    def _position(self, source: Sample, target: Sample, s: Index, t: Index) -> None:
        """Emit the copy of one position."""
        lanes = self.target.lanes
        stop = self.target_channel + self.channels
        whole = range(-(-self.target_channel // lanes), stop // lanes)
        looped = range(whole.start, whole.start + len(whole) // VECTORS * VECTORS)
        for block in self._written():
            if block not in looped:
                self._vector(source, target, s, t, block)

        def several(step: Index, _: list[Value]) -> None:
            for block in looped[:VECTORS]:
                self._vector(source, target, source.f.add(s, step), source.f.add(t, step), block)

        source.f.loop(len(looped) * lanes, several, step=VECTORS * lanes)

    def _vector(self, source: Sample, target: Sample, s: Index, t: Index, block: int) -> None:
        """Emit the copy of one vector of the target."""
        f, lanes = target.f, self.target.lanes
        channels = range(block * lanes, (block + 1) * lanes)
        copied = range(self.target_channel, self.target_channel + self.channels)
        wanted = [channel in copied for channel in channels]
        # What the lanes that are not copied hold in the end.
        kept = [not (c in copied or self.clear) and c < self.target.channels for c in channels]
        zero = constant(self.target.vector, 0)
        value = zero
        if any(wanted):
            value = _choose(f, wanted, self._load(source, s, block, wanted), zero)
        if self.accumulate:
            value = f.fadd(target.load(t, block), value)
        elif any(kept):
            value = _choose(f, kept, target.load(t, block), value)
        target.store(value, t, block)

    def _load(self, source: Sample, s: Index, block: int, wanted: list[bool]) -> Value:
        """Return the wanted lanes of a vector of the target; the others hold anything."""
        f, lanes = source.f, self.target.lanes
        first = block * lanes + self.source_channel - self.target_channel
        if self.source.stride < lanes:
            a, n = wanted.index(True), sum(wanted)
            value = load_elements(f, source.at(f.add(s, first + a)), n, self.target.vector)
            shift = -a
        else:
            # Nothing is read beyond the position: it may be the last of a buffer.
            inside = min(max(first, 0), self.source.stride - lanes)
            value = f.load(source.at(f.add(s, inside)), self.target.vector)
            shift = first - inside
        if shift == 0:
            return value
        return f.shuffle(
            value, value, [lane + shift if wanted[lane] else -1 for lane in range(lanes)]
        )


def _choose(f: Function, lanes: list[bool], a: Value, b: Value) -> Value:
    """Return a in the chosen lanes and b in the others."""
    if all(lanes):
        return a
    return f.shuffle(
        a, b, [lane if chosen else len(lanes) + lane for lane, chosen in enumerate(lanes)]
    )
