"""Maximum over windows that notes where each was found, and its gradient.

    y[c, p] = max over r of x[c, p * stride - low + r]      n[c, p] = the first such r
    dx[c, p * stride - low + n[c, p]] += dy[c, p]

``n`` is a byte and counts the taps inside the input. It is `NOBODY` where there is NaN. If the
input is the output of a rectifier whose gradient is wanted (``rectified``), it is so too where no
value is positive. Lanes are channels; windows have to be small enough to be unrolled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import I32, Value, Vector, constant
from convoi.kernels.lanes import tree
from convoi.kernels.pooling import WindowKernel, contribute
from convoi.kernels.windows import Window, Windows, unrolled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout, Pair
    from convoi.kernels.spans import Sample

NOBODY = 255
"""Number of the winner of a window that has none."""


@dataclass(frozen=True)
class MaxPoolWinners(WindowKernel):
    """Largest value of each window, NaN if there is one, and which tap it was."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "winners", "y")

    x: Layout
    winners: Layout
    y: Layout
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    rectified: bool = False

    @property
    def windows(self) -> Windows:
        """The windows over x, one for each position of y and of the winners."""
        return self.over((self.x,), (self.y, self.winners))

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Emit the maximum of a window, and the number of its tap."""
        x, winners, y = samples
        f = x.f
        y_at, winner_at = (f.add(e, element) for e in window.outputs)
        taps = _taps(f, window)
        for b in range(blocks):
            values = [x.load(f.add(tap, element), b) for tap in taps]
            top, number = first_largest(f, values, x.layout.lanes, rectified=self.rectified)
            y.store(top, y_at, b)
            winners.store(f.convert("trunc", number, self.winners.vector), winner_at, b)


@dataclass(frozen=True)
class WinnerBackward(WindowKernel):
    """The gradient of each window goes to the tap that its maximum was taken from."""

    arguments: ClassVar[tuple[str, ...]] = ("winners", "dy", "dx")
    gives: ClassVar[bool] = True

    winners: Layout
    dy: Layout
    dx: Layout
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]

    @property
    def windows(self) -> Windows:
        """The windows over dx, one for each position of dy and of the winners."""
        return self.over((self.dx,), (self.dy, self.winners))

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Give the gradient of a window to its winner."""
        winners, dy, dx = samples
        f, overlap = dy.f, self.windows.overlap
        zero, integers = constant(self.dy.vector, 0), Vector(I32, self.dy.lanes)
        dy_at, winner_at = (f.add(e, element) for e in window.outputs)
        taps = _taps(f, window)
        for b in range(blocks):
            value = dy.load(dy_at, b)
            number = f.convert("zext", winners.load(winner_at, b), integers)
            for i, tap in enumerate(taps):
                taken = f.select(f.compare("eq", number, i), value, zero)
                contribute(taken, dx, f.add(tap, element), b, add=overlap)


def first_largest(
    f: Function, values: Sequence[Value], lanes: int, *, rectified: bool = False
) -> tuple[Value, Value]:
    """Return the lane-wise maximum, and the number of its first place as an int32.

    Values are in scan order. `NOBODY` is the number where one is NaN, and if they are ``rectified``
    where none is positive.
    """
    vector, integers = values[0].type, Vector(I32, lanes)
    nobody = constant(integers, NOBODY)

    def better(a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
        larger = f.fcompare("ogt", b[0], a[0])
        return f.select(larger, b[0], a[0]), f.select(larger, b[1], a[1])

    left = [(value, constant(integers, i)) for i, value in enumerate(values)]
    while len(left) > 1:
        merged = [better(a, b) for a, b in zip(left[::2], left[1::2], strict=False)]
        left = merged + left[2 * len(merged) :]
    ((top, number),) = left
    pairs = zip(values[::2], [*values[1::2], values[-1]], strict=False)
    unordered = tree([f.fcompare("uno", a, b) for a, b in pairs], partial(f.integer, "or"))
    number = f.select(unordered, nobody, number)
    if rectified:
        number = f.select(f.fcompare("ogt", top, constant(vector, 0)), number, nobody)
    return f.select(unordered, constant(vector, math.nan), top), number


def _taps(f: Function, window: Window) -> list[Index]:
    """Return the elements of a window's taps in scan order."""
    taps = unrolled(f, window)
    if taps is None:
        message = "Taps have numbers only in windows that are unrolled."
        raise ValueError(message)
    return [tap for (tap,) in taps]
