"""The dense (fully connected) layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convoi.ops import require
from convoi.ops.base import (
    Array,
    Gradients,
    GraphBuilder,
    Operation,
    ParameterSpec,
    Shape,
    Use,
    register,
)
from convoi.ops.conv import Conv


@register
@dataclass(frozen=True)
class Dense(Operation):
    r"""Multiply the features by a matrix and add a bias.

    .. math:: y_k = b_k + \sum_c w_{k,c} \, x_c

    Parameters: weight ``(units, features)``, bias ``(units,)``. Shapes: ``(features,)`` to
    ``(units,)``.
    """

    name: ClassVar[str] = "dense"

    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.integer(self, "units", self.units, low=1)
        require.flag(self, "bias", self.bias)

    @property
    def conv(self) -> Conv:
        """The same layer as a convolution without spatial axes."""
        return Conv(self.units, (), (), (), (), bias=self.bias)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) != 1:
            require.invalid_shape(
                self,
                f"expected an input of shape (features,), got {shape}.",
                "Put Flatten or a global pooling layer in front of it.",
            )
        return (self.units,)

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        return self.conv.parameters(*inputs)

    def multiply_adds(self, *inputs: Shape) -> int:
        return self.conv.multiply_adds(*inputs)

    def connections(self, *inputs: Shape) -> int:
        return self.conv.connections(*inputs)

    def reference(self, *arrays: Array) -> Array:
        x, weight, *bias = arrays
        y = x @ weight.T
        return y + bias[0] if self.bias else y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return self.conv.gradient(build, use)
