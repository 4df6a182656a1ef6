"""Graphs: nodes in the order in which they are computed, verified on construction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convoi.errors import ArgumentError, ShapeError
from convoi.ops import LENGTH, SEED, Domain, Operation, ParameterSpec, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "INPUT",
    "LENGTH",
    "OUTPUT_GRADIENT",
    "SEED",
    "TARGET",
    "WEIGHT",
    "Graph",
    "Node",
    "Values",
]

INPUT = "input"
"""Name of the one input of a network's graph."""
TARGET = "target"
"""Name of the graph input that holds what should be predicted."""
WEIGHT = "sample_weight"
"""Name of the graph input that holds the normalised weight of each sample, shape ``()``."""
OUTPUT_GRADIENT = "output_gradient"
"""Name of the graph input that holds the gradient of some quantity by a network's output."""


@dataclass(frozen=True)
class Node:
    """One operation at work. Its value goes by its name."""

    name: str
    op: Operation
    inputs: tuple[str, ...]
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A computation: named inputs and parameters, nodes in topological order, outputs.

    Inputs, nodes and parameters share one space of names. All inputs have one value per sample,
    except the seed of dropout, which the batch shares.

    Raises
    ------
    ArgumentError
        If a name is unknown, used twice or used before it is computed, an operation has the wrong
        number of inputs or parameters, or a batch value stands where a sample value is expected.
    ShapeError
        If the shapes do not fit; the message names the node.

    Examples
    --------
    >>> from convoi.ops import Flatten
    >>> graph = Graph({"input": (2, 3)}, (Node("flat", Flatten(), ("input",)),), ("flat",))
    >>> graph.shape("flat")
    (6,)
    """

    inputs: Mapping[str, Shape]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    _shapes: dict[str, Shape] = field(init=False, repr=False, compare=False)
    _domains: dict[str, Domain] = field(init=False, repr=False, compare=False)
    _nodes: dict[str, Node] = field(init=False, repr=False, compare=False)
    _consumers: dict[str, tuple[Node, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Verify the graph and tabulate what is asked for by name."""
        both = sorted(set(self.inputs) & set(self.parameters))
        if both:
            raise ArgumentError(
                f"The names {both} stand for inputs and for parameters. Rename either."
            )
        values = Values(self.inputs)
        consumers: dict[str, list[Node]] = {name: [] for name in self.inputs}
        for node in self.nodes:
            if node.name in self.parameters:
                raise ArgumentError(
                    f"A node and a parameter are called {node.name!r}. Rename one of them."
                )
            _check_parameters(node, values.add(node), self.parameters)
            consumers[node.name] = []
            for value in dict.fromkeys(node.inputs):
                consumers[value].append(node)
        for value in self.outputs:
            if value not in values.shapes:
                raise ArgumentError(f"The output {value!r} is computed by no node.")
        tables = {
            "inputs": dict(self.inputs),
            "parameters": dict(self.parameters),
            "_shapes": values.shapes,
            "_domains": values.domains,
            "_nodes": {node.name: node for node in self.nodes},
            "_consumers": {value: tuple(nodes) for value, nodes in consumers.items()},
        }
        for name, table in tables.items():
            object.__setattr__(self, name, table)

    def shape(self, value: str) -> Shape:
        """Return the shape of an input or of a node's value, without the batch."""
        return self._shapes[value]

    def domain(self, value: str) -> Domain:
        """Tell whether a value belongs to a sample or to the whole batch."""
        return self._domains[value]

    def node(self, name: str) -> Node:
        """Return the node of this name."""
        return self._nodes[name]

    def consumers(self, value: str) -> tuple[Node, ...]:
        """Return the nodes that take a value as an input, each once, in order."""
        return self._consumers[value]


class Values:
    """The values that are known so far: verifies each node before it adds its value."""

    def __init__(self, inputs: Mapping[str, Shape]) -> None:
        self.shapes = dict(inputs)
        self.domains = {name: Domain.BATCH if name == SEED else Domain.SAMPLE for name in inputs}

    def add(self, node: Node) -> tuple[ParameterSpec, ...]:
        """Add a node's value; return what its parameters have to be."""
        if node.name in self.shapes:
            raise ArgumentError(f"Two values are called {node.name!r}. Rename one of them.")
        self._check_inputs(node)
        shapes = [self.shapes[value] for value in node.inputs]
        try:
            shape = node.op.infer_shape(*shapes)
        except ShapeError as error:
            raise ShapeError(f"In {node.name!r}: {error}") from error
        self.shapes[node.name] = shape
        self.domains[node.name] = node.op.domain
        return node.op.parameters(*shapes)

    def _check_inputs(self, node: Node) -> None:
        label, count, arity = type(node.op).__name__, len(node.inputs), node.op.arity
        if count < 2 if arity is None else count != arity:
            raise ArgumentError(
                f"In {node.name!r}: {label} takes {arity or 'two or more'} inputs, got {count}."
            )
        for position, value in enumerate(node.inputs):
            if value not in self.shapes:
                raise ArgumentError(
                    f"In {node.name!r}: the input {value!r} is not computed before it."
                )
            expected = Domain.BATCH if position in node.op.batch_inputs else Domain.SAMPLE
            if self.domains[value] is not expected:
                raise ArgumentError(
                    f"In {node.name!r}: {label} takes a {expected.value} value as input "
                    f"{position}; {value!r} is a {self.domains[value].value} value."
                )


def _check_parameters(
    node: Node, specs: tuple[ParameterSpec, ...], parameters: Mapping[str, ParameterSpec]
) -> None:
    label = type(node.op).__name__
    if len(specs) != len(node.parameters):
        raise ArgumentError(
            f"In {node.name!r}: {label} takes {len(specs)} parameters, got {len(node.parameters)}."
        )
    for name, spec in zip(node.parameters, specs, strict=True):
        if name not in parameters:
            raise ArgumentError(f"In {node.name!r}: the graph has no parameter {name!r}.")
        if parameters[name].shape != spec.shape:
            raise ShapeError(
                f"In {node.name!r}: the {spec.role} must have the shape {spec.shape}, "
                f"but {name!r} has {parameters[name].shape}."
            )
