"""Operations that bring branches together, and those that take them apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register


@register
@dataclass(frozen=True)
class Add(Operation):
    r"""Add two or more values of the same shape, from left to right.

    .. math:: y = x_1 + x_2 + \dots
    """

    name: ClassVar[str] = "add"
    arity: ClassVar[int | None] = None

    def infer_shape(self, *inputs: Shape) -> Shape:
        for shape in inputs[1:]:
            require.same(self, "all inputs", inputs[0], shape)
        return inputs[0]

    def reference(self, *arrays: Array) -> Array:
        return reduce(np.add, arrays)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        del build
        return Gradients((use.output_gradient,) * len(use.inputs))


@register
@dataclass(frozen=True)
class Concatenate(Operation):
    """Put the channels of two or more values behind one another.

    Shapes: ``(C1, *X)``, ``(C2, *X)``, ... to ``(C1 + C2 + ..., *X)``.
    """

    name: ClassVar[str] = "concatenate"
    arity: ClassVar[int | None] = None

    def infer_shape(self, *inputs: Shape) -> Shape:
        for shape in inputs:
            require.channels(self, shape)
            if shape[1:] != inputs[0][1:]:
                require.invalid_shape(
                    self,
                    f"expected inputs that differ in their channels only, got {inputs}.",
                    "Make the spatial shapes agree.",
                )
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def reference(self, *arrays: Array) -> Array:
        return np.concatenate(arrays, axis=1)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        gradients: list[str | None] = []
        start = 0
        for value in use.inputs:
            stop = start + build.shape(value)[0]
            wanted = build.needs_gradient(value)
            part = build(ChannelSlice(start, stop), [use.output_gradient]) if wanted else None
            gradients.append(part)
            start = stop
        return Gradients(tuple(gradients))


@register
@dataclass(frozen=True)
class ChannelSlice(Operation):
    """Take the channels from `start` to before `stop`: ``y[c] = x[start + c]``.

    Shapes: ``(C, *X)`` to ``(stop - start, *X)``.
    """

    name: ClassVar[str] = "channel_slice"

    start: int
    stop: int

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.integer(self, "start", self.start, low=0)
        require.integer(self, "stop", self.stop, low=self.start + 1)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        channels = require.channels(self, shape)
        if self.stop > channels:
            require.invalid_shape(
                self,
                f"the channels {self.start} to {self.stop} are not in an input of {channels}.",
                "Use a 'stop' of at most the number of channels.",
            )
        return (self.stop - self.start, *shape[1:])

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return x[:, self.start : self.stop]

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        behind = build.shape(use.inputs[0])[0] - self.stop
        return Gradients((build(ChannelPad(self.start, behind), [use.output_gradient]),))


@register
@dataclass(frozen=True)
class ChannelPad(Operation):
    """Put channels of zeros in front and behind: ``y[before + c] = x[c]``, zero elsewhere.

    The gradient of :class:`ChannelSlice`. Shapes: ``(C, *X)`` to ``(before + C + behind, *X)``.
    """

    name: ClassVar[str] = "channel_pad"

    before: int
    behind: int

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.integer(self, "before", self.before, low=0)
        require.integer(self, "behind", self.behind, low=0)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (self.before + require.channels(self, shape) + self.behind, *shape[1:])

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return np.pad(x, ((0, 0), (self.before, self.behind), *((0, 0),) * (x.ndim - 2)))

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        stop = self.before + build.shape(use.inputs[0])[0]
        return Gradients((build(ChannelSlice(self.before, stop), [use.output_gradient]),))
