"""Where blocks of layers end: a convolution with the normalisation and activation behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.ops import Add, BatchNorm, Conv, Dropout, Pointwise, TiledConv

if TYPE_CHECKING:
    from convoi.graph import Graph, Node
    from convoi.nn import Network

__all__ = ["block_ends", "end_of_block", "is_convolution"]


def is_convolution(graph: Graph, node: Node) -> bool:
    """Tell whether a node is a convolution over positions, with shared weights or not."""
    return isinstance(node.op, Conv | TiledConv) and len(graph.shape(node.name)) > 1


def end_of_block(graph: Graph, name: str) -> str:
    """Return the last of the normalisations, sums and activations that directly follow a node."""
    while name not in graph.outputs:
        readers = graph.consumers(name)
        if len(readers) != 1 or not isinstance(
            readers[0].op, Pointwise | BatchNorm | Dropout | Add
        ):
            break
        name = readers[0].name
    return name


def block_ends(network: Network) -> list[str]:
    """Return the layers whose feature maps are worth a look: ends of blocks around convolutions."""
    graph = network.graph
    ends = {end_of_block(graph, node.name) for node in graph.nodes if is_convolution(graph, node)}
    return [node.name for node in graph.nodes if node.name in ends]
