"""One topology as a dense, a local, a tiled and a convolutional network.

Each member of the family computes outputs of the same shapes. They differ in which inputs an
output is connected with, and in which outputs share their weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from convoi import nn, ops
from convoi.nn.layers.arguments import for_axes, spatial_extents

if TYPE_CHECKING:
    from convoi.nn import Tracer
    from convoi.ops import Shape

__all__ = ["KINDS", "Kind", "lenet_like", "member"]

Kind: TypeAlias = Literal["dense", "local", "tiled", "convolutional"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def member(layer: nn.Layer, kind: Kind, tile: int = 2) -> nn.Layer:
    """Return a tree of layers with its convolutions replaced by layers of a kind.

    Convolutions are looked for in Sequential, Residual and Parallel.

    Parameters
    ----------
    layer : Layer
        The tree.
    kind : {"dense", "local", "tiled", "convolutional"}
        What convolutions become.
    tile : int
        Positions along each axis after which a tiled layer repeats its weights.

    Returns
    -------
    Layer
        A tree with the same paths and shapes.
    """
    if isinstance(layer, nn.Sequential):
        return nn.Sequential(*(member(part, kind, tile) for part in layer))
    if isinstance(layer, nn.Parallel):
        branches = (member(branch, kind, tile) for branch in layer.branches)
        return nn.Parallel(*branches, merge=layer.merge)
    if isinstance(layer, nn.Residual):
        shortcut = None if layer.shortcut is None else member(layer.shortcut, kind, tile)
        return replace(layer, body=member(layer.body, kind, tile), shortcut=shortcut)
    if isinstance(layer, nn.Conv):
        return _of_kind(layer, kind, tile)
    return layer


def _of_kind(conv: nn.Conv, kind: Kind, tile: int) -> nn.Layer:
    if kind == "dense":
        return DenseGrid(conv)
    if kind == "convolutional":
        return conv
    raise NotImplementedError


@dataclass(frozen=True, repr=False)
class DenseGrid(nn.Layer):
    """A dense layer from all inputs to the grid of outputs that a convolution would give."""

    conv: nn.Conv

    def trace(self, tracer: Tracer, value: str) -> str:
        """Add Flatten, the matrix, and the way back to a grid."""
        shape = _output_shape(self.conv, tracer.shape(value))
        units = 1
        for extent in shape:
            units *= extent
        flat = tracer.layer("flat", nn.Flatten(), value)
        dense = tracer.layer("dense", nn.Dense(units, bias=self.conv.bias), flat)
        return tracer.operation(ops.Unflatten(shape), dense, name="grid")


def _output_shape(conv: nn.Conv, shape: Shape) -> Shape:
    (node,) = nn.trace(conv, shape).nodes
    return node.op.infer_shape(shape)
