"""What a network consists of and what it costs, as records and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from convoi import ops

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from rich.table import Table

    from convoi.graph import Graph
    from convoi.ops import Operation, Shape

__all__ = ["LayerSummary", "NetworkSummary", "summarize"]


@dataclass(frozen=True)
class LayerSummary:
    """One layer that computes something.

    Attributes
    ----------
    name : str
        Its path in the tree of layers.
    layer : str
        What it is, in short.
    output_shape : tuple of int
        ``(channels, *spatial)`` or ``(features,)``.
    parameters : int
        Number of its parameters, statistics included.
    multiply_adds : int
        Multiply-adds for one sample.
    """

    name: str
    layer: str
    output_shape: Shape
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, repr=False)
class NetworkSummary:
    """The layers of a network, in the order in which they are computed, and the totals.

    Attributes
    ----------
    layers : tuple of LayerSummary
        One record per layer; iterating over the summary gives them, too.
    parameters : int
        Number of all parameters.
    trainable : int
        Number of those that are trained: all but statistics.
    multiply_adds : int
        Multiply-adds for one sample.
    parameter_bytes : int
        Memory of the parameters.
    """

    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    multiply_adds: int
    parameter_bytes: int

    def __iter__(self) -> Iterator[LayerSummary]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return (
            f"<NetworkSummary: {len(self.layers)} layers, {self.parameters:,} parameters, "
            f"{self.multiply_adds:,} multiply-adds>"
        )

    def __rich__(self) -> Table:
        from rich.table import Table  # noqa: PLC0415 - rich is loaded by those who print

        table = Table(show_footer=True)
        table.add_column("Name", "Total", overflow="fold")
        table.add_column("Layer")
        table.add_column("Output shape")
        table.add_column("Parameters", f"{self.parameters:,}", justify="right")
        table.add_column("Multiply-adds", f"{self.multiply_adds:,}", justify="right")
        for layer in self.layers:
            table.add_row(
                layer.name,
                layer.layer,
                str(layer.output_shape),
                f"{layer.parameters:,}" if layer.parameters else "",
                f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            )
        table.caption = (
            f"{self.trainable:,} trainable parameters, {_megabytes(self.parameter_bytes)}"
        )
        return table

    def show(self, file: TextIO | None = None) -> None:
        """Print the table.

        Parameters
        ----------
        file : file, optional
            Where to; the default is the standard output.
        """
        from rich.console import Console  # noqa: PLC0415 - rich is loaded by those who print

        Console(file=file).print(self)


def summarize(graph: Graph, itemsize: int) -> NetworkSummary:
    """Return the summary of a network's graph.

    Parameters
    ----------
    graph : Graph
        The network.
    itemsize : int
        Bytes of one parameter.

    Returns
    -------
    NetworkSummary
        Exact counts that follow from the shapes.
    """
    layers = []
    for node in graph.nodes:
        cost = node.op.cost(*(graph.shape(value) for value in node.inputs))
        layers.append(
            LayerSummary(
                node.name,
                _described(node.op),
                graph.shape(node.name),
                cost.parameters,
                cost.multiply_adds,
            )
        )
    sizes = {name: prod(spec.shape) for name, spec in graph.parameters.items()}
    total = sum(sizes.values())
    return NetworkSummary(
        tuple(layers),
        parameters=total,
        trainable=sum(sizes[name] for name, s in graph.parameters.items() if s.kind.trainable),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        parameter_bytes=total * itemsize,
    )


def _described(op: Operation) -> str:
    words = type(op).__name__
    if isinstance(op, ops.Conv):
        words += f" {_extents(op.kernel)}"
        words += f", stride {_extents(op.stride)}" if any(s != 1 for s in op.stride) else ""
        words += f", {op.groups} groups" if op.groups > 1 else ""
    elif isinstance(op, ops.Pool):
        words += f" {_extents(op.size)}"
        words += f", stride {_extents(op.stride)}" if op.stride != op.size else ""
    return words


def _extents(values: Shape) -> str:
    return "x".join(map(str, values))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
