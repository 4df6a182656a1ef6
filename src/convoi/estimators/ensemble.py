"""Several trained networks as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.graph import INPUT, Builder, Node
from convoi.nn import Network
from convoi.ops import Add, Softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.compiler.pipeline import Precision

__all__ = ["combined"]


def combined(
    networks: Sequence[Network],
    *,
    probabilities: bool,
    threads: int | None,
    precision: Precision,
) -> Network:
    """Return the network whose output is the sum of the outputs of several.

    Parameters
    ----------
    networks : sequence of Network
        Two or more, for the same inputs.
    probabilities : bool
        Whether the outputs are logits, of which the probabilities are added up.
    threads, precision
        Of the network.
    """
    build = Builder.for_network(networks[0].input_shape)
    outputs, parameters = [], {}
    for number, network in enumerate(networks):
        for node in network.graph.nodes:
            build.add(
                Node(
                    f"{number}.{node.name}",
                    node.op,
                    tuple(v if v == INPUT else f"{number}.{v}" for v in node.inputs),
                    tuple(f"{number}.{name}" for name in node.parameters),
                )
            )
        output = f"{number}.{network.graph.outputs[0]}"
        if probabilities:
            output = build.layer(f"{number}.probabilities", Softmax(), output)
        outputs.append(output)
        parameters.update({f"{number}.{k}": array for k, array in network.parameters.items()})
    graph = build.finish(build.layer("sum", Add(), *outputs))
    return Network(graph, parameters=parameters, threads=threads, precision=precision)
