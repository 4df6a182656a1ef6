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


@dataclass(frozen=True)
class ClearHalo(Kernel):
    """Set the halo of an activation to zero, and nothing else.

    Memory that other activations used before has to be cleared so once; all other kernels leave
    halos as they are.
    """

    arguments: ClassVar[tuple[str, ...]] = ("target",)

    target: Layout

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        each_sample(
            f, call.count, pointers, (self.target,), lambda samples: self._axis(samples[0], 0, 0)
        )

    def _axis(self, target: Sample, axis: int, element: Index) -> None:
        """Clear both ends of an axis, and between them those of the axes behind it."""
        f, layout = target.f, target.layout
        inner = range(axis, len(layout.spatial))
        if all(layout.halo[i] == (0, 0) for i in inner):
            return
        (low, high), step = layout.halo[axis], layout.axis_strides[axis]
        inside = low + layout.spatial[axis]
        if axis + 1 < len(layout.spatial):
            f.loop(
                inside,
                lambda p, _: self._axis(target, axis + 1, f.add(element, f.mul(p, step))),
                start=low,
            )
        clear_span(f, target.at(element), low * step, layout.element)
        clear_span(f, target.at(f.add(element, inside * step)), high * step, layout.element)
