"""From a network's graph to graphs of gradients: of a training step, and of the output.

Reverse-mode differentiation: the nodes are visited from the last to the first, and each adds the
nodes that carry the gradient of its output on to its inputs and parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from convoi.errors import ArgumentError
from convoi.graph.builder import Builder
from convoi.graph.nodes import INPUT, LENGTH, OUTPUT_GRADIENT, TARGET, WEIGHT, Graph, Node
from convoi.ops import SEED, Add, BatchNormalize, Loss, Operation, Use

__all__ = [
    "RunningStatistics",
    "TrainingGraph",
    "check_network",
    "differentiate",
    "vector_jacobian",
]


@dataclass(frozen=True)
class RunningStatistics:
    """Statistics that a training step moves: ``running += momentum * (batch - running)``."""

    mean: str
    """Parameter that holds the running mean."""
    variance: str
    """Parameter that holds the running variance."""
    moments: str
    """Value ``(2, C)`` of the training graph: mean and biased variance of the batch."""
    momentum: float


@dataclass(frozen=True)
class TrainingGraph:
    """The graph of one training step, and where in it to find what the step needs.

    The graph's inputs are "input", "target", "sample_weight" and, with dropout, "seed"; a masked
    network's also "length".
    """

    graph: Graph
    prediction: str
    """The network's output as it is in training."""
    loss: str
    """The weighted loss of each sample, shape ``()``."""
    gradients: dict[str, str]
    """For every trainable parameter, the value that holds its gradient."""
    statistics: tuple[RunningStatistics, ...]
    input_gradient: str | None = None
    """The value that holds the gradient of "input", if it was asked for."""


def differentiate(graph: Graph, loss: Loss, *, input_gradient: bool = False) -> TrainingGraph:
    """Return the graph that computes a loss and its gradients.

    The network is differentiated as it is in training: with batch statistics and with dropout.

    Parameters
    ----------
    graph : Graph
        A network: the one input "input" (and "length" if it is masked) and one output.
    loss : Loss
        What is to become small: summed over the samples, each times its weight.
    input_gradient : bool
        Whether the gradient with respect to the input is wanted too.

    Returns
    -------
    TrainingGraph
        The gradients of all trainable parameters, and of the input if asked for.

    Raises
    ------
    ArgumentError
        If the graph is no network, a parameter belongs to two nodes, or one has no effect on the
        output.

    Examples
    --------
    >>> from convoi.ops import Dense, MeanSquaredError
    >>> build = Builder.for_network((4,))
    >>> graph = build.finish(build.layer("0", Dense(1), "input"))
    >>> differentiate(graph, MeanSquaredError()).gradients
    {'0.weight': '0/conv_backward_weight', '0.bias': '0/channel_sum'}
    """
    check_network(graph)
    (output,) = graph.outputs
    inputs = {
        INPUT: graph.shape(INPUT),
        TARGET: loss.target_shape(graph.shape(output)),
        WEIGHT: (),
        SEED: (),
    }
    if LENGTH in graph.inputs:
        inputs[LENGTH] = ()
    build = Builder(inputs, graph.parameters, wanted={INPUT} if input_gradient else ())

    prediction = _add_forward(build, graph, output)
    forward = build.nodes
    with build.scope("loss"):
        total = build(loss, [prediction, TARGET, WEIGHT])
    # The losses of the samples are summed: the loss starts with the gradient one, which no value
    # stands for.
    gradients = _add_backward(build, (*forward, build.nodes[-1]), {total: ""})

    trainable = [name for name, spec in graph.parameters.items() if spec.kind.trainable]
    for name in trainable:
        if name not in gradients:
            raise ArgumentError(
                f"The parameter {name!r} has no effect on the output. Remove its layer."
            )
    statistics = tuple(map(_running_statistics, filter(_has_moments, forward)))
    of_parameters = {name: gradients[name] for name in trainable}
    of_input = gradients.get(INPUT)
    outputs = [prediction, total, *of_parameters.values(), *(s.moments for s in statistics)]
    if of_input is not None:
        outputs.append(of_input)
    finished = build.finish(*outputs, unused=(SEED,))
    return TrainingGraph(finished, prediction, total, of_parameters, statistics, of_input)


def vector_jacobian(graph: Graph, value: str = INPUT) -> Graph:
    """Return the graph that carries a gradient back from a network's output to one of its values.

    The network is differentiated as it predicts, every operation as it is in the graph: batch
    normalisation and dropout have to be replaced by what they do in predictions before.

    Parameters
    ----------
    graph : Graph
        A network: the one input "input" and one output.
    value : str
        The input, or the name of a node.

    Returns
    -------
    Graph
        Its inputs are "input" and "output_gradient", of the shape of the network's output ``y``.
        Its output is the sum over the elements of ``output_gradient * dy / dvalue``.

    Raises
    ------
    ArgumentError
        If the graph is no network, the output does not depend on the value, or an operation on
        the way has a gradient in training only.

    Examples
    --------
    >>> from convoi.ops import Dense
    >>> build = Builder.for_network((4,))
    >>> graph = build.finish(build.layer("0", Dense(2), "input"))
    >>> backward = vector_jacobian(graph)
    >>> backward.outputs, backward.shape(backward.outputs[0])
    (('0/conv_backward_data',), (4,))
    """
    check_network(graph)
    (output,) = graph.outputs
    inputs = {INPUT: graph.shape(INPUT), OUTPUT_GRADIENT: graph.shape(output)}
    build = Builder(inputs, graph.parameters, wanted={value}, training=False)
    for node in graph.nodes:
        build.add(node)
    gradients = _add_backward(build, graph.nodes, {output: OUTPUT_GRADIENT}, until=value)
    if value not in gradients:
        raise ArgumentError(f"The output does not depend on a value {value!r} of the network.")
    return _without_idle_nodes(build.finish(gradients[value]))


def _without_idle_nodes(graph: Graph) -> Graph:
    """Leave out the nodes, and the parameters, on which the outputs do not depend."""
    needed = set(graph.outputs)
    nodes: list[Node] = []
    for node in reversed(graph.nodes):
        if node.name in needed:
            nodes.append(node)
            needed.update(node.inputs)
    used = {name for node in nodes for name in node.parameters}
    parameters = {name: spec for name, spec in graph.parameters.items() if name in used}
    return Graph(graph.inputs, tuple(reversed(nodes)), graph.outputs, parameters)


def check_network(graph: Graph) -> None:
    """Refuse a graph that is no network, masked or not, or whose nodes share parameters."""
    if list(graph.inputs) not in ([INPUT], [INPUT, LENGTH]) or len(graph.outputs) != 1:
        raise ArgumentError(
            f"A network has the one input {INPUT!r} and one output, got the inputs "
            f"{list(graph.inputs)} and the outputs {list(graph.outputs)}."
        )
    owners: dict[str, str] = {}
    for node in graph.nodes:
        for name in node.parameters:
            if owners.setdefault(name, node.name) != node.name:
                raise ArgumentError(
                    f"The parameter {name!r} belongs to {owners[name]!r} and to {node.name!r}. "
                    "Give each its own."
                )


def _add_forward(build: Builder, graph: Graph, output: str) -> str:
    """Add the network as it is trained; return the value that stands for its output."""
    values = {INPUT: INPUT, LENGTH: LENGTH}
    for node in graph.nodes:
        with build.scope(node.name, node.op):
            inputs = [values[value] for value in node.inputs]
            values[node.name] = node.op.for_training(build, inputs, node.parameters)
    return values[output]


def _add_backward(
    build: Builder, forward: tuple[Node, ...], start: dict[str, str], until: str = INPUT
) -> dict[str, str]:
    """Add the backward pass; return the gradients of parameters and of the value `until`.

    `start` has the gradient of the last value.
    """
    # What the consumers of each value have found so far; their sum is its gradient.
    contributions = {value: [gradient] for value, gradient in start.items()}
    gradients: dict[str, str] = {}
    for node in reversed(forward):
        if node.name == until:
            break
        if node.name not in contributions or not build.needs_gradient(node.name):
            continue
        if type(node.op).gradient is Operation.gradient:
            raise ArgumentError(
                f"The output cannot be differentiated through {node.name!r}: a "
                f"{type(node.op).__name__} has a gradient in training only."
            )
        with build.scope(node.name):
            gradient = _sum(build, contributions.pop(node.name))
            use = Use(node.inputs, node.parameters, node.name, gradient)
            found = node.op.gradient(build, use)
        for value, part in zip(node.inputs, found.inputs, strict=True):
            if part is not None and build.needs_gradient(value):
                contributions.setdefault(value, []).append(part)
        parts = zip(node.parameters, found.parameters, strict=True)
        gradients.update((name, part) for name, part in parts if part is not None)
    if until in contributions:
        with build.scope(until):
            gradients[until] = _sum(build, contributions[until])
    return gradients


def _sum(build: Builder, values: list[str]) -> str:
    return values[0] if len(values) == 1 else build(Add(), values)


def _has_moments(node: Node) -> bool:
    return isinstance(node.op, BatchNormalize)


def _running_statistics(node: Node) -> RunningStatistics:
    if not isinstance(node.op, BatchNormalize):
        raise TypeError(node.op)
    moments = node.inputs[1]
    _, _, mean, variance = node.parameters
    return RunningStatistics(mean, variance, moments, node.op.momentum)
