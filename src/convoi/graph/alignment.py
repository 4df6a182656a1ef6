"""How the values of a network for series lie on its input, along time.

A value's position *p* depends on some positions of the input around *p* times the stride, and a
series of length *L* has a certain number of such positions. Both follow from the windows that the
value was computed with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.errors import ArgumentError
from convoi.graph.nodes import INPUT
from convoi.ops import (
    Add,
    AveragePool,
    BatchNorm,
    ChannelSlice,
    Concatenate,
    Conv,
    Crop,
    Dropout,
    Extent,
    GlobalAveragePool,
    GlobalMaxPool,
    GlobalPool,
    LpPool,
    MaxPool,
    Operation,
    Pointwise,
    Pool,
    Softmax,
    Standardize,
    ZeroPad,
)

if TYPE_CHECKING:
    from convoi.graph.nodes import Graph, Node

__all__ = ["READS", "Alignment", "align", "reads"]

READS: dict[type[Operation], float | None] = {
    Add: None,
    BatchNorm: None,
    ChannelSlice: None,
    Concatenate: None,
    Dropout: None,
    Pointwise: None,
    Softmax: None,
    Standardize: None,
    AveragePool: 0.0,
    Conv: 0.0,
    Crop: 0.0,
    GlobalAveragePool: 0.0,
    GlobalMaxPool: float("-inf"),
    LpPool: 0.0,
    MaxPool: float("-inf"),
    ZeroPad: 0.0,
}
"""The operations that work on any length. Those that read several positions find this value in
the padding; the others (None) handle each position by itself."""


@dataclass(frozen=True)
class Alignment:
    """Where the positions of a value lie on the network's input.

    Attributes
    ----------
    extent : Extent
        How many positions a series has; its divisor is the stride.
    before, after : int
        Position *p* depends on the input's positions from ``p * stride - before`` to
        ``p * stride + after``.
    shortest : int
        The least length for which this value, and those that it is computed from, have a position.
    """

    extent: Extent = Extent()  # noqa: RUF009 - it is immutable
    before: int = 0
    after: int = 0
    shortest: int = 1

    @property
    def stride(self) -> int:
        """Positions of the input from one position to the next."""
        return self.extent.divisor

    @property
    def receptive_field(self) -> int:
        """How many consecutive positions of the input a position depends on."""
        return self.before + self.after + 1


def align(graph: Graph) -> dict[str, Alignment | None]:
    """Return the alignment of every value; None for those without positions, behind a global pool.

    Parameters
    ----------
    graph : Graph
        A network for series, of input shape (channels, time).

    Raises
    ------
    ArgumentError
        If a layer works on one length only, or joins series of different lengths; the message
        names it.
    """
    shape = graph.shape(INPUT)
    if len(shape) != 2:
        raise ArgumentError(
            f"Series are samples of shape (channels, time). Got a network for samples of {shape}."
        )
    found: dict[str, Alignment | None] = {name: Alignment() for name in graph.inputs}
    for node in graph.nodes:
        found[node.name] = _next(node, [found[value] for value in node.inputs])
    return found


def reads(op: Operation) -> float | None:
    """Return what an operation of :data:`READS` is to find in padding; None: it does not look."""
    return next(READS[type_] for type_ in type(op).__mro__ if type_ in READS)


def _next(node: Node, inputs: list[Alignment | None]) -> Alignment | None:
    """Return the alignment of a node's value from those of its inputs."""
    known = [alignment for alignment in inputs if alignment is not None]
    if not known:
        return None
    op = node.op
    if not any(type_ in READS for type_ in type(op).__mro__):
        raise ArgumentError(
            f"The layer {node.name!r} ({type(op).__name__}) works on one length only, and series "
            "of other lengths are wanted. Use convolutions, pooling, normalisation and "
            "activations, then GlobalAveragePool before Dense."
        )
    first = known[0]
    if len(known) < len(inputs) or any(other.extent != first.extent for other in known):
        raise ArgumentError(
            f"The layer {node.name!r} ({type(op).__name__}) joins branches whose lengths differ "
            "for some lengths of the input. Give their layers the same strides and paddings."
        )
    if isinstance(op, GlobalPool):
        return None
    merged = Alignment(
        first.extent,
        max(alignment.before for alignment in known),
        max(alignment.after for alignment in known),
        max(alignment.shortest for alignment in known),
    )
    if isinstance(op, ZeroPad | Crop):
        ((low, high),) = op.padding
        sign = 1 if isinstance(op, ZeroPad) else -1
        return _windowed(merged, 1, 1, sign * low, sign * high)
    if isinstance(op, Conv):
        ((low, high),), (kernel,), (dilation,) = op.padding, op.kernel, op.dilation
        return _windowed(merged, dilation * (kernel - 1) + 1, op.stride[0], low, high)
    if isinstance(op, Pool):
        ((low, high),) = op.padding
        return _windowed(merged, op.size[0], op.stride[0], low, high)
    return merged


def _windowed(x: Alignment, span: int, stride: int, low: int, high: int) -> Alignment:
    """Return the alignment of windows of so many positions."""
    extent = x.extent.then(low + high - span + stride, stride)
    return replace(
        x,
        extent=extent,
        before=x.before + low * x.stride,
        after=x.after + (span - 1 - low) * x.stride,
        shortest=max(x.shortest, extent.divisor - extent.offset),
    )
