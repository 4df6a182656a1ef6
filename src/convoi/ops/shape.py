"""Operations that move values and leave them as they are: flatten, pad, crop, upsample."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register
from convoi.ops.grid import Padding, crop, pad
from convoi.ops.reach import Reach


@register
@dataclass(frozen=True)
class Flatten(Operation):
    """Lay all values of a sample in one row, channels slowest: ``y[c * |X| + q] = x[c, q]``.

    Shapes: ``(C, *X)`` to ``(C * prod(X),)``.
    """

    name: ClassVar[str] = "flatten"

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (prod(shape),)

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return x.reshape(len(x), prod(x.shape[1:]))

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(Unflatten(build.shape(use.inputs[0])), [use.output_gradient]),))


@register
@dataclass(frozen=True)
class Unflatten(Operation):
    """Undo :class:`Flatten`: ``y[c, q] = x[c * |X| + q]``.

    Shapes: ``(prod(shape),)`` to `shape`, which is ``(C, *X)``.
    """

    name: ClassVar[str] = "unflatten"

    shape: Shape

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.extents(self, "shape", self.shape)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        require.same(self, "an input", (prod(self.shape),), shape)
        return self.shape

    def reaches(self, *inputs: Shape) -> None:
        del inputs

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return x.reshape(len(x), *self.shape)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(Flatten(), [use.output_gradient]),))


@register
@dataclass(frozen=True)
class ZeroPad(Operation):
    """Put zeros around the spatial axes: ``y[c, q + low] = x[c, q]``, zero elsewhere.

    `padding` has a pair (low, high) per spatial axis. Shapes: ``(C, *X)`` to
    ``(C, *(X + low + high))``.
    """

    name: ClassVar[str] = "zero_pad"

    padding: Padding

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.pairs(self, "padding", self.padding)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        spatial = require.spatial(self, shape, len(self.padding))
        return (shape[0], *(x + sum(p) for x, p in zip(spatial, self.padding, strict=True)))

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...]:
        del inputs
        return tuple(Reach.of_window(1, padding=low) for low, _ in self.padding)

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return pad(x, self.padding)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(Crop(self.padding), [use.output_gradient]),))


@register
@dataclass(frozen=True)
class Crop(Operation):
    """Cut positions off the ends of the spatial axes: ``y[c, q] = x[c, q + low]``.

    `padding` says how many, as a pair (low, high) per spatial axis. Shapes: ``(C, *X)`` to
    ``(C, *(X - low - high))``.
    """

    name: ClassVar[str] = "crop"

    padding: Padding

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.pairs(self, "padding", self.padding)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        spatial = require.spatial(self, shape, len(self.padding))
        kept = tuple(x - sum(p) for x, p in zip(spatial, self.padding, strict=True))
        if any(extent < 1 for extent in kept):
            require.invalid_shape(
                self,
                f"cutting {self.padding} off the spatial axes {spatial} leaves nothing.",
                "Cut off less.",
            )
        return (shape[0], *kept)

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...]:
        del inputs
        return tuple(Reach.of_window(1, padding=-low) for low, _ in self.padding)

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return crop(x, self.padding)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(ZeroPad(self.padding), [use.output_gradient]),))


@register
@dataclass(frozen=True)
class Upsample(Operation):
    r"""Repeat every value (nearest neighbour): ``y[c, q] = x[c, q // scale]``.

    `scale` has an integer per spatial axis. Shapes: ``(C, *X)`` to ``(C, *(X * scale))``.
    """

    name: ClassVar[str] = "upsample"

    scale: Shape

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.integers(self, "scale", self.scale, low=1)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        spatial = require.spatial(self, shape, len(self.scale))
        return (shape[0], *(x * s for x, s in zip(spatial, self.scale, strict=True)))

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...]:
        del inputs
        return tuple(Reach((0,) * scale, (0,) * scale, 1) for scale in self.scale)

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        for axis, scale in enumerate(self.scale, start=2):
            x = np.repeat(x, scale, axis=axis)
        return x

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(UpsampleBackward(self.scale), [use.output_gradient]),))


@register
@dataclass(frozen=True)
class UpsampleBackward(Operation):
    r"""Gradient of :class:`Upsample`: the sum over each block of repeated values.

    .. math:: dx_{c,q} = \sum_{0 \le r < s} dy_{c,\; q s + r}

    Shapes: ``(C, *(X * scale))`` to ``(C, *X)``.
    """

    name: ClassVar[str] = "upsample_backward"
    differentiable: ClassVar[bool] = False

    scale: Shape

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        spatial = require.spatial(self, shape, len(self.scale))
        if any(x % s for x, s in zip(spatial, self.scale, strict=True)):
            require.invalid_shape(
                self,
                f"the spatial axes {spatial} are not multiples of the scale {self.scale}.",
                "Give the gradient of an Upsample of this scale.",
            )
        return (shape[0], *(x // s for x, s in zip(spatial, self.scale, strict=True)))

    def reference(self, *arrays: Array) -> Array:
        (dy,) = arrays
        blocks = [
            part for x, s in zip(dy.shape[2:], self.scale, strict=True) for part in (x // s, s)
        ]
        within = tuple(range(3, 3 + 2 * len(self.scale), 2))
        dx: Array = dy.reshape(*dy.shape[:2], *blocks).sum(axis=within)
        return dx
