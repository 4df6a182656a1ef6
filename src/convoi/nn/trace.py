"""From a tree of layers and an input shape to a graph.

Values and parameters are named after the path of their layer in the tree, as PyTorch names the
entries of a ``state_dict``: ``2.body.1.weight`` is the weight of the second layer of the
sequence that is the body of the third layer. A network that is one layer has no path: its
parameters are called by their role alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.checks import check_per_axis, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import INPUT, Graph
from convoi.nn.layers.base import LocatedError, Record, Tracer, check_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.nn.layers.base import Layer
    from convoi.ops import Shape

__all__ = ["as_graph", "check_graph", "check_input_shape", "trace"]

MAX_RANK = 3


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
    record = Record({INPUT: shape})
    try:
        output = Tracer(record, "").run(layer, INPUT)
    except LocatedError as error:
        raise ShapeError(str(error)) from None
    return check_graph(Graph({INPUT: shape}, tuple(record.nodes), (output,), record.parameters))


def as_graph(layers: object, input_shape: object) -> Graph:
    """Return the graph of a network from its layers, or from a graph after checks.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it is neither, or the shape of a sample is missing or another one.
    ShapeError
        If a layer cannot take its input.
    """
    if not isinstance(layers, Graph):
        if input_shape is None:
            raise ArgumentTypeError(
                "The 'input_shape' parameter of Network is needed with layers: the shape of one "
                "sample, (channels, *spatial)."
            )
        return trace(layers, input_shape)  # type: ignore[arg-type]  # trace checks them
    shape = check_graph(layers).shape(INPUT)
    if input_shape is not None and check_input_shape(input_shape) != shape:
        expectation = f"{shape}, as in the graph, or be left out"
        raise ArgumentError(refusal("input_shape", "Network", expectation, input_shape))
    return layers


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
