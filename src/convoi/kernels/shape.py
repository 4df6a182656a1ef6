"""Moving positions: padding with zeros, cropping, flattening, and the inverse of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.spans import Sample, clear_span, copy_span, each_sample
from convoi.kernels.transpose import from_channels_first, to_channels_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class CopyPositions(Kernel):
    """Place the source in the target: ``target[c, p + offset] = source[c, p]``, zero elsewhere.

    ``offset`` has an integer per axis: at least zero to pad, negative to crop.
    """

    arguments: ClassVar[tuple[str, ...]] = ("source", "target")

    source: Layout
    target: Layout
    offset: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that the layouts match."""
        if (self.source.stride, self.source.dtype) != (self.target.stride, self.target.dtype):
            message = f"Positions of {self.source} do not fit into {self.target}."
            raise ValueError(message)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and rows."""
        origins = self.source.origin, self.target.origin

        def one(source: Sample, target: Sample) -> None:
            self._axis(source, target, 0, *origins)

        layouts = (self.source, self.target)
        each_sample(f, call.count, pointers, layouts, lambda samples: one(*samples))

    def _axis(self, source: Sample, target: Sample, axis: int, s: Index, t: Index) -> None:
        """Emit the copy of an axis and of those behind it, from and to some elements."""
        f = source.f
        rank = len(self.offset)
        if axis == rank:
            self._copy(source, target, s, t, 1)
            return
        extent = self.target.spatial[axis]
        low = min(max(self.offset[axis], 0), extent)
        high = max(low, min(self.offset[axis] + self.source.spatial[axis], extent))
        s_step, t_step = self.source.axis_strides[axis], self.target.axis_strides[axis]

        def s_at(p: Index) -> Index:
            return f.add(s, f.mul(f.sub(p, self.offset[axis]), s_step))

        target.clear(axis, 0, low, t)
        if axis + 1 == rank:
            self._copy(source, target, s_at(low), f.add(t, low * t_step), high - low)
        else:
            f.loop(
                high,
                lambda p, _: self._axis(
                    source, target, axis + 1, s_at(p), f.add(t, f.mul(p, t_step))
                ),
                start=low,
            )
        target.clear(axis, high, extent, t)

    def _copy(self, source: Sample, target: Sample, s: Index, t: Index, positions: int) -> None:
        count = positions * self.target.stride
        copy_span(source.f, source.at(s), target.at(t), count, self.target.element)


@dataclass(frozen=True)
class Flatten(Kernel):
    """Lay the values of a sample in a row: ``target[c * positions + p] = source[c, p]``."""

    arguments: ClassVar[tuple[str, ...]] = ("source", "target")

    source: Layout
    target: Layout

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        features, stride = self.target.channels, self.target.stride

        def one(source: Sample, target: Sample) -> None:
            to_channels_first(source, target.address)
            clear_span(f, target.at(features), stride - features, self.target.element)

        layouts = (self.source, self.target)
        each_sample(f, call.count, pointers, layouts, lambda samples: one(*samples))


@dataclass(frozen=True)
class Unflatten(Kernel):
    """Undo :class:`Flatten`: ``target[c, p] = source[c * positions + p]``."""

    arguments: ClassVar[tuple[str, ...]] = ("source", "target")

    source: Layout
    target: Layout

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""

        def one(source: Sample, target: Sample) -> None:
            from_channels_first(source.address, target)

        layouts = (self.source, self.target)
        each_sample(f, call.count, pointers, layouts, lambda samples: one(*samples))
