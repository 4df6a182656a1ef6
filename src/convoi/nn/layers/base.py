"""What every layer is: an immutable description that adds its operations to a graph."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from convoi.checks import refusal
from convoi.errors import ArgumentTypeError

if TYPE_CHECKING:
    from convoi.nn.trace import Tracer

LINE = 88
"""Longest text of a layer that is written on one line."""


class Layer:
    """Base of all layers.

    A layer describes a part of a network and holds no parameters: the same object may stand at
    several places of a network, and each place has parameters of its own. Layers are compared by
    value, and their `repr` is the code that makes them.

    To write a layer, derive a frozen dataclass from this class and give it a :meth:`trace`. It
    may use other layers by :meth:`Tracer.layer <convoi.nn.trace.Tracer.layer>`, which puts their
    parameters under a name, and operations by :meth:`Tracer.operation
    <convoi.nn.trace.Tracer.operation>`.

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
        raise NotImplementedError

    def __repr__(self) -> str:
        return written(self, *described(self))


def described(layer: Layer) -> tuple[list[object], dict[str, object]]:
    """Return the arguments that make a layer; what equals its default is left out."""
    positional: list[object] = []
    named: dict[str, object] = {}
    item: Any = layer  # a type checker takes no class without fields for a dataclass
    for field in fields(item) if is_dataclass(item) else ():
        value = getattr(layer, field.name)
        if not field.kw_only and field.default is MISSING:
            positional.append(value)
        elif value != field.default:
            named[field.name] = value
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


def store(layer: Layer, **values: object) -> None:
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
