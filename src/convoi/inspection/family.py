"""One topology as a dense, a local, a tiled and a convolutional network.

Each member of the family computes outputs of the same shapes. They differ in which inputs an
output is connected with, and in which outputs share their weights.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from convoi import nn, ops

if TYPE_CHECKING:
    from convoi.nn import Tracer
    from convoi.ops import Shape

__all__ = ["KINDS", "Kind", "exchanged", "lenet_like", "member"]

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
    attributes = {f.name: getattr(conv, f.name) for f in fields(conv)}
    if kind == "local":
        return nn.LocallyConnected(**attributes)
    if kind == "tiled":
        return nn.TiledConv(**attributes, tile=tile)
    return conv


@dataclass(frozen=True, repr=False)
class DenseGrid(nn.Layer):
    """A dense layer from all inputs to the grid of outputs that a convolution would give."""

    conv: nn.Conv

    def trace(self, tracer: Tracer, value: str) -> str:
        """Add Flatten, the matrix, and the way back to a grid."""
        shape = tracer.shape(value)
        (node,) = nn.trace(self.conv, shape).nodes
        output = node.op.infer_shape(shape)
        flat = tracer.layer("flat", nn.Flatten(), value)
        dense = tracer.layer("dense", nn.Dense(prod(output), bias=self.conv.bias), flat)
        return tracer.operation(ops.Unflatten(output), dense, name="grid")


def lenet_like(input_shape: Shape, classes: int) -> nn.Sequential:
    """Return the topology that is compared unless another one is given.

    Two convolutions, each with a rectifier and pooled by 2, and a dense layer, after LeNet-5: of 8
    and 16 filters of size 5 without padding; where the input has fewer than 16 positions along an
    axis, of 16 and 32 filters of size 3 with padding.
    """
    small = min(input_shape[1:]) < 16
    filters, size = (16, 3) if small else (8, 5)
    padding = size // 2 if small else 0
    return nn.Sequential(
        nn.Conv(filters, size, padding=padding), nn.ReLU(), nn.MaxPool(2, padding="same"),
        nn.Conv(2 * filters, size, padding=padding), nn.ReLU(), nn.MaxPool(2, padding="same"),
        nn.Flatten(),
        nn.Dense(classes),
    )  # fmt: skip


def exchanged(layer: nn.Layer, path: str = "") -> list[str]:
    """Return the paths of the convolutions that :func:`member` replaces."""
    if isinstance(layer, nn.Conv):
        return [path]
    parts: list[tuple[str, nn.Layer]] = []
    if isinstance(layer, nn.Sequential):
        parts = [(str(i), part) for i, part in enumerate(layer)]
    elif isinstance(layer, nn.Parallel):
        parts = [(f"branches.{i}", branch) for i, branch in enumerate(layer.branches)]
    elif isinstance(layer, nn.Residual):
        parts = [("body", layer.body)]
        parts += [] if layer.shortcut is None else [("shortcut", layer.shortcut)]
    prefix = f"{path}." if path else ""
    return [found for name, part in parts for found in exchanged(part, prefix + name)]
