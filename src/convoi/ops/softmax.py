"""Softmax over the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register


@register
@dataclass(frozen=True)
class Softmax(Operation):
    r"""Turn the channels of each position into probabilities.

    .. math:: y_{c,p} = e^{x_{c,p}} / \sum_k e^{x_{k,p}}

    Shapes: ``(C, *X)`` to ``(C, *X)``.
    """

    name: ClassVar[str] = "softmax"

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        require.channels(self, shape)
        return shape

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        powers = np.exp(x - x.max(axis=1, keepdims=True))
        y: Array = powers / powers.sum(axis=1, keepdims=True)
        return y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(SoftmaxBackward(), [use.output, use.output_gradient]),))


@register
@dataclass(frozen=True)
class SoftmaxBackward(Operation):
    r"""Gradient of :class:`Softmax`.

    .. math:: dx_{c,p} = y_{c,p} \left( dy_{c,p} - \sum_k y_{k,p} \, dy_{k,p} \right)

    Inputs: y and dy.
    """

    name: ClassVar[str] = "softmax_backward"
    arity: ClassVar[int | None] = 2
    differentiable: ClassVar[bool] = False

    def infer_shape(self, *inputs: Shape) -> Shape:
        y, dy = inputs
        require.channels(self, y)
        require.same(self, "a gradient", y, dy)
        return y

    def reference(self, *arrays: Array) -> Array:
        y, dy = arrays
        dx: Array = y * (dy - (y * dy).sum(axis=1, keepdims=True))
        return dx
