"""Where every value, parameter and sum lies: the planned arenas."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.compiler.convoys import tuned_convoy
from convoi.compiler.select import SHARE_WORK
from convoi.compiler.steps import (
    BlockOperand,
    ExternalOperand,
    GradientOperand,
    Operand,
    Packing,
    ParameterOperand,
    ScratchOperand,
    SumOperand,
    ValueOperand,
)
from convoi.compiler.traffic import TrafficCounter
from convoi.kernels.base import kernel_address
from convoi.kernels.halo import ClearHalo
from convoi.runtime.buffers import ALIGNMENT, round_up
from convoi.runtime.plan import (
    NOTHING,
    Argument,
    Buffer,
    Extent,
    KernelCall,
    Segment,
    Space,
    Traffic,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from convoi.compiler.segments import StepSegment
    from convoi.compiler.select import Selection
    from convoi.kernels.base import Kernel
    from convoi.kernels.layout import Layout

ARENA = "arena"
APART = "apart"
SCRATCH = "scratch"
BATCH = "batch"
PARAMETERS = "parameters"
TRANSPOSED = "transposed"
STATISTICS = "statistics"
GRADIENTS = "gradients"
SHARES = 8
"""Parts into which the units of a segment that runs once are cut, for threads to take."""
MOST_APART = 8 << 20
"""Bytes of activations of a sample that have memory of their own where threads share every call: a
thread then writes where it wrote the last time, and lines of memory change the core less often.
MobileNetV2 of 96x96, whose activations take 6 MB, gains a fifth where cores are far apart; of
224x224, with 27 MB apart, it would lose as much, for they do not fit the caches. There the larger
ones take turns in slots, which gains a tenth."""


@dataclass(frozen=True)
class Interval:
    """A value that needs memory from one moment to another, both included."""

    name: str
    size: int
    first: int
    last: int


def plan_offsets(intervals: Iterable[Interval]) -> tuple[dict[str, int], int]:
    """Return an offset for each interval, and the size of the arena.

    Values that are needed at the same moment do not overlap. Greedy by size: the largest first,
    each at the lowest offset that is free during its life.
    """
    placed: list[tuple[Interval, int]] = []
    offsets: dict[str, int] = {}
    end = 0
    for interval in sorted(intervals, key=lambda i: (-i.size, i.first, i.name)):
        busy = sorted(
            (offset, offset + other.size)
            for other, offset in placed
            if other.first <= interval.last and interval.first <= other.last
        )
        offset = 0
        for low, high in busy:
            if offset + interval.size <= low:
                break
            offset = max(offset, high)
        placed.append((interval, offset))
        offsets[interval.name] = offset
        end = max(end, offset + interval.size)
    return offsets, end


def share_slots(intervals: Iterable[Interval]) -> list[list[Interval]]:
    """Return values that take turns in the same memory: greedy, the largest first."""
    slots: list[list[Interval]] = []
    for interval in sorted(intervals, key=lambda i: (-i.size, i.first, i.name)):
        for slot in slots:
            if all(other.last < interval.first or interval.last < other.first for other in slot):
                slot.append(interval)
                break
        else:
            slots.append([interval])
    return slots


@dataclass(frozen=True)
class ParameterPlace:
    """Where a packed parameter lies: a buffer and an offset in elements."""

    packing: Packing
    buffer: str
    offset: int


def place_parameters(
    packings: Iterable[Packing], itemsize: int
) -> tuple[dict[str, ParameterPlace], dict[str, int]]:
    """Return the place of every packing, and the elements of each buffer.

    The first cache line of the parameters stays zero: it is what padding is gathered from.
    """
    granule = ALIGNMENT // itemsize
    ends = {PARAMETERS: granule, TRANSPOSED: 0, STATISTICS: 0}
    places = {}
    for packing in packings:
        if packing.transposed:
            buffer = TRANSPOSED
        elif packing.kind.trainable:
            buffer = PARAMETERS
        else:
            buffer = STATISTICS
        places[packing.name] = ParameterPlace(packing, buffer, ends[buffer])
        ends[buffer] += round_up(packing.size, granule)
    return places, ends


@dataclass(frozen=True)
class MemoryPlan:
    """Segments with addresses, and the buffers that they need."""

    segments: tuple[Segment, ...]
    buffers: tuple[Buffer, ...]
    places: Mapping[str, ParameterPlace]
    steps: tuple[StepSegment, ...]
    """What the segments were made of."""


class MemoryPlanner:
    """Assigns memory to the operands of the steps of one program."""

    def __init__(
        self,
        selection: Selection,
        segments: Sequence[StepSegment],
        granule: int = 1,
        *,
        link: bool = True,
    ) -> None:
        self.selection = selection
        self.link = link
        self.granule = granule
        self.segments = segments
        self.places, self.ends = place_parameters(selection.packings.values(), selection.itemsize)
        self._blocks: dict[str, int] = {}
        self._externals: dict[str, int] = {}
        self._sums: dict[str, int] = {}
        self._scratch = 0
        self._where: dict[str, tuple[int, int]] = {}
        """For each value of an arena: its segment and its offset per sample."""
        self._apart: dict[str, int] = {}
        """For each value of an arena: its offset where no two share memory."""
        self._apart_bytes = 0
        self._alone: set[str] = set()
        """Values that share that memory with no others."""
        self._in_batch: dict[str, int] = {}
        self._convoys: dict[int, int] = {}
        self._to_clear: set[str] = set()
        self._traffic = TrafficCounter(selection)

    def plan(self) -> MemoryPlan:
        """Return the plan."""
        batch_bytes, arena_bytes = self._place_values()
        segments = tuple(self._segment(i) for i in range(len(self.segments)))
        itemsize = self.selection.itemsize
        buffers = [
            Buffer(ARENA, Space.THREAD, arena_bytes),
            Buffer(SCRATCH, Space.THREAD, self._scratch, private=True),
            Buffer(APART, Space.TEAM, self._apart_bytes),
            Buffer(BATCH, Space.BATCH, batch_bytes),
            Buffer(PARAMETERS, Space.FIXED, self.ends[PARAMETERS] * itemsize),
            Buffer(TRANSPOSED, Space.FIXED, self.ends[TRANSPOSED] * itemsize),
            Buffer(STATISTICS, Space.FIXED, self.ends[STATISTICS] * itemsize),
            *self._gradients(),
            *(Buffer(name, Space.CHUNK, size) for name, size in self._sums.items()),
            *(Buffer(name, Space.FIXED, size) for name, size in self._blocks.items()),
            *(Buffer(name, Space.EXTERNAL, size) for name, size in self._externals.items()),
        ]
        return MemoryPlan(segments, tuple(buffers), self.places, tuple(self.segments))

    def _gradients(self) -> list[Buffer]:
        """Return the memory of gradients, which lie as the parameters do."""
        size = self.ends[PARAMETERS] * self.selection.itemsize
        return [Buffer(GRADIENTS, Space.CHUNK, size)] if self.selection.training else []

    # Values -----------------------------------------------------------------------------------

    def _size(self, root: str) -> int:
        return self.selection.layout(root).bytes

    def _place_values(self) -> tuple[int, int]:
        """Place every value in the batch's memory or in the arena of its segment."""
        lives: dict[str, list[tuple[int, int]]] = {}
        for i, segment in enumerate(self.segments):
            for j, step in enumerate(segment.steps):
                for operand in step.operands:
                    if isinstance(operand, ValueOperand):
                        lives.setdefault(self.selection.root(operand.value), []).append((i, j))
        crossing = {root for root, uses in lives.items() if len({i for i, _ in uses}) > 1}
        batch = [
            Interval(root, self._size(root), lives[root][0][0], lives[root][-1][0])
            for root in lives
            if root in crossing
        ]
        self._in_batch, batch_bytes = plan_offsets(batch)
        self._mark_shared([(self._in_batch[b.name], b) for b in batch])
        arena_bytes = self._place_arenas(lives, crossing)
        return batch_bytes, arena_bytes

    def _place_arenas(self, lives: Mapping[str, list[tuple[int, int]]], crossing: set[str]) -> int:
        """Place the values of each segment in its arena; choose its convoy."""
        arena_bytes = 0
        ranges: list[tuple[int, Interval]] = []
        for i in range(len(self.segments)):
            local = [
                Interval(root, self._size(root), uses[0][1], uses[-1][1])
                for root, uses in lives.items()
                if uses[0][0] == i and root not in crossing
            ]
            offsets, peak = plan_offsets(local)
            touched = sum(
                self._size(root) for root in crossing if any(s == i for s, _ in lives[root])
            )
            convoy = tuned_convoy(self.selection, self.segments[i].steps, peak + touched)
            self._convoys[i] = convoy
            for interval in local:
                offset = offsets[interval.name]
                self._where[interval.name] = (i, offset)
                ranges.append(
                    (offset * convoy, Interval(interval.name, interval.size * convoy, 0, 0))
                )
            arena_bytes = max(arena_bytes, peak * convoy)
        self._mark_shared(ranges)
        if not self.selection.training:
            self._place_for_teams(lives, [interval.name for _, interval in ranges])
        return arena_bytes

    def _place_for_teams(
        self, lives: Mapping[str, list[tuple[int, int]]], names: list[str]
    ) -> None:
        """Place the values of arenas for threads that share every call.

        The smallest have memory of their own. The others share slots whose middle is theirs, too:
        so the first rows of all values of a slot lie in one half, and the last rows in the other.
        """
        rest = sorted(names, key=self._size)
        while rest and self._apart_bytes + self._size(rest[0]) <= MOST_APART:
            value = rest.pop(0)
            self._alone.add(value)
            self._apart[value] = self._apart_bytes
            self._apart_bytes += self._size(value)
        begun = list(itertools.accumulate((len(s.steps) for s in self.segments), initial=0))
        steps = {v: [begun[segment] + step for segment, step in lives[v]] for v in rest}
        intervals = [Interval(v, self._size(v), steps[v][0], steps[v][-1]) for v in rest]
        for slot in share_slots(intervals):
            size = max(interval.size for interval in slot)
            for interval in slot:
                margin = (size - interval.size) // 2 // ALIGNMENT * ALIGNMENT
                self._apart[interval.name] = self._apart_bytes + margin
                if self.selection.layout(interval.name).has_halo:
                    self._to_clear.add(interval.name)
            self._apart_bytes += size

    def _mark_shared(self, ranges: list[tuple[int, Interval]]) -> None:
        """Remember the values with a halo whose memory others write: it is cleared each time.

        Memory that a value has for itself was zeroed when it was allocated.
        """
        for offset, interval in ranges:
            if not self.selection.layout(interval.name).has_halo:
                continue
            end = offset + interval.size
            if any(
                other.name != interval.name and start < end and offset < start + other.size
                for start, other in ranges
            ):
                self._to_clear.add(interval.name)

    # Steps ------------------------------------------------------------------------------------

    def _segment(self, number: int) -> Segment:
        segment = self.segments[number]
        calls: list[KernelCall] = []
        cleared: set[str] = set()
        for step in segment.steps:
            for value in step.writes:
                root = self.selection.root(value)
                if root in self._to_clear and root not in cleared:
                    calls.append(self._clear_call(root))
                    cleared.add(root)
            arguments = tuple(map(self._argument, step.operands))
            traffic = self._traffic.of(step)
            calls.append(self._call(step.label, step.kernel, arguments, traffic))
        if segment.whole:
            at_once = -(-segment.units // SHARES)
            return Segment(tuple(calls), convoy=at_once, extent=Extent.FIXED, units=segment.units)
        convoy = self._convoys[number]
        # Convoys that are smaller than a tile gain nothing from chunks that begin at tiles.
        granule = self.granule if convoy % self.granule == 0 else 1
        return Segment(tuple(calls), convoy=convoy, granule=granule)

    def _clear_call(self, root: str) -> KernelCall:
        layout: Layout = self.selection.layout(root)
        halo = layout.bytes - layout.stride * layout.positions * layout.element.size
        place = (self._value(root),)
        call = self._call(f"clear {root}", ClearHalo(layout), place, Traffic(halo))
        return replace(call, clears=True, needless=root in self._alone)

    def _call(
        self,
        label: str,
        kernel: Kernel,
        arguments: tuple[Argument, ...],
        traffic: Traffic = NOTHING,
    ) -> KernelCall:
        address = kernel_address(kernel, self.selection.target) if self.link else 0
        units = kernel.units
        shares = min(units, max(1, int(kernel.work // SHARE_WORK)))
        name = type(kernel).__name__
        return KernelCall(label, address, arguments, name, units, shares, traffic=traffic)

    def _argument(  # noqa: PLR0911 - one for each kind of operand
        self, operand: Operand
    ) -> Argument:
        if isinstance(operand, ValueOperand):
            return self._value(self.selection.root(operand.value))
        if isinstance(operand, ParameterOperand):
            place = self.places[operand.packing]
            return Argument(place.buffer, place.offset * self.selection.itemsize)
        if isinstance(operand, GradientOperand):
            place = self.places[operand.packing]
            offset = place.offset * self.selection.itemsize
            return Argument(GRADIENTS, offset, whole=operand.whole)
        if isinstance(operand, SumOperand):
            self._sums[operand.name] = operand.bytes
            return Argument(operand.name, whole=operand.whole)
        if isinstance(operand, BlockOperand):
            self._blocks[operand.name] = max(operand.bytes, self._blocks.get(operand.name, 0))
            return Argument(operand.name, operand.offset)
        if isinstance(operand, ScratchOperand):
            self._scratch = max(self._scratch, operand.bytes)
            return Argument(SCRATCH)
        if isinstance(operand, ExternalOperand):
            self._externals[operand.name] = operand.per_sample
            return Argument(operand.name, 0, operand.per_sample)
        raise TypeError(operand)

    def _value(self, root: str) -> Argument:
        if root in self._in_batch:
            return Argument(BATCH, self._in_batch[root], self._size(root))
        segment, offset = self._where[root]
        return Argument(ARENA, offset * self._convoys[segment], apart=self._apart.get(root))
