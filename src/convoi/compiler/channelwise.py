"""Operations that only exist inside the compiler: what remains of normalisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convoi.ops import (
    Array,
    Gradients,
    GraphBuilder,
    Operation,
    ParameterKind,
    ParameterSpec,
    Shape,
    Use,
)


@dataclass(frozen=True)
class ChannelAffine(Operation):
    """``y[c, p] = x[c, p] * scale[c] + shift[c]``: a normalisation with known statistics."""

    name: ClassVar[str] = "channel_affine"

    def infer_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the input."""
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        """Return scale and shift, which follow from statistics and are not trained."""
        channels = inputs[0][:1]
        return (
            ParameterSpec("scale", channels, ParameterKind.DEVIATION),
            ParameterSpec("shift", channels, ParameterKind.MEAN),
        )

    def reference(self, *arrays: Array) -> Array:
        """Return the output."""
        x, scale, shift = arrays
        per_channel = (-1, *(1,) * (x.ndim - 2))
        result: Array = x * scale.reshape(per_channel) + shift.reshape(per_channel)
        return result

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        """Add the scaling of the gradient; scale and shift have none."""
        scale, _ = use.parameters
        return Gradients((build(ChannelScale(), [use.output_gradient], [scale]),), (None, None))


@dataclass(frozen=True)
class ChannelScale(Operation):
    """``y[c, p] = x[c, p] * scale[c]``: the gradient of a normalisation with known statistics."""

    name: ClassVar[str] = "channel_scale"

    def infer_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the input."""
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        """Return the scale."""
        return (ParameterSpec("scale", inputs[0][:1], ParameterKind.DEVIATION),)

    def reference(self, *arrays: Array) -> Array:
        """Return the output."""
        x, scale = arrays
        result: Array = x * scale.reshape(-1, *(1,) * (x.ndim - 2))
        return result
