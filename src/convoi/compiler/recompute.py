"""Recomputing what is cheap on the way back, instead of keeping it for the whole batch.

A normalised activation follows from the convolution's result, which the gradient of the
normalisation needs in any case. Keeping both means that the larger part of a training step's
memory is written once and read once, far beyond the caches. So the way back computes the
activation again: from then on its readers find it, and the result, in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.compiler.maxima import Winner
from convoi.compiler.segments import cut_segments
from convoi.graph import Graph, Node
from convoi.ops import AveragePool, BatchNormalize, Conv, GlobalPool, LpPool, MaxPool, Pointwise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from convoi.compiler.select import Selection

_READERS = (Conv, MaxPool, Winner, AveragePool, LpPool, GlobalPool)
"""Operations that run as soon as their one input is there: a value that only they read on the way
forward is not needed beyond its segment. Others, such as sums, wait for other values."""


@dataclass(frozen=True)
class Recomputed:
    """A graph, and its values that are to be computed only when they are read."""

    graph: Graph
    values: Mapping[str, str]
    """What each of them equals."""


def recompute_activations(graph: Graph, loss: str) -> Recomputed:
    """Return a training step whose gradients read recomputed activations, where that pays."""
    nodes = list(graph.nodes)
    position = {node.name: i for i, node in enumerate(nodes)}
    forward = position[loss]

    def readers(value: str, *, back: bool) -> list[Node]:
        return [n for n in graph.consumers(value) if (position[n.name] > forward) == back]

    copies: dict[int, list[Node]] = {}
    renamed: dict[str, str] = {}
    for node in nodes[:forward]:
        chain = _chain(graph, node, lambda value: readers(value, back=False))
        again = [readers(link.name, back=True) for link in chain]
        if not any(again):
            continue
        names = {link.name: f"{link.name}/again" for link in chain}
        first = min(position[reader.name] for found in again for reader in found)
        copies.setdefault(first, []).extend(_renamed(link, names, names) for link in chain)
        renamed.update(names)
    rewritten: list[Node] = []
    for i, node in enumerate(nodes):
        rewritten += copies.get(i, [])
        rewritten.append(_renamed(node, {}, renamed) if i > forward else node)
    result = Graph(graph.inputs, tuple(rewritten), graph.outputs, graph.parameters)
    return Recomputed(result, {again: first for first, again in renamed.items()})


def keep_within_segments(selection: Selection) -> None:
    """Leave out the steps that compute what their segment has computed already."""
    near: set[int] = set()
    for segment in cut_segments(selection.steps, selection.root):
        there = {value for step in segment.steps for value in step.writes if not step.late}
        for step in segment.steps:
            first = {value: selection.late[value] for value in step.writes if step.late}
            same = (selection.layout(a) == selection.layout(b) for a, b in first.items())
            if first and there.issuperset(first.values()) and all(same):
                selection.aliases.update(first)
                near.add(id(step))
    selection.steps = [step for step in selection.steps if id(step) not in near]


def _renamed(node: Node, names: Mapping[str, str], inputs: Mapping[str, str]) -> Node:
    name = names.get(node.name, node.name)
    return replace(node, name=name, inputs=tuple(inputs.get(v, v) for v in node.inputs))


def _chain(graph: Graph, node: Node, readers: Callable[[str], Sequence[Node]]) -> list[Node]:
    """Return a normalisation of a grid and the activation that follows it, if they may go."""
    if not isinstance(node.op, BatchNormalize) or len(graph.shape(node.name)) == 1:
        return []
    chain = [node]
    following = readers(node.name)
    if len(following) == 1 and isinstance(following[0].op, Pointwise):
        chain.append(following[0])
        following = readers(following[0].name)
    kept = any(link.name in graph.outputs for link in chain)
    if kept or not all(isinstance(reader.op, _READERS) for reader in following):
        return []
    return chain
