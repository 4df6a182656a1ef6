"""Clearing halos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.spans import Sample, clear_span, each_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout
    from convoi.kernels.sharing import Bounds

SHARED_ELEMENTS = 1 << 14
"""Elements of an activation from which threads share the clearing: each then clears the halo of
the rows that it computes."""


@dataclass(frozen=True)
class ClearHalo(Kernel):
    """Set the halo of an activation to zero, and nothing else.

    Memory that other activations used before has to be cleared so once; all other kernels leave
    halos as they are.
    """

    arguments: ClassVar[tuple[str, ...]] = ("target",)

    target: Layout

    @property
    def units(self) -> int:
        """Positions along the first of several axes, where a sample has many elements."""
        large = self.target.size >= SHARED_ELEMENTS and len(self.target.spatial) > 1
        return self.target.spatial[0] if large else 1

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        some = (call.begin, call.end) if self.units > 1 else None
        each_sample(
            f,
            call.count,
            pointers,
            (self.target,),
            lambda samples: self._axis(samples[0], 0, 0, some),
        )

    def _axis(self, target: Sample, axis: int, element: Index, some: Bounds | None = None) -> None:
        """Clear both ends of an axis, and between them those of the axes behind it.

        Of its positions, some may be asked for; the ends belong to the first and the last.
        """
        f, layout = target.f, target.layout
        inner = range(axis, len(layout.spatial))
        if all(layout.halo[i] == (0, 0) for i in inner):
            return
        (low, high), step = layout.halo[axis], layout.axis_strides[axis]
        inside = low + layout.spatial[axis]
        start, stop = some or (0, layout.spatial[axis])
        if axis + 1 < len(layout.spatial):
            f.loop(
                f.add(stop, low),
                lambda p, _: self._axis(target, axis + 1, f.add(element, f.mul(p, step))),
                start=f.add(start, low),
            )
        first, last = target.at(element), target.at(f.add(element, inside * step))
        if some is None:
            clear_span(f, first, low * step, layout.element)
            clear_span(f, last, high * step, layout.element)
            return
        with f.when(f.compare("eq", start, 0)):
            clear_span(f, first, low * step, layout.element)
        with f.when(f.compare("eq", stop, layout.spatial[axis])):
            clear_span(f, last, high * step, layout.element)
