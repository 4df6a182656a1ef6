"""Rewriting a network's graph into one that is cheaper and means the same.

Every pass takes a graph and returns one. Parameters that a rewritten graph has and the network
has not (weights with a batch norm folded in, scales and shifts of normalisations) are described
by recipes, which compute them from the network's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from convoi.compiler.channelwise import ChannelAffine
from convoi.compiler.tasks import MOST_OPERANDS
from convoi.graph import Graph, Node
from convoi.ops import (
    Add,
    Array,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    ParameterSpec,
    Pointwise,
    Standardize,
    StandardizeBackward,
    TiledConv,
)

Recipe = Callable[[Mapping[str, Array]], Array]


@dataclass(frozen=True)
class Simplified:
    """A rewritten graph and the recipes of the parameters that only it has."""

    graph: Graph
    recipes: Mapping[str, Recipe]


def simplify_inference(graph: Graph) -> Simplified:
    """Return what computes a network's output: no dropout, batch norm folded where possible."""
    graph = drop_dropout(graph)
    graph = sink_flatten(graph)
    graph = window_global_pools(graph)
    graph = split_sums(graph)
    folded = fold_batch_norm(graph)
    affine = normalizations_to_affine(folded.graph)
    return Simplified(affine.graph, {**folded.recipes, **affine.recipes})


def _with_nodes(
    graph: Graph, nodes: list[Node], parameters: Mapping[str, ParameterSpec] | None = None
) -> Graph:
    """Return the graph with other nodes, and only the parameters that they use."""
    known = {**graph.parameters, **(parameters or {})}
    used = dict.fromkeys(name for node in nodes for name in node.parameters)
    return Graph(graph.inputs, tuple(nodes), graph.outputs, {name: known[name] for name in used})


def drop_dropout(graph: Graph) -> Graph:
    """Leave out dropout, which only acts in training: its input stands for its output."""
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(value, value) for value in node.inputs)
        if isinstance(node.op, Dropout):
            renamed[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    outputs = tuple(renamed.get(value, value) for value in graph.outputs)
    return _with_nodes(replace(graph, outputs=outputs), nodes)


def split_sums(graph: Graph) -> Graph:
    """Cut sums of many values into sums of a few, in the same order: kernels take so many."""
    nodes: list[Node] = []
    for node in graph.nodes:
        last, inputs = node, list(node.inputs)
        while isinstance(node.op, Add) and len(inputs) > MOST_OPERANDS:
            part = Node(f"{node.name}|sum {len(inputs)}", Add(), tuple(inputs[:MOST_OPERANDS]))
            nodes.append(part)
            inputs = [part.name, *inputs[MOST_OPERANDS:]]
            last = replace(node, inputs=tuple(inputs))
        nodes.append(last)
    return _with_nodes(graph, nodes)


def sink_flatten(graph: Graph) -> Graph:
    """Move Flatten behind the pointwise operations that follow it.

    They do not mind the shape, and a dense layer can then read the grid as it lies in memory.
    """
    nodes = list(graph.nodes)
    moved = True
    while moved:
        moved = False
        position = {node.name: i for i, node in enumerate(nodes)}
        consumers: dict[str, int] = {}
        for node in nodes:
            for value in node.inputs:
                consumers[value] = consumers.get(value, 0) + 1
        for i, node in enumerate(nodes):
            before = position.get(node.inputs[0]) if node.inputs else None
            if before is None or not isinstance(node.op, Pointwise | Dropout):
                continue
            flatten = nodes[before]
            alone = consumers[flatten.name] == 1 and flatten.name not in graph.outputs
            if isinstance(flatten.op, Flatten) and alone:
                nodes[before] = Node(flatten.name, node.op, flatten.inputs, node.parameters)
                nodes[i] = Node(node.name, flatten.op, (flatten.name,))
                moved = True
                break
    return _with_nodes(graph, nodes)


def window_global_pools(graph: Graph) -> Graph:
    """Replace pools over the whole grid by pools with a window of its size, flattened."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, GlobalPool):
            pooled = f"{node.name}|window"
            window = node.op.windowed(graph.shape(node.inputs[0]))
            nodes.append(Node(pooled, window, node.inputs))
            nodes.append(Node(node.name, Flatten(), (pooled,)))
        else:
            nodes.append(node)
    return _with_nodes(graph, nodes)


def fold_batch_norm(graph: Graph) -> Simplified:
    """Fold a batch norm into the convolution or dense layer before it, if nobody else reads it."""
    producers = {node.name: node for node in graph.nodes}
    folded: dict[str, Node] = {}
    gone: set[str] = set()
    recipes: dict[str, Recipe] = {}
    specs: dict[str, ParameterSpec] = {}
    for node in graph.nodes:
        if not isinstance(node.op, BatchNorm):
            continue
        before = producers.get(node.inputs[0])
        if before is None or not isinstance(before.op, Conv | Dense | TiledConv):
            continue
        if len(graph.consumers(before.name)) > 1 or before.name in graph.outputs:
            continue
        names = (f"{before.name}|folded weight", f"{before.name}|folded bias")
        weight, *bias = before.parameters
        fold = _Fold(weight, bias[0] if bias else None, node.parameters, node.op.eps)
        recipes[names[0]], recipes[names[1]] = fold.weight, fold.bias
        op = _with_bias(before.op)
        specs.update(zip(names, op.parameters(graph.shape(before.inputs[0])), strict=True))
        folded[node.name] = Node(node.name, op, before.inputs, names)
        gone.add(before.name)
    nodes = [folded.get(node.name, node) for node in graph.nodes if node.name not in gone]
    return Simplified(_with_nodes(graph, nodes, specs), recipes)


def _with_bias(op: Conv | Dense | TiledConv) -> Conv | Dense | TiledConv:
    """Return the operation with a bias; one that it has not had has a number per channel."""
    if isinstance(op, TiledConv) and not op.bias:
        return replace(op, bias=True, shared_bias=True)
    return replace(op, bias=True)


@dataclass(frozen=True)
class _Fold:
    """The parameters of a convolution with the batch norm that follows it."""

    weight_name: str
    bias_name: str | None
    norm: tuple[str, ...]
    eps: float

    def _scale(self, parameters: Mapping[str, Array]) -> Array:
        scale, _, _, variance = (parameters[name].astype(np.float64) for name in self.norm)
        result: Array = scale / np.sqrt(variance + self.eps)
        return result

    def weight(self, parameters: Mapping[str, Array]) -> Array:
        """Return w * scale."""
        weight = parameters[self.weight_name]
        scale = self._scale(parameters).reshape(-1, *(1,) * (weight.ndim - 1))
        return weight * scale

    def bias(self, parameters: Mapping[str, Array]) -> Array:
        """Return (b - mean) * scale + shift."""
        _, shift, mean, _ = (parameters[name].astype(np.float64) for name in self.norm)
        bias = np.zeros_like(mean) if self.bias_name is None else parameters[self.bias_name]
        per_channel = (-1, *(1,) * (bias.ndim - 1))
        mean, shift, scale = (
            a.reshape(per_channel) for a in (mean, shift, self._scale(parameters))
        )
        result: Array = (bias - mean) * scale + shift
        return result


def normalizations_to_affine(graph: Graph) -> Simplified:
    """Turn normalisations with known statistics into a scale and a shift per channel."""
    nodes: list[Node] = []
    recipes: dict[str, Recipe] = {}
    specs: dict[str, ParameterSpec] = {}
    for node in graph.nodes:
        affine = _affine_of(node)
        if affine is None:
            nodes.append(node)
            continue
        names = (f"{node.name}|scale", f"{node.name}|shift")
        recipes[names[0]], recipes[names[1]] = affine.scale, affine.shift
        op = ChannelAffine()
        specs.update(zip(names, op.parameters(graph.shape(node.inputs[0])), strict=True))
        nodes.append(Node(node.name, op, node.inputs, names))
    return Simplified(_with_nodes(graph, nodes, specs), recipes)


@dataclass(frozen=True)
class _Affine:
    """(x - mean) / deviation * weight + bias, as a scale and a shift."""

    mean_name: str | None
    deviation_name: str
    eps: float | None = None
    weight_name: str | None = None
    bias_name: str | None = None

    def scale(self, parameters: Mapping[str, Array]) -> Array:
        """Return what x is multiplied by."""
        deviation = parameters[self.deviation_name].astype(np.float64)
        if self.eps is not None:
            deviation = np.sqrt(deviation + self.eps)
        weight = 1.0 if self.weight_name is None else parameters[self.weight_name]
        result: Array = weight / deviation
        return result

    def shift(self, parameters: Mapping[str, Array]) -> Array:
        """Return what is added to it."""
        scale = self.scale(parameters)
        mean = 0.0 if self.mean_name is None else parameters[self.mean_name]
        bias = 0.0 if self.bias_name is None else parameters[self.bias_name]
        return bias - mean * scale


def _affine_of(node: Node) -> _Affine | None:
    if isinstance(node.op, BatchNorm):
        weight, bias, mean, variance = node.parameters
        return _Affine(mean, variance, node.op.eps, weight, bias)
    if isinstance(node.op, Standardize):
        mean, deviation = node.parameters
        return _Affine(mean, deviation)
    if isinstance(node.op, StandardizeBackward):
        return _Affine(None, node.parameters[0])
    return None
