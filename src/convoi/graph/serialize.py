"""The graph of a network as JSON, for model files.

The text may come from anywhere, so reading it trusts nothing: every key, type, name and size is
checked, operations are built from their typed attributes only, and whatever is wrong gives a
:class:`~convoi.errors.ModelFileError` that says where.

Form of version 1::

    {
        "version": 1,
        "inputs": {"input": [1, 28, 28]},
        "outputs": ["1"],
        "nodes": [
            {"name": "0", "op": "flatten", "attributes": {}, "inputs": ["input"], "parameters": []},
            {
                "name": "1",
                "op": "dense",
                "attributes": {"units": 10, "bias": true},
                "inputs": ["0"],
                "parameters": ["1.weight", "1.bias"],
            },
        ],
    }

The shapes of the parameters follow from the operations.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from math import prod
from typing import TYPE_CHECKING, Any, NoReturn

from convoi.checks import describe
from convoi.errors import ArgumentError, ConvoiError, ModelFileError
from convoi.graph.builder import Builder
from convoi.graph.nodes import INPUT, Graph, Node
from convoi.ops import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from convoi.ops import Shape

__all__ = ["graph_from_dict", "graph_from_json", "graph_to_dict", "graph_to_json"]

VERSION = 1

MAX_TEXT = 2**24
"""Longest text that is read, in characters."""
MAX_NODES = 10_000
MAX_NAME = 200
MAX_AXES = 8
MAX_INTEGER = 2**31 - 1
MAX_ELEMENTS = 2**31
"""Most elements of a parameter, or of a value for one sample."""


def graph_to_json(graph: Graph) -> str:
    """Return the text that :func:`graph_from_json` reads.

    Raises
    ------
    ArgumentError
        If the graph is no network: it has another input than "input", or operations of training.
    """
    return json.dumps(graph_to_dict(graph), separators=(",", ":"), allow_nan=False)


def graph_from_json(text: str) -> Graph:
    """Return the graph of a network from its text.

    Parameters
    ----------
    text : str
        What :func:`graph_to_json` returned; may be hostile.

    Returns
    -------
    Graph
        The verified graph.

    Raises
    ------
    ModelFileError
        If the text is anything else than the description of a network.

    Examples
    --------
    >>> from convoi.ops import Dense
    >>> build = Builder.for_network((4,))
    >>> graph = build.finish(build.layer("0", Dense(2), "input"))
    >>> graph_from_json(graph_to_json(graph)) == graph
    True
    """
    if len(text) > MAX_TEXT:
        _refuse("the graph", f"at most {MAX_TEXT} characters", f"{len(text)} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"The graph in the model file is not JSON: {error}. The file is damaged."
        ) from error
    return graph_from_dict(data)


def graph_to_dict(graph: Graph) -> dict[str, Any]:
    """Return the graph of a network as dictionaries, lists, strings and numbers.

    Raises
    ------
    ArgumentError
        If the graph is no network.
    """
    if list(graph.inputs) != [INPUT]:
        raise ArgumentError(
            f"Only the graph of a network can be written; its one input is {INPUT!r}. "
            f"Got the inputs {list(graph.inputs)} instead."
        )
    return {
        "version": VERSION,
        "inputs": {INPUT: list(graph.shape(INPUT))},
        "outputs": list(graph.outputs),
        "nodes": [_node_to_dict(node) for node in graph.nodes],
    }


def graph_from_dict(data: object) -> Graph:
    """Return the graph of a network from what :func:`graph_to_dict` returned.

    Raises
    ------
    ModelFileError
        If the data is anything else than the description of a network.
    """
    table = _table(data, "the graph", ("version", "inputs", "outputs", "nodes"))
    if type(table["version"]) is not int or table["version"] != VERSION:
        _refuse("version", f"{VERSION} (a newer Convoi may be needed)", table["version"])
    shape = _shape(_table(table["inputs"], "inputs", (INPUT,))[INPUT], f"inputs.{INPUT}")
    if not shape or min(shape) < 1:
        _refuse(f"inputs.{INPUT}", "a shape (channels, *spatial)", shape)
    _check_size(shape, f"inputs.{INPUT}")
    build = Builder.for_network(shape)
    owners: dict[str, str] = {}
    for index, item in enumerate(_list(table["nodes"], "nodes", MAX_NODES)):
        where = f"nodes[{index}]"
        node = _node(item, where)
        for name in node.parameters:
            if owners.setdefault(name, node.name) != node.name:
                _refuse(f"{where}.parameters", "parameters of its own", name)
        try:
            build.add(node)
        except ConvoiError as error:
            raise ModelFileError(f"{where} of the model file is no valid node: {error}") from error
        _check_size(build.shape(node.name), where)
        _check_padded(node, build, where)
        # A name beyond what the operation has is refused with the finished graph.
        for name in build.parameters.keys() & set(node.parameters):
            _check_size(build.parameters[name].shape, f"{where}: {name}")
    outputs = _names(table["outputs"], "outputs")
    if not outputs:
        _refuse("outputs", "at least one name", outputs)
    try:
        return build.finish(*outputs)
    except ConvoiError as error:
        raise ModelFileError(f"The graph in the model file is not valid: {error}") from error


def _node_to_dict(node: Node) -> dict[str, Any]:
    if not node.op.is_layer():
        raise ArgumentError(
            f"Only the operations of networks can be written. Got {node.op} in {node.name!r}."
        )
    return {
        "name": node.name,
        "op": node.op.name,
        "attributes": {f.name: _plain(getattr(node.op, f.name)) for f in fields(node.op)},
        "inputs": list(node.inputs),
        "parameters": list(node.parameters),
    }


def _node(data: object, where: str) -> Node:
    table = _table(data, where, ("name", "op", "attributes", "inputs", "parameters"))
    cls = lookup(_name(table["op"], f"{where}.op"))
    if cls is None or not cls.is_layer():
        _refuse(f"{where}.op", "an operation of a network", table["op"])
    kinds = {field.name: str(field.type) for field in fields(cls)}
    attributes = _table(table["attributes"], f"{where}.attributes", tuple(kinds))
    values = {
        name: _READERS[kind](attributes[name], f"{where}.attributes.{name}")
        for name, kind in kinds.items()
    }
    try:
        op = cls(**values)
    except ConvoiError as error:
        raise ModelFileError(f"{where} of the model file is no valid node: {error}") from error
    return Node(
        _name(table["name"], f"{where}.name"),
        op,
        _names(table["inputs"], f"{where}.inputs"),
        _names(table["parameters"], f"{where}.parameters"),
    )


def _plain(value: object) -> object:
    """Return an attribute with lists in place of tuples."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _table(data: object, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, dict) or set(data) != set(keys):
        _refuse(where, f"an object with the keys {list(keys)}", data)
    return data


def _list(data: object, where: str, longest: int) -> list[Any]:
    if not isinstance(data, list) or len(data) > longest:
        _refuse(where, f"a list of at most {longest} items", data)
    return data


def _name(data: object, where: str) -> str:
    if not (isinstance(data, str) and 0 < len(data) <= MAX_NAME and data.isprintable()):
        _refuse(where, f"1 to {MAX_NAME} printable characters", data)
    return data


def _names(data: object, where: str) -> tuple[str, ...]:
    return tuple(_name(item, where) for item in _list(data, where, MAX_NODES))


def _flag(data: object, where: str) -> bool:
    if not isinstance(data, bool):
        _refuse(where, "true or false", data)
    return data


def _integer(data: object, where: str) -> int:
    if type(data) is not int or not 0 <= data <= MAX_INTEGER:
        _refuse(where, f"an integer from 0 to {MAX_INTEGER}", data)
    return data


def _real(data: object, where: str) -> float:
    if type(data) is int and abs(data) <= MAX_INTEGER:
        return float(data)
    if type(data) is not float or not math.isfinite(data):
        _refuse(where, "a finite number", data)
    return data


def _shape(data: object, where: str) -> Shape:
    return tuple(_integer(item, where) for item in _list(data, where, MAX_AXES))


def _padding(data: object, where: str) -> tuple[Shape, ...]:
    pairs = tuple(_shape(item, where) for item in _list(data, where, MAX_AXES))
    if any(len(pair) != 2 for pair in pairs):
        _refuse(where, "a list of pairs", data)
    return pairs


_READERS: dict[str, Callable[[object, str], object]] = {
    "bool": _flag,
    "int": _integer,
    "float": _real,
    "Shape": _shape,
    "Padding": _padding,
}
"""How an attribute of each declared type is read."""


def _check_size(shape: Shape, where: str) -> None:
    if prod(shape) > MAX_ELEMENTS:
        _refuse(where, f"a value of at most {MAX_ELEMENTS} elements", f"the shape {shape}")


def _check_padded(node: Node, build: Builder, where: str) -> None:
    """Bound what a window slides over, which a large stride can hide from the output."""
    padding = getattr(node.op, "padding", ())
    spatial = build.shape(node.inputs[0])[1:]
    if padding:
        padded = tuple(x + sum(pair) for x, pair in zip(spatial, padding, strict=True))
        _check_size(padded, f"{where}.attributes.padding")


def _refuse(where: str, expected: str, value: object) -> NoReturn:
    raise ModelFileError(
        f"In the model file, {where} must be {expected}. Got {describe(value)} instead. "
        "The file is damaged, or no model file of Convoi."
    )
