"""Several trained networks as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.errors import ArgumentError
from convoi.graph import INPUT, Builder, Node
from convoi.nn import Network
from convoi.ops import Add, ChannelSlice, Softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.compiler.pipeline import Precision

__all__ = ["combined", "first_member"]

_VIEW = "0.view"


def combined(
    networks: Sequence[Network],
    *,
    probabilities: bool,
    threads: int | None,
    precision: Precision,
    channels: int,
    views: Sequence[slice | None],
) -> Network:
    """Return the network whose output is the sum of the outputs of several.

    Parameters
    ----------
    networks : sequence of Network
        One or more, for inputs of the same extent.
    probabilities : bool
        Whether the outputs are logits, of which the probabilities are added up; a single network
        keeps its logits.
    threads, precision
        Of the network.
    channels : int
        Of its input.
    views : sequence of slice or None
        Which of them each network takes; None: all.
    """
    build = Builder.for_network((channels, *networks[0].input_shape[1:]))
    outputs, parameters = [], {}
    for number, (network, view) in enumerate(zip(networks, views, strict=True)):
        given = INPUT
        if view is not None:
            given = build.layer(f"{number}.view", ChannelSlice(view.start, view.stop), INPUT)
        for node in network.graph.nodes:
            build.add(
                Node(
                    f"{number}.{node.name}",
                    node.op,
                    tuple(given if v == INPUT else f"{number}.{v}" for v in node.inputs),
                    tuple(f"{number}.{name}" for name in node.parameters),
                )
            )
        output = f"{number}.{network.graph.outputs[0]}"
        if probabilities and len(networks) > 1:
            output = build.layer(f"{number}.probabilities", Softmax(), output)
        outputs.append(output)
        parameters.update({f"{number}.{k}": array for k, array in network.parameters.items()})
    several = len(outputs) > 1
    graph = build.finish(build.layer("sum", Add(), *outputs) if several else outputs[0])
    return Network(graph, parameters=parameters, threads=threads, precision=precision)


def first_member(network: Network) -> Network:
    """Return the first of the networks that :func:`combined` made one of.

    Its inputs are the channels that it takes, and its outputs its own, without the softmax that was
    put behind them.

    Raises
    ------
    ArgumentError
        If the network is not a sum of several.
    """
    graph = network.graph
    (output,) = graph.outputs
    last = graph.node(output)
    if not isinstance(last.op, Add) or len(last.inputs) < 2:
        message = f"{network!r} is no ensemble: it does not end in a sum of several networks."
        raise ArgumentError(message)
    needed = {last.inputs[0]}
    if last.inputs[0] == "0.probabilities":
        needed = set(graph.node(last.inputs[0]).inputs)
    nodes = []
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            nodes.append(node)
    viewed = nodes[-1].name == _VIEW
    shape = graph.shape(_VIEW) if viewed else network.input_shape
    build = Builder.for_network(shape)
    for node in reversed(nodes[:-1] if viewed else nodes):
        names = tuple(name.removeprefix("0.") for name in node.parameters)
        inputs = tuple(INPUT if v == _VIEW else v.removeprefix("0.") for v in node.inputs)
        build.add(Node(node.name.removeprefix("0."), node.op, inputs, names))
    member = build.finish(nodes[0].name.removeprefix("0."))
    parameters = {name: network.parameters[f"0.{name}"] for name in member.parameters}
    return Network(
        member,
        dtype=network.dtype,
        threads=network.threads,
        precision=network.precision,
        parameters=parameters,
    )
