"""The layout of every value that is kept in memory: lanes, halo, order of features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler.channelwise import ChannelAffine
from convoi.compiler.choose import lanes_for
from convoi.compiler.choose_fast import (
    LEAST_CHANNELS,
    backward_choice,
    forward_choice,
    gradient_choice,
    gradient_halo,
)
from convoi.compiler.maxima import Winner
from convoi.graph import INPUT, OUTPUT_GRADIENT, Graph, Node
from convoi.kernels.grid import Axis, backward_axis, forward_axis, reaches
from convoi.kernels.layout import Layout, Pair
from convoi.ops import (
    Conv,
    ConvBackwardData,
    ConvBackwardWeight,
    Dense,
    Domain,
    Flatten,
    Mask,
    Shape,
    TiledConv,
    TiledConvBackwardData,
    TiledConvBackwardWeight,
    Unflatten,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.compiler.tasks import Task


MOST_UNPADDED = LEAST_CHANNELS - 1
"""Channels of an input up to which it is worth keeping it without padding; fast convolutions
take whole vectors."""


@dataclass(frozen=True)
class Placed:
    """How a value lies in memory.

    A flattened value that only dense layers read stays as the grid lay, padding included:
    ``order`` is then the layout of that grid, and ``layout`` has all of it as features.
    """

    layout: Layout
    order: Layout | None = None

    def feature_map(self) -> NDArray[np.int64] | None:
        """Return the feature that each element of a flattened grid is, -1 for padding."""
        if self.order is None:
            return None
        positions, channels = self.order.positions, self.order.channels
        position, channel = np.meshgrid(
            np.arange(positions), np.arange(self.order.stride), indexing="ij"
        )
        feature = channel * positions + position
        return np.where(channel < channels, feature, -1).ravel()


def conv_of(node: Node) -> Conv | None:
    """Return the convolution that a node computes a part of; a dense layer is one without axes.

    Of a tiled convolution it is the one that each position of the tile is.
    """
    op = node.op
    if isinstance(op, TiledConv):
        return op.conv
    if isinstance(op, TiledConvBackwardData | TiledConvBackwardWeight):
        return op.tiled.conv
    if isinstance(op, Conv):
        return op
    if isinstance(op, ConvBackwardData | ConvBackwardWeight):
        return op.conv
    if isinstance(op, Dense):
        return Conv(op.units, (), (), (), (), bias=op.bias)
    return None


def forward_axes(conv: Conv, spatial: Sequence[int]) -> tuple[Axis, ...]:
    """Return the axes of a convolution's forward pass for an input of these extents."""
    output = conv.window.output(conv, tuple(spatial))
    return tuple(
        forward_axis(o, k, s, low, d, flip=conv.flip)
        for o, k, s, (low, _), d in zip(
            output, conv.kernel, conv.stride, conv.padding, conv.dilation, strict=True
        )
    )


def backward_axes(conv: Conv, spatial: Sequence[int]) -> tuple[Axis, ...]:
    """Return the axes of the gradient with respect to an input of these extents."""
    return tuple(
        backward_axis(i, k, s, low, d, flip=conv.flip)
        for i, k, s, (low, _), d in zip(
            spatial, conv.kernel, conv.stride, conv.padding, conv.dilation, strict=True
        )
    )


def is_depthwise(conv: Conv, channels: int) -> bool:
    """Tell whether each channel has a kernel of its own."""
    return conv.groups == channels == conv.filters and channels > 1


def place_values(
    graph: Graph,
    tasks: Sequence[Task],
    dtype: str,
    target: Target,
    *,
    fast: bool = True,
) -> dict[str, Placed]:
    """Return how every value that a task reads or stores lies in memory."""
    halos = _halos(graph, tasks, dtype, target, fast=fast)
    placed: dict[str, Placed] = {}
    values = [value for value in (INPUT, OUTPUT_GRADIENT) if value in graph.inputs]
    values += [task.output for task in tasks if graph.domain(task.output) is Domain.SAMPLE]
    flattened = {v for v in values if _stays_a_grid(graph, v)}
    for value in values:
        shape = graph.shape(value)
        if not shape:
            continue
        if value in flattened:
            node = graph.node(value)
            source = placed[node.inputs[0]].layout
            placed[value] = _as_features(source)
            continue
        placed[value] = Placed(_layout(graph, value, shape, halos, dtype, target))
    _place_gradients_of_features(graph, tasks, placed)
    return placed


def _layout(  # noqa: PLR0917 - what a layout follows from
    graph: Graph,
    value: str,
    shape: Shape,
    halos: dict[str, tuple[Pair, ...]],
    dtype: str,
    target: Target,
) -> Layout:
    channels, *spatial = shape
    lanes = lanes_for(channels, dtype, target)
    packed = _unmasked(graph, value)
    if channels <= MOST_UNPADDED and _is_packed_input(graph, packed):
        lanes = 1 if _only_broadcast(graph, packed) else lanes
    if value not in graph.inputs and isinstance(graph.node(value).op, Winner):
        dtype = "uint8"
    halo = halos.get(value, ())
    return Layout(channels, tuple(spatial), lanes, dtype, halo)


def _is_packed_input(graph: Graph, value: str) -> bool:
    """Tell whether a value is the input as packing leaves it, with its scale and shift applied."""
    if value in graph.inputs:
        return value == INPUT
    node = graph.node(value)
    return (
        isinstance(node.op, ChannelAffine)
        and node.inputs == (INPUT,)
        and len(graph.consumers(INPUT)) == 1
    )


def _unmasked(graph: Graph, value: str) -> str:
    """Return the value that a masked one has the lanes of, or the value itself."""
    while value not in graph.inputs and isinstance(graph.node(value).op, Mask):
        value = graph.node(value).inputs[0]
    return value


def _only_broadcast(graph: Graph, value: str) -> bool:
    """Tell whether all readers of a value read one channel at a time, so it needs no padding."""
    if value in graph.outputs:
        return False
    for node in graph.consumers(value):
        if isinstance(node.op, Flatten) and _stays_a_grid(graph, node.name):
            continue
        if isinstance(node.op, Mask) and _only_broadcast(graph, node.name):
            continue
        conv = conv_of(node)
        if conv is None or isinstance(node.op, ConvBackwardData | TiledConvBackwardData):
            return False
        if node.inputs[0] != value or is_depthwise(conv, graph.shape(value)[0]):
            return False
    return True


def _halos(
    graph: Graph, tasks: Sequence[Task], dtype: str, target: Target, *, fast: bool
) -> dict[str, tuple[Pair, ...]]:
    """Return the halo that each value needs: the most that any of its readers reaches beyond."""
    halos: dict[str, tuple[Pair, ...]] = {}

    def widen(value: str, needed: tuple[Pair, ...]) -> None:
        halos[value] = _wider(needed, halos.get(value))

    for task in tasks:
        node = task.node
        conv = conv_of(node)
        if conv is None or not conv.kernel:
            continue
        value = node.inputs[0]
        shape = graph.shape(value)
        if isinstance(node.op, TiledConvBackwardData):
            axes = backward_axes(conv, node.op.input_shape[1:])
            widen(value, reaches(axes, shape[1:]))
            continue
        if isinstance(node.op, TiledConv | TiledConvBackwardWeight):
            widen(value, reaches(forward_axes(conv, shape[1:]), shape[1:]))
            continue
        if isinstance(node.op, ConvBackwardData):
            outputs = node.op.input_shape
            widen(value, reaches(backward_axes(conv, outputs[1:]), shape[1:]))
            choice = backward_choice(conv, outputs, dtype, target) if fast else None
        else:
            widen(value, reaches(forward_axes(conv, shape[1:]), shape[1:]))
            choice = forward_choice(conv, shape, dtype, target) if fast else None
        if choice is not None:
            widen(value, choice.tiling.reach(choice.offset, shape[1:]))
        if isinstance(node.op, ConvBackwardWeight) and fast:
            gradient = gradient_choice(conv, shape, dtype, target)
            if gradient is not None:
                widen(value, gradient.tiling.reach(gradient.offset, shape[1:]))
                widen(node.inputs[1], gradient_halo(gradient))
    _join_masked(halos, tasks)
    return halos


def _wider(needed: tuple[Pair, ...], known: tuple[Pair, ...] | None) -> tuple[Pair, ...]:
    """Return the halo that serves for two."""
    if known is None:
        return needed
    return tuple((max(a, c), max(b, d)) for (a, b), (c, d) in zip(needed, known, strict=True))


def _join_masked(halos: dict[str, tuple[Pair, ...]], tasks: Sequence[Task]) -> None:
    """Give a value and its mask the same halo: the mask is then made where the value lies."""
    for task in reversed(tasks):
        if not isinstance(task.node.op, Mask):
            continue
        pair = (task.node.inputs[0], task.output)
        known = [halos[value] for value in pair if value in halos]
        if known:
            halos.update(dict.fromkeys(pair, _wider(known[0], known[-1])))


def _stays_a_grid(graph: Graph, value: str) -> bool:
    """Tell whether a value is a flattened grid that only dense layers read."""
    if value in graph.inputs or value in graph.outputs:
        return False
    node = graph.node(value)
    if not isinstance(node.op, Flatten) or len(graph.shape(node.inputs[0])) < 2:
        return False
    return all(_reads_as_dense(reader, value) for reader in graph.consumers(value))


def _reads_as_dense(node: Node, value: str) -> bool:
    conv = conv_of(node)
    return (
        conv is not None
        and not conv.kernel
        and node.inputs[0] == value
        and not isinstance(node.op, ConvBackwardData)
    )


def _as_features(grid: Layout) -> Placed:
    """Return the placement of a grid that is read as one row of features."""
    grid = replace(grid, halo=())
    features = grid.positions * grid.stride
    return Placed(Layout(features, (), grid.lanes, grid.dtype), grid)


def _place_gradients_of_features(
    graph: Graph, tasks: Sequence[Task], placed: dict[str, Placed]
) -> None:
    """Give gradients that dense layers compute the order of the grid that they belong to."""
    for task in tasks:
        node, value = task.node, task.output
        if not isinstance(node.op, ConvBackwardData) or node.op.conv.kernel or task.absorbed:
            continue
        readers = graph.consumers(value)
        if value in graph.outputs or not readers:
            continue
        if not all(isinstance(reader.op, Unflatten) for reader in readers):
            continue
        grids = {replace(placed[reader.name].layout, halo=()) for reader in readers}
        grid = grids.pop()
        if grid.spatial and not grids:
            placed[value] = _as_features(grid)
