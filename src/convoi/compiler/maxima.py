"""Keeping where the maxima of a pool were, in a byte each, instead of all that was pooled.

The gradient of a maximum goes to the place that it was taken from. A pool that notes the place
while it looks for the maximum spares the way back its input, which is several times larger: the
input is then needed nowhere beyond its segment. If the input is a rectifier's output, windows
whose maximum is not positive are noted as having none, and the rectifier's gradient comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convoi.graph import Graph, Node
from convoi.kernels.layout import Layout
from convoi.kernels.windows import Windows
from convoi.kernels.winners import NOBODY
from convoi.ops import (
    Array,
    MaxPool,
    MaxPoolBackward,
    Operation,
    PointwiseBackward,
    ReLU,
    Shape,
)


@dataclass(frozen=True)
class Winner(Operation):
    """Which tap of each window holds its first maximum, counted among those on the grid.

    `NOBODY` stands for a window of NaN, and with ``rectified`` for one without a positive value.
    """

    name: ClassVar[str] = "winner"
    differentiable: ClassVar[bool] = False

    pool: MaxPool
    rectified: bool

    def infer_shape(self, *inputs: Shape) -> Shape:
        """Return a number for each window."""
        return self.pool.infer_shape(*inputs)

    def reference(self, *arrays: Array) -> Array:
        """Return the numbers."""
        (x,) = arrays
        window = self.pool.window
        shape = (*self.infer_shape(x.shape[1:]), window.taps)
        inside = window.patches(np.ones_like(x)).reshape(len(x), *shape) > 0
        values = window.patches(x, fill=-np.inf).reshape(len(x), *shape)
        top = values.max(axis=-1, keepdims=True)
        hits = inside & (values == top)
        if self.rectified:
            hits &= top > 0
        number = np.take_along_axis(
            inside.cumsum(axis=-1) - 1, hits.argmax(axis=-1)[..., None], axis=-1
        )
        return np.where(hits.any(axis=-1), number[..., 0], NOBODY).astype(x.dtype)


@dataclass(frozen=True)
class WinnerBackward(Operation):
    """The gradient of each window at the tap that won it. Inputs: the winners, dy."""

    name: ClassVar[str] = "winner_backward"
    arity: ClassVar[int | None] = 2
    differentiable: ClassVar[bool] = False

    pool: MaxPool
    input_shape: Shape

    def infer_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the pool's input."""
        del inputs
        return self.input_shape

    def reference(self, *arrays: Array) -> Array:
        """Return the gradient."""
        winners, dy = arrays
        window = self.pool.window
        ones = np.ones((len(dy), *self.input_shape), dy.dtype)
        inside = window.patches(ones).reshape(*dy.shape, window.taps) > 0
        hits = inside & (inside.cumsum(axis=-1) - 1 == winners[..., None])
        patches = (hits * dy[..., None]).reshape(*dy.shape, *window.size)
        return window.scatter(patches, self.input_shape[1:])


def keep_winners(graph: Graph) -> Graph:
    """Return a training step whose pools note the winners for the way back."""
    nodes: list[Node] = []
    renamed: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        if node.name in gone:
            continue
        if node.name in renamed:
            nodes.append(renamed[node.name])
            continue
        nodes.append(node)
        backward = _backward(graph, node)
        if backward is None or not _is_unrolled(graph, node):
            continue
        rectifier = _rectifier(graph, backward)
        winner = Node(winners_of(node), Winner(_pool(node), rectifier is not None), node.inputs)
        nodes.append(winner)
        last = rectifier or backward
        op = WinnerBackward(_pool(node), graph.shape(node.inputs[0]))
        renamed[last.name] = Node(last.name, op, (winner.name, backward.inputs[2]))
        if rectifier is not None:
            gone.add(backward.name)
    return Graph(graph.inputs, tuple(nodes), graph.outputs, graph.parameters)


def winners_of(pool: Node) -> str:
    """Return what the winners of a pool are called."""
    return f"{pool.name}/winners"


def _pool(node: Node) -> MaxPool:
    if not isinstance(node.op, MaxPool):
        raise TypeError(node.op)
    return node.op


def _backward(graph: Graph, node: Node) -> Node | None:
    """Return the gradient of a pool, if the node is one and has one."""
    if not isinstance(node.op, MaxPool):
        return None
    found = (n for n in graph.consumers(node.name) if isinstance(n.op, MaxPoolBackward))
    return next((n for n in found if n.inputs[:2] == (node.inputs[0], node.name)), None)


def _rectifier(graph: Graph, backward: Node) -> Node | None:
    """Return the gradient of a rectifier whose output was pooled, and nothing else."""
    readers = graph.consumers(backward.name)
    if len(readers) != 1 or backward.name in graph.outputs:
        return None
    (reader,) = readers
    is_rectifier = isinstance(reader.op, PointwiseBackward) and isinstance(reader.op.op, ReLU)
    return reader if is_rectifier and reader.inputs == (backward.inputs[0], backward.name) else None


def _is_unrolled(graph: Graph, node: Node) -> bool:
    """Tell whether the taps of all windows have numbers while kernels are made."""
    pool = _pool(node)
    x, y = (Layout(1, graph.shape(v)[1:], 1) for v in (node.inputs[0], node.name))
    return Windows((x,), (y,), pool.size, pool.stride, pool.padding).are_unrolled
