"""Convolutions whose weights repeat every few positions, as ordinary ones on parts of the grid.

    y[k, p] = sum over c, r of w[p mod t, k, c, r] * x[c, stride * p - low + dilation * r]

The positions of a residue ``p mod t`` share weights, and they are a grid of their own whose axes
have steps *t* times as long. So each residue is an ordinary convolution of displaced tensors, and
the kernels of those do the work: a loop over the residues moves their pointers. Where no two
positions share weights, a part is one position, and its register tile spans samples.

The gradient with respect to the input has the same form: positions of dx whose distance is the
tile meet the same weights in the same order. What differs is only the order in which the weights
lie, ``[residue][block][tap][input channel][output channel]`` for both.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import Index, Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.correlate import Correlate
from convoi.kernels.lanes import groups, load_group, registers
from convoi.kernels.register_tile import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Scalar
    from convoi.kernels.grid import Run
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class Residues:
    """Residues of an axis, ``range(first, stop)``, with the same number of positions each."""

    first: int
    stop: int


@dataclass(frozen=True)
class Move:
    """Where an operand of a part lies: elements from the pointer, and per residue of each axis."""

    start: int
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A kernel for each of some residues, with an entry in `moves` for each of its pointers."""

    kernel: Kernel
    residues: tuple[Residues, ...]
    moves: tuple[Move, ...]
    slides: tuple[int, ...]
    """Positions of x from one residue of each axis to the next."""


@dataclass(frozen=True)
class Tiled(Kernel):
    """Parts one after another; they have the pointers of the parts' kernels."""

    element: Scalar
    parts: tuple[Part, ...]

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return self.parts[0].kernel.pointer_count()

    @property
    def samples_at_once(self) -> int:
        """The most that a part takes."""
        return max(part.kernel.samples_at_once for part in self.parts)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over the residues of each part."""
        for part in self.parts:
            starts = [move.start for move in part.moves]
            first = [f.at(p, at, self.element) for p, at in zip(pointers, starts, strict=True)]
            self._residues(f, part, (), first, call)

    def _residues(
        self,
        f: Function,
        part: Part,
        origins: tuple[Origin, ...],
        pointers: Sequence[Value],
        call: CallArguments,
    ) -> None:
        axis = len(origins)
        if axis == len(part.residues):
            if isinstance(part.kernel, Correlate):
                part.kernel.emit_part(f, pointers, call, origins)
            else:
                part.kernel.emit(f, pointers, call)
            return
        residues, slide = part.residues[axis], part.slides[axis]
        steps = [move.steps[axis] for move in part.moves]

        def one(residue: Index, _: object) -> None:
            moved = [
                f.at(p, f.mul(residue, step), self.element)
                for p, step in zip(pointers, steps, strict=True)
            ]
            origin = Origin(f.mul(residue, slide), (residues.stop - 1) * slide)
            self._residues(f, part, (*origins, origin), moved, call)

        f.loop(residues.stop, one, start=residues.first)


def split_run(run: Run, tile: int) -> list[tuple[Residues, Run]]:
    """Return the residues of a run of positions, each as a run of its own.

    Those of the first residues may be one position longer than the others.
    """
    whole, rest = divmod(run.count, tile)
    classes = ((0, rest, whole + 1), (rest, tile, whole))
    return [
        (Residues(first, stop), _every(run, tile, count))
        for first, stop, count in classes
        if first < stop and count
    ]


def _every(run: Run, tile: int, count: int) -> Run:
    """Return every tile-th position of a run."""
    return type(run)(count, run.first, tile * run.step, tile * run.input_step, run.taps)


def split_runs(
    runs: Sequence[Run], tile: Sequence[int]
) -> list[tuple[tuple[Residues, ...], tuple[tuple[Run, ...], ...]]]:
    """Return the parts of a grid: the residues of each axis, and the axes of their kernel."""
    per_axis = [split_run(run, t) for run, t in zip(runs, tile, strict=True)]
    return [
        (tuple(residues for residues, _ in chosen), tuple((run,) for _, run in chosen))
        for chosen in itertools.product(*per_axis)
    ]


def input_move(runs: Sequence[Run], layout: Layout) -> Move:
    """Return where a part of the tensor lies that is slid over."""
    steps = zip(runs, layout.axis_strides, strict=True)
    return Move(0, tuple(run.input_step * stride for run, stride in steps))


def output_move(runs: Sequence[Run], layout: Layout) -> Move:
    """Return where a part of a tensor lies that has the positions of the output."""
    steps = zip(runs, layout.axis_strides, strict=True)
    return Move(0, tuple(run.step * stride for run, stride in steps))


def residue_move(start: int, size: int, counts: Sequence[int]) -> Move:
    """Return where the numbers of a residue lie: `size` for each, in the order of the axes."""
    steps = []
    for count in reversed(counts):
        steps.append(size)
        size *= count
    return Move(start, tuple(reversed(steps)))


def fixed_move(rank: int) -> Move:
    """Return that an operand is the same for all residues."""
    return Move(0, (0,) * rank)


@dataclass(frozen=True)
class TileSumAccumulate(Kernel):
    """Sum over tiles and samples, per position of a tile and channel: the gradient of a bias.

    ``accumulator[i, k] += sum over n and p with p mod t = i of dy[n, p, k]``; fresh sums begin at
    zero. The accumulator has the layout's ``stride`` elements for each position of the tile.
    """

    arguments: ClassVar[tuple[str, ...]] = ("dy", "accumulator")

    dy: Layout
    tile: tuple[int, ...]

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over positions of the tile, groups of channels, samples and tiles."""
        layout, (dy, accumulator) = self.dy, pointers
        fresh = f.compare("ne", call.fresh, 0)
        zero = constant(layout.vector, 0.0)
        base = f.at(dy, layout.origin, layout.element)

        def one_group(residue: tuple[Index, ...], number: Index, channel: Index, n: int) -> None:
            out = f.add(f.mul(number, layout.stride), channel)
            before = load_group(f, layout, accumulator, out, n)
            sums = [f.select(fresh, zero, value) for value in before]
            sums = f.loop(
                call.count,
                lambda s, c: self._sum(
                    f, base, residue, f.add(f.mul(s, layout.size), channel), c, 0
                ),
                sums,
            )
            for i, total in enumerate(sums):
                place = f.add(out, i * layout.lanes)
                f.store(total, f.at(accumulator, place, layout.element))

        def nest(residue: tuple[Index, ...], number: Index) -> None:
            axis = len(residue)
            if axis == len(self.tile):
                widest = registers(layout) // 2
                groups(f, layout, widest, lambda c, n: one_group(residue, number, c, n))
                return
            extent = self.tile[axis]
            f.loop(extent, lambda i, _: nest((*residue, i), f.add(f.mul(number, extent), i)))

        nest((), 0)

    def _sum(  # noqa: PLR0917 - the state of the loops
        self,
        f: Function,
        base: Value,
        residue: tuple[Index, ...],
        element: Index,
        sums: list[Value],
        axis: int,
    ) -> list[Value]:
        """Add the positions of a residue from an axis on."""
        layout = self.dy
        if axis == len(residue):
            more = load_group(f, layout, base, element, len(sums))
            return [f.fadd(a, b) for a, b in zip(sums, more, strict=True)]
        step = layout.axis_strides[axis]
        return f.loop(
            layout.spatial[axis],
            lambda i, c: self._sum(f, base, residue, f.add(element, f.mul(i, step)), c, axis + 1),
            sums,
            start=residue[axis],
            step=self.tile[axis],
        )
