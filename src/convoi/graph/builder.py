"""Building a graph node by node."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from convoi.graph.nodes import INPUT, Graph, Node, Values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from convoi.ops import Operation, ParameterSpec, Shape

__all__ = ["Builder"]


class Builder:
    """Collects nodes, names them and knows the shapes so far.

    Parameters
    ----------
    inputs : mapping of str to tuple of int
        The graph's inputs and their shapes, without the batch.
    parameters : mapping of str to ParameterSpec, optional
        Parameters that are known already; :meth:`layer` adds to them.
    wanted : collection of str, optional
        Values whose gradient is wanted.
    training : bool
        Whether the gradients of all trainable parameters are wanted, too.

    Examples
    --------
    >>> from convoi.ops import Dense, ReLU
    >>> build = Builder({"input": (4,)})
    >>> hidden = build.layer("0", Dense(3), "input")
    >>> build.layer("1", ReLU(), hidden)
    '1'
    >>> graph = build.finish("1")
    >>> list(graph.parameters)
    ['0.weight', '0.bias']
    """

    def __init__(
        self,
        inputs: Mapping[str, Shape],
        parameters: Mapping[str, ParameterSpec] | None = None,
        wanted: Collection[str] = (),
        *,
        training: bool = True,
    ) -> None:
        self._inputs = dict(inputs)
        self._values = Values(inputs)
        self._parameters = dict(parameters or {})
        self._nodes: list[Node] = []
        self._wanted = set(wanted)
        self._training = training
        self._scope: tuple[str, Operation | None] = ("", None)
        self._streams = 0

    @classmethod
    def for_network(cls, input_shape: Shape) -> Builder:
        """Return a builder of a network's graph, whose one input is called "input"."""
        return cls({INPUT: input_shape})

    def layer(self, name: str, op: Operation, *inputs: str) -> str:
        """Add an operation under this name, with parameters of its own (``name.role``)."""
        specs = self._values.add(Node(name, op, inputs))
        parameters = tuple(f"{name}.{spec.role}" for spec in specs)
        return self._append(Node(name, op, inputs, parameters), specs)

    def add(self, node: Node) -> str:
        """Add a node; parameters that it is the first to name are known from then on."""
        return self._append(node, self._values.add(node))

    def __call__(self, op: Operation, inputs: Sequence[str], parameters: Sequence[str] = ()) -> str:
        """Add an operation under a name that follows from the scope; return the name."""
        scope, original = self._scope
        name = scope if op is original else f"{scope}/{op.name}" if scope else op.name
        count, unique = 1, name
        while unique in self._values.shapes:
            count += 1
            unique = f"{name}_{count}"
        return self.add(Node(unique, op, tuple(inputs), tuple(parameters)))

    @contextmanager
    def scope(self, name: str, original: Operation | None = None) -> Iterator[None]:
        """Name nodes after a node that they come from; `original` itself keeps the plain name."""
        outer, self._scope = self._scope, (name, original)
        try:
            yield
        finally:
            self._scope = outer

    def shape(self, value: str) -> Shape:
        """Return the shape of a value."""
        return self._values.shapes[value]

    def needs_gradient(self, value: str) -> bool:
        """Tell whether anybody wants the gradient with respect to this value or parameter."""
        if value in self._parameters:
            return self._training and self._parameters[value].kind.trainable
        return value in self._wanted

    def new_stream(self) -> int:
        """Return a number for a source of random numbers that no other node has."""
        self._streams += 1
        return self._streams - 1

    def finish(self, *outputs: str, unused: Collection[str] = ()) -> Graph:
        """Return the graph; the inputs in `unused` are left out if no node takes them."""
        used = {value for node in self._nodes for value in node.inputs}
        inputs = {
            name: shape
            for name, shape in self._inputs.items()
            if name in used or name not in unused
        }
        return Graph(inputs, tuple(self._nodes), outputs, self._parameters)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes so far."""
        return tuple(self._nodes)

    @property
    def parameters(self) -> Mapping[str, ParameterSpec]:
        """The parameters so far."""
        return self._parameters

    def _append(self, node: Node, specs: tuple[ParameterSpec, ...]) -> str:
        for name, spec in zip(node.parameters, specs, strict=False):
            self._parameters.setdefault(name, spec)
        self._nodes.append(node)
        if any(self.needs_gradient(value) for value in (*node.inputs, *node.parameters)):
            self._wanted.add(node.name)
        return node.name
