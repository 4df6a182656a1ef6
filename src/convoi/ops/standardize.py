"""Standardisation of a network's input with known statistics of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convoi.ops import require
from convoi.ops.base import (
    Array,
    Gradients,
    GraphBuilder,
    Operation,
    ParameterKind,
    ParameterSpec,
    Shape,
    Use,
    register,
)


def _deviation(channels: int) -> ParameterSpec:
    return ParameterSpec("std", (channels,), ParameterKind.DEVIATION)


@register
@dataclass(frozen=True)
class Standardize(Operation):
    r"""Subtract the mean of each channel and divide by its standard deviation.

    .. math:: y_{c,p} = (x_{c,p} - \mu_c) / \sigma_c

    Parameters, which are not trained: mean ``(C,)``, std ``(C,)``. Shapes: ``(C, *X)`` to
    ``(C, *X)``.
    """

    name: ClassVar[str] = "standardize"

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        require.channels(self, shape)
        return shape

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        ((channels, *_),) = inputs
        return ParameterSpec("mean", (channels,), ParameterKind.MEAN), _deviation(channels)

    def reference(self, *arrays: Array) -> Array:
        x, mean, std = arrays
        per_channel = (-1, *(1,) * (x.ndim - 2))
        return (x - mean.reshape(per_channel)) / std.reshape(per_channel)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        dx = build(StandardizeBackward(), [use.output_gradient], use.parameters[1:])
        return Gradients((dx,), (None, None))


@register
@dataclass(frozen=True)
class StandardizeBackward(Operation):
    r"""Gradient of :class:`Standardize` with respect to its input.

    .. math:: dx_{c,p} = dy_{c,p} / \sigma_c

    Parameter: std ``(C,)``.
    """

    name: ClassVar[str] = "standardize_backward"
    differentiable: ClassVar[bool] = False

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        require.channels(self, shape)
        return shape

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        ((channels, *_),) = inputs
        return (_deviation(channels),)

    def reference(self, *arrays: Array) -> Array:
        dy, std = arrays
        return dy / std.reshape(-1, *(1,) * (dy.ndim - 2))
