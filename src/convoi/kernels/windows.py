"""Windows that slide over an activation without gaps inside them: the loops of pooling.

Position ``p`` of an axis sees the input positions ``p * stride - low + r`` for the taps ``r`` that
lie inside the input. Positions that see the same taps form a run. Small windows are unrolled, run
by run, so nothing is checked inside the loops; for large ones, loops over taps have bounds that
are computed per position.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from convoi.codegen.types import Index, Value
from convoi.kernels.spans import maximum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.kernels.layout import Layout, Pair
    from convoi.kernels.sharing import Bounds

UNROLLED_TAPS = 32
"""Taps of the largest windows that are unrolled."""
UNROLLED_CODE = 640
"""Taps of all combinations of runs, the measure of the code that unrolling makes."""
CHUNK = 8
"""Taps per iteration of a loop over many taps."""
BLOCKS = 4
"""Vectors of channels that are handled together."""
BLOCK_CODE = 512
"""Unrolled taps times vectors that are handled together."""

Elements: TypeAlias = tuple[Index, ...]
"""The same place in several layouts: an element of each."""
FoldStep: TypeAlias = Callable[[list[Elements], list[Value]], list[Value]]
"""Handles a few taps; receives and returns what is carried from tap to tap."""


@dataclass(frozen=True)
class Run:
    """Positions ``range(start, stop)`` of an axis; None: their taps are computed at run time."""

    start: int
    stop: int
    taps: range | None


@dataclass(frozen=True)
class Window:
    """One position of a window: where it lies, and its taps."""

    inputs: Elements
    """Elements of the first tap; they lie in front of the input where the window is clipped."""
    outputs: Elements
    bounds: tuple[tuple[Index, Index], ...]
    """First tap and the one behind the last, per axis."""
    strides: tuple[tuple[int, ...], ...]
    """Elements from one tap to the next: per axis, of every input."""

    def offsets(self) -> list[tuple[int, ...]] | None:
        """Return all taps relative to :attr:`inputs`, or None if they are not to be unrolled."""
        axes: list[list[tuple[int, ...]]] = []
        for (first, last), strides in zip(self.bounds, self.strides, strict=True):
            if not (isinstance(first, int) and isinstance(last, int)):
                return None
            axes.append([tuple(r * stride for stride in strides) for r in range(first, last)])
        if prod(map(len, axes)) > UNROLLED_TAPS:
            return None
        origin = (0,) * len(self.inputs)
        return [
            tuple(map(sum, zip(origin, *taps, strict=True))) for taps in itertools.product(*axes)
        ]


@dataclass(frozen=True)
class Windows:
    """Windows over the inputs, one for each position of the outputs.

    The inputs have the same spatial shape, and so have the outputs. Every window must see at
    least one position of the inputs: the padding is smaller than the window.
    """

    inputs: tuple[Layout, ...]
    outputs: tuple[Layout, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    work: int = 1
    """Code of one tap, as a multiple of a load and an addition."""

    def __post_init__(self) -> None:
        """Check that the layouts match."""
        layouts = self.inputs + self.outputs
        dtypes = {layout.dtype for layout in layouts} - {"uint8"}
        if len(dtypes) > 1 or len({(layout.channels, layout.lanes) for layout in layouts}) > 1:
            message = f"Pooling keeps channels, lanes and dtype, which differ in {layouts}."
            raise ValueError(message)

    @property
    def extents(self) -> tuple[int, ...]:
        """Windows per axis."""
        return self.outputs[0].spatial

    def _taps(self, axis: int, position: int) -> range:
        """Return the taps of a position of an axis that lie inside the input."""
        first = position * self.stride[axis] - self.padding[axis][0]
        return range(max(0, -first), min(self.size[axis], self.inputs[0].spatial[axis] - first))

    def runs(self, axis: int) -> tuple[Run, ...]:
        """Return the runs of an axis."""
        positions = range(self.extents[axis])
        seen = itertools.groupby(positions, lambda position: self._taps(axis, position))
        groups = [(taps, list(group)) for taps, group in seen]
        return tuple(Run(group[0], group[-1] + 1, taps) for taps, group in groups)

    @property
    def overlap(self) -> bool:
        """Whether an input position may lie in several windows."""
        return any(
            stride < size and extent > 1
            for stride, size, extent in zip(self.stride, self.size, self.extents, strict=True)
        )

    def covered(self, axis: int) -> list[range]:
        """Return the input positions of an axis that lie in windows which do not overlap."""
        ranges: list[range] = []
        for position in range(self.extents[axis]):
            first = position * self.stride[axis] - self.padding[axis][0]
            taps = self._taps(axis, position)
            start, stop = first + taps.start, first + taps.stop
            if ranges and ranges[-1].stop == start:
                start = ranges.pop().start
            ranges.append(range(start, stop))
        return ranges

    @property
    def _all_runs(self) -> tuple[tuple[Run, ...], ...]:
        return tuple(self.runs(axis) for axis in range(len(self.size)))

    @property
    def _code(self) -> int:
        taps = prod(sum(len(run.taps or ()) for run in runs) for runs in self._all_runs)
        return self.work * taps

    @property
    def are_unrolled(self) -> bool:
        """Whether all taps of all windows are known while the kernel is made."""
        most = prod(max(len(run.taps or ()) for run in runs) for runs in self._all_runs)
        return most <= UNROLLED_TAPS and self._code <= UNROLLED_CODE

    def plan(self) -> tuple[tuple[tuple[Run, ...], ...], int]:
        """Return the runs of each axis, and how many vectors of channels go together."""
        axes = self._all_runs
        if self.are_unrolled:
            return axes, min(BLOCKS, max(1, BLOCK_CODE // self._code))
        at_run_time = tuple(
            runs if len(runs) == 1 else (Run(0, extent, None),)
            for runs, extent in zip(axes, self.extents, strict=True)
        )
        return at_run_time, BLOCKS


def each_window(
    f: Function,
    windows: Windows,
    body: Callable[[Window, Index, int], None],
    some: Bounds | None = None,
) -> None:
    """Run the body for every window and every few vectors of channels.

    The body receives the window, the element at which the vectors begin and how many they are. Of
    the windows along the first axis, some may be asked for.
    """
    axes, together = windows.plan()
    sample = windows.outputs[0]
    strides = tuple(zip(*(layout.axis_strides for layout in windows.inputs), strict=True))

    def advance(elements: Elements, steps: Index, layouts: Sequence[Layout], axis: int) -> Elements:
        return tuple(
            f.add(element, f.mul(steps, layout.axis_strides[axis]))
            for element, layout in zip(elements, layouts, strict=True)
        )

    def nest(runs: Sequence[Run], window: Window) -> None:
        axis = len(window.bounds)
        if axis == len(runs):
            each_block(f, sample, together, lambda element, n: body(window, element, n))
            return
        run = runs[axis]

        def one(position: Index, _: list[Value]) -> None:
            first = f.sub(f.mul(position, windows.stride[axis]), windows.padding[axis][0])
            bounds: tuple[Index, Index]
            if run.taps is None:
                extent = windows.inputs[0].spatial[axis]
                low = maximum(f, f.sub(0, first), 0)
                bounds = low, f.minimum(f.sub(extent, first), windows.size[axis])
            else:
                bounds = run.taps.start, run.taps.stop
            inputs = advance(window.inputs, first, windows.inputs, axis)
            outputs = advance(window.outputs, position, windows.outputs, axis)
            nest(runs, Window(inputs, outputs, (*window.bounds, bounds), strides))

        start, stop = run.start, run.stop
        if some is None or axis:
            f.loop(stop, one, start=start)
        else:
            f.loop(f.minimum(some[1], stop), one, start=maximum(f, some[0], start))

    inputs = tuple(layout.origin for layout in windows.inputs)
    outputs = tuple(layout.origin for layout in windows.outputs)
    for runs in itertools.product(*axes):
        nest(runs, Window(inputs, outputs, (), strides))


def each_block(
    f: Function, layout: Layout, together: int, body: Callable[[Index, int], None]
) -> None:
    """Run the body for every few vectors of channels: the first element, and how many they are."""
    looped = layout.blocks - layout.blocks % together

    def several(element: Index, _: list[Value]) -> None:
        body(element, together)

    f.loop(looped * layout.lanes, several, step=together * layout.lanes)
    if layout.blocks > looped:
        body(looped * layout.lanes, layout.blocks - looped)


def fold(f: Function, window: Window, initial: list[Value], step: FoldStep) -> list[Value]:
    """Run a step for the taps of a window in scan order, several taps at a time."""

    def move(elements: Elements, taps: Index, axis: int) -> Elements:
        strides = window.strides[axis]
        return tuple(f.add(e, f.mul(taps, s)) for e, s in zip(elements, strides, strict=True))

    def nest(axis: int, elements: Elements, carried: list[Value]) -> list[Value]:
        low, high = window.bounds[axis]
        if axis + 1 < len(window.bounds):
            return f.loop(
                high, lambda r, c: nest(axis + 1, move(elements, r, axis), c), carried, start=low
            )
        if not (isinstance(low, int) and isinstance(high, int)):
            return f.loop(high, lambda r, c: step([move(elements, r, axis)], c), carried, start=low)

        def several(r: Index, c: list[Value], count: int = CHUNK) -> list[Value]:
            first = move(elements, r, axis)
            return step([move(first, k, axis) for k in range(count)], c)

        looped = low + (high - low) // CHUNK * CHUNK
        carried = f.loop(looped, several, carried, start=low, step=CHUNK)
        return several(looped, carried, high - looped) if high > looped else carried

    taps = unrolled(f, window)
    return nest(0, window.inputs, initial) if taps is None else step(taps, initial)


def reduce_taps(
    f: Function,
    window: Window,
    identity: list[Value],
    combine: Callable[[list[Elements]], list[Value]],
    merge: Callable[[Value, Value], Value],
) -> list[Value]:
    """Reduce the taps of a window: ``combine`` a few of them, ``merge`` two such results."""

    def step(taps: list[Elements], carried: list[Value]) -> list[Value]:
        return [merge(a, b) for a, b in zip(carried, combine(taps), strict=True)]

    taps = unrolled(f, window)
    return fold(f, window, identity, step) if taps is None else combine(taps)


def unrolled(f: Function, window: Window) -> list[Elements] | None:
    """Return the elements of all taps, or None if they are not to be unrolled."""
    offsets = window.offsets()
    if offsets is None:
        return None
    return [
        tuple(f.add(e, offset) for e, offset in zip(window.inputs, tap, strict=True))
        for tap in offsets
    ]
