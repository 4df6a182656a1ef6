"""What every layer is, an immutable description, and the tracer that it adds its operations to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from convoi.checks import refusal
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import INPUT, TARGET, WEIGHT, Node
from convoi.ops import SEED

if TYPE_CHECKING:
    from convoi.ops import Operation, ParameterSpec, Shape

LINE = 88
"""Longest text of a layer that is written on one line."""


_RESERVED = {INPUT, TARGET, WEIGHT, SEED}
"""Names that a graph's inputs have, in a network or while it is trained."""


class Layer(ABC):
    """Base of all layers.

    A layer describes a part of a network and holds no parameters: the same object may stand at
    several places of a network, and each place has parameters of its own. Layers are compared by
    value, and their `repr` is the code that makes them.

    To write a layer, derive a frozen dataclass from this class and give it a :meth:`trace`. It
    may use other layers by :meth:`Tracer.layer <convoi.nn.layers.base.Tracer.layer>`, which puts
    their parameters under a name, and operations by :meth:`Tracer.operation
    <convoi.nn.layers.base.Tracer.operation>`.

    Examples
    --------
    A layer that multiplies the number of channels, whatever it is:

    >>> from dataclasses import dataclass
    >>> from convoi import nn
    >>> @dataclass(frozen=True)
    ... class Widen(nn.Layer):
    ...     factor: int
    ...
    ...     def trace(self, tracer, value):
    ...         channels, *spatial = tracer.shape(value)
    ...         wide = nn.Conv(self.factor * channels, 1)
    ...         return tracer.layer("expand", wide, value)
    >>> network = nn.Network(nn.Sequential(Widen(3), nn.ReLU()), input_shape=(2, 8, 8))
    >>> network.output_shape
    (6, 8, 8)
    >>> list(network.parameters)
    ['0.expand.weight', '0.expand.bias']
    """

    @abstractmethod
    def trace(self, tracer: Tracer, value: str) -> str:
        """Add the operations of this layer to a graph.

        Parameters
        ----------
        tracer : Tracer
            Knows the shapes of values and takes operations and layers.
        value : str
            Name of the value that is the layer's input.

        Returns
        -------
        str
            Name of the value that is its output.

        Raises
        ------
        ShapeError
            If the layer cannot take an input of this shape.
        """

    def __repr__(self) -> str:
        return written(self, *described(self))


def described(layer: Layer) -> tuple[list[object], dict[str, object]]:
    """Return the arguments that make a layer; what equals its default is left out."""
    positional: list[object] = []
    named: dict[str, object] = {}
    item: Any = layer  # a type checker takes no class without fields for a dataclass
    for attribute in fields(item) if is_dataclass(item) else ():
        value = getattr(layer, attribute.name)
        if not attribute.kw_only and attribute.default is MISSING:
            positional.append(value)
        elif value != attribute.default:
            named[attribute.name] = value
    return positional, named


def written(layer: Layer, positional: list[object], named: dict[str, object]) -> str:
    """Return the call that makes a layer, over several lines if it is long."""
    name = type(layer).__name__
    parts = [repr(value) for value in positional]
    parts += [f"{key}={value!r}" for key, value in named.items()]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= LINE and "\n" not in line:
        return line
    indented = ("    " + part.replace("\n", "\n    ") + ",\n" for part in parts)
    return f"{name}(\n{''.join(indented)})"


def store(layer: object, **values: object) -> None:
    """Set attributes of a frozen layer while it is made."""
    for name, value in values.items():
        object.__setattr__(layer, name, value)


def check_layer(value: object, name: str, owner: str) -> Layer:
    """Require a layer; a class of layers is the usual mistake."""
    if isinstance(value, Layer):
        return value
    expectation = "a layer"
    if isinstance(value, type) and issubclass(value, Layer):
        expectation += f", such as {value.__name__}() with parentheses"
    elif isinstance(value, (list, tuple)):
        expectation += ", or several layers as separate arguments or in a Sequential"
    raise ArgumentTypeError(refusal(name, owner, expectation, value))


class Tracer:
    """What a layer adds its operations to. It knows the layer's path in the tree.

    Layers get one in :meth:`Layer.trace <convoi.nn.Layer.trace>`; it is not made by users.
    """

    __slots__ = ("_path", "_record")

    def __init__(self, record: Record, path: str) -> None:
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
        except LocatedError:
            raise
        except ShapeError as error:
            raise LocatedError(f"In {self._where()}: {error}") from None
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


class LocatedError(ShapeError):
    """An error whose message names the layer."""


@dataclass
class Record:
    """What has been traced so far."""

    shapes: dict[str, Shape]
    nodes: list[Node] = field(default_factory=list)
    parameters: dict[str, ParameterSpec] = field(default_factory=dict)


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
