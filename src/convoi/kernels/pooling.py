"""What pooling kernels share: their loops, and the giving of gradients to positions.

A subclass of :class:`WindowKernel` defines what is done in one window. Backward, windows give to
the positions of dx: where windows do not overlap, each position is written once; where they do, dx
is cleared and windows add to it in scan order.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.spans import Sample, clear_span, each_row, each_sample
from convoi.kernels.windows import Window, Windows, each_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout, Pair

MAX_GAPS = 4
"""Runs of positions outside all windows that are cleared one by one, per axis."""


class WindowKernel(Kernel):
    """The loops over samples, windows and channels.

    Subclasses are frozen dataclasses with these fields, behind the layouts that `arguments` names.
    """

    gives: ClassVar[bool] = False
    """Whether windows give to positions of the last activation, which are cleared as need be."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]

    @property
    @abstractmethod
    def windows(self) -> Windows:
        """The windows, and the layouts that they move in."""

    @abstractmethod
    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Emit the work on a window, for some vectors of channels from an element on."""

    def over(self, inputs: tuple[Layout, ...], outputs: tuple[Layout, ...]) -> Windows:
        """Return windows of the kernel's size over inputs, one for each position of outputs."""
        return Windows(inputs, outputs, self.size, self.stride, self.padding)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and windows."""
        windows = self.windows
        layouts: list[Layout] = [getattr(self, name) for name in self.arguments]
        some = (call.begin, call.end) if self.units > 1 else None

        def one(samples: list[Sample]) -> None:
            def body(window: Window, element: Index, blocks: int) -> None:
                self.emit_window(window, samples, element, blocks)

            if self.gives:
                clear_rest(windows, samples[-1])
            each_window(f, windows, body, some)

        each_sample(f, call.count, pointers, layouts, one)


@dataclass(frozen=True)
class ForwardKernel(WindowKernel):
    """A value of y for each window over x."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "y")

    x: Layout
    y: Layout
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]

    @property
    def windows(self) -> Windows:
        """The windows over x, one for each position of y."""
        return self.over((self.x,), (self.y,))


@dataclass(frozen=True)
class SharingKernel(WindowKernel):
    """Each window over dx shares its value of dy."""

    arguments: ClassVar[tuple[str, ...]] = ("dy", "dx")
    gives: ClassVar[bool] = True

    dy: Layout
    dx: Layout
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]

    @property
    def windows(self) -> Windows:
        """The windows over dx, one for each position of dy."""
        return self.over((self.dx,), (self.dy,))


@dataclass(frozen=True)
class GivingKernel(WindowKernel):
    """Each window gives its value of dy to positions of dx, according to x and y."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "y", "dy", "dx")
    gives: ClassVar[bool] = True

    x: Layout
    y: Layout
    dy: Layout
    dx: Layout
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]

    @property
    def windows(self) -> Windows:
        """The windows over x and dx, one for each position of y and dy."""
        return self.over((self.x, self.dx), (self.y, self.dy))


def contribute(value: Value, dx: Sample, element: Index, block: int, *, add: bool) -> None:
    """Give a value to a position of dx; add it where windows overlap."""
    if add:
        value = dx.f.fadd(dx.load(element, block), value)
    dx.store(value, element, block)


def clear_all(dx: Sample) -> None:
    """Clear all positions of dx."""

    def row(at: list[Index], _: Index, length: int) -> None:
        clear_span(dx.f, dx.at(at[0]), length * dx.layout.stride, dx.layout.element)

    each_row(dx.f, (dx.layout,), row)


def clear_rest(windows: Windows, dx: Sample) -> None:
    """Clear the positions of dx that windows do not write once: shared ones, or outside of all.

    Few gaps between windows are cleared one by one, else all positions are.
    """
    f, layout = dx.f, dx.layout
    covered = [windows.covered(axis) for axis in range(len(layout.spatial))]
    if windows.overlap or any(len(ranges) > MAX_GAPS for ranges in covered):
        clear_all(dx)
        return

    def gaps(axis: int, element: Index) -> None:
        """Clear the gaps of an axis, and between them those of the axes behind it."""
        if axis == len(layout.spatial):
            return

        def inside(i: Index, _: list[Value]) -> None:
            gaps(axis + 1, f.add(element, f.mul(i, layout.axis_strides[axis])))

        at = 0
        for seen in covered[axis]:
            dx.clear(axis, at, seen.start, element)
            f.loop(seen.stop, inside, start=seen.start)
            at = seen.stop
        dx.clear(axis, at, layout.spatial[axis], element)

    gaps(0, layout.origin)
