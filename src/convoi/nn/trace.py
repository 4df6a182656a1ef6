"""From a tree of layers and an input shape to a graph.

Values and parameters are named after the path of their layer in the tree, as PyTorch names the
entries of a ``state_dict``: ``2.body.1.weight`` is the weight of the second layer of the
sequence that is the body of the third layer. A network that is one layer has no path: its
parameters are called by their role alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convoi.checks import check_per_axis, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import INPUT, TARGET, WEIGHT, Graph, Node
from convoi.nn.layers.base import check_layer
from convoi.ops import SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.nn.layers import Layer
    from convoi.ops import Operation, ParameterSpec, Shape

__all__ = ["Tracer", "check_graph", "check_input_shape", "trace"]

MAX_RANK = 3

_RESERVED = {INPUT, TARGET, WEIGHT, SEED}
"""Names that a graph's inputs have, in a network or while it is trained."""


def trace(layer: Layer, input_shape: Sequence[int]) -> Graph:
    """Return the graph of a tree of layers for inputs of one shape.

    Parameters
    ----------
    layer : Layer
        The tree.
    input_shape : sequence of int
        ``(channels, *spatial)`` with at most 3 spatial axes, or ``(features,)``.

    Returns
    -------
    Graph
        With the one input ``"input"`` and one output.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument is none of these, or the tree has no operations.
    ShapeError
        If a layer cannot take its input; the message names the layer by its path.

    Examples
    --------
    >>> from convoi import nn
    >>> graph = trace(nn.Sequential(nn.Flatten(), nn.Dense(10)), (1, 8, 8))
    >>> [node.name for node in graph.nodes], list(graph.parameters)
    (['0', '1'], ['1.weight', '1.bias'])
    """
    check_layer(layer, "layers", "Network")
    shape = check_input_shape(input_shape)
    record = _Record({INPUT: shape})
    try:
        output = Tracer(record, "").run(layer, INPUT)
    except _LocatedError as error:
        raise ShapeError(str(error)) from None
    return check_graph(Graph({INPUT: shape}, tuple(record.nodes), (output,), record.parameters))


def check_graph(graph: Graph) -> Graph:
    """Require the graph of a network.

    Parameters
    ----------
    graph : Graph
        Any graph.

    Returns
    -------
    Graph
        The same graph.

    Raises
    ------
    ArgumentError
        If it has another input than ``"input"``, no or several outputs, or an output that is the
        input, or a parameter does not belong to exactly one node.
    """
    if list(graph.inputs) != [INPUT] or len(graph.outputs) != 1:
        raise ArgumentError(
            f"The graph of a network must have the one input {INPUT!r} and one output. Got the "
            f"inputs {list(graph.inputs)} and the outputs {list(graph.outputs)} instead."
        )
    if graph.outputs[0] == INPUT:
        raise ArgumentError(
            "A network must have at least one layer that computes something: its output is its "
            "input."
        )
    used = [name for node in graph.nodes for name in node.parameters]
    if sorted(used) != sorted(graph.parameters):
        raise ArgumentError(
            "In the graph of a network, every parameter must belong to one node. "
            f"Got the parameters {list(graph.parameters)} and nodes with {used} instead."
        )
    return graph


def check_input_shape(value: object) -> Shape:
    """Return the shape of a sample as a tuple.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it is no sequence of 1 to 4 positive integers.
    """
    expectation = (
        f"(channels, *spatial) with at most {MAX_RANK} spatial axes, or (features,), all of them "
        "integers greater than or equal to 1"
    )
    try:
        rank = len(value)  # type: ignore[arg-type]  # what has no length is refused
    except TypeError:
        raise ArgumentTypeError(refusal("input_shape", "Network", expectation, value)) from None
    if isinstance(value, str) or not 1 <= rank <= MAX_RANK + 1:
        raise ArgumentError(refusal("input_shape", "Network", expectation, value))
    try:
        return check_per_axis(value, "input_shape", "Network", rank, minimum=1)
    except ArgumentTypeError:
        raise ArgumentTypeError(refusal("input_shape", "Network", expectation, value)) from None
    except ArgumentError:
        raise ArgumentError(refusal("input_shape", "Network", expectation, value)) from None


class Tracer:
    """What a layer adds its operations to. It knows the layer's path in the tree.

    Layers get one in :meth:`Layer.trace <convoi.nn.Layer.trace>`; it is not made by users.
    """

    __slots__ = ("_path", "_record")

    def __init__(self, record: _Record, path: str) -> None:
        self._record = record
        self._path = path

    @property
    def path(self) -> str:
        """Where the layer stands in the tree, such as ``"2.body.1"``; empty at the root."""
        return self._path

    def shape(self, value: str) -> Shape:
        """Return the shape of a value, without the batch.

        Parameters
        ----------
        value : str
            The name of the input or of a value that was returned by this object's methods.

        Returns
        -------
        tuple of int
            ``(channels, *spatial)`` or ``(features,)``.
        """
        return self._record.shapes[value]

    def layer(self, name: str, layer: Layer, value: str) -> str:
        """Add a layer as a part of this one.

        Parameters
        ----------
        name : str
            Its name within this layer; it is put in front of its parameters' names. Dots make
            further levels.
        layer : Layer
            The layer.
        value : str
            Its input.

        Returns
        -------
        str
            The name of its output.

        Raises
        ------
        ArgumentError
            If the name is empty, reserved or used twice.
        ShapeError
            If the layer cannot take the input.
        """
        owner = f"Tracer.layer of {self._where()}"
        check_layer(layer, "layer", owner)
        return Tracer(self._record, self._join(name)).run(layer, value)

    def operation(self, op: Operation, *values: str, name: str = "") -> str:
        """Add an operation, and its parameters.

        Parameters
        ----------
        op : Operation
            The operation.
        *values : str
            Its inputs.
        name : str
            Its name within this layer. It is needed where a layer adds more than one operation.

        Returns
        -------
        str
            The name of its output.

        Raises
        ------
        ArgumentError
            If the name is reserved or used twice.
        ShapeError
            If the operation cannot take the inputs.
        """
        record = self._record
        path = self._join(name) if name else self._path
        node_name = path or op.name
        shapes = tuple(map(self.shape, values))
        output = op.infer_shape(*shapes)
        specs = {_dotted(path, spec.role): spec for spec in op.parameters(*shapes)}
        for taken in (node_name, *specs):
            if taken in record.shapes or taken in record.parameters or taken in _RESERVED:
                raise ArgumentError(
                    f"The name {taken!r} is used twice in the network, or reserved. A layer that "
                    "adds several operations or layers must give each of them its own name."
                )
        record.nodes.append(Node(node_name, op, tuple(values), tuple(specs)))
        record.shapes[node_name] = output
        record.parameters.update(specs)
        return node_name

    def run(self, layer: Layer, value: str) -> str:
        """Trace a layer at this path; errors of shapes name the path once, the innermost."""
        try:
            output = layer.trace(self, value)
        except _LocatedError:
            raise
        except ShapeError as error:
            raise _LocatedError(f"In {self._where()}: {error}") from None
        if output not in self._record.shapes:
            raise ArgumentTypeError(
                f"The trace method of {type(layer).__name__} must return the name of a value, "
                f"as Tracer.operation and Tracer.layer return it. Got {output!r} instead."
            )
        return output

    def _join(self, name: object) -> str:
        if not isinstance(name, str) or not all(name.split(".")) or "/" in name:
            raise ArgumentError(
                f"The name of a part of {self._where()} must be a text without '/', and not "
                f"empty between dots. Got {name!r} instead."
            )
        return _dotted(self._path, name)

    def _where(self) -> str:
        return f"layer {self._path!r}" if self._path else "the network"


class _LocatedError(ShapeError):
    """An error whose message names the layer."""


@dataclass
class _Record:
    """What has been traced so far."""

    shapes: dict[str, Shape]
    nodes: list[Node] = field(default_factory=list)
    parameters: dict[str, ParameterSpec] = field(default_factory=dict)


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
