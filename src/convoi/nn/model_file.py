"""Model files: a network's parameters, with its graph as a description.

They are files of :mod:`convoi.nn.tensor_file`, whose metadata have one entry more:

==========  =================================================================================
Key         Text
==========  =================================================================================
graph       The graph in JSON, see :mod:`convoi.graph.serialize`
arrays      The shapes of the caller's tensors by their names, in JSON; may be missing
==========  =================================================================================

Each parameter is a tensor, all of them float32 or all of them float64. Models that are no networks
have no graph: :mod:`convoi.estimators.features_file` describes them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convoi.errors import ArgumentError, ModelFileError
from convoi.graph import Graph, graph_from_dict, graph_to_json
from convoi.nn.tensor_file import (
    FLOATS,
    TYPES,
    TensorSpec,
    parse_json,
    read_tensor_file,
    shape_of,
    write_tensor_file,
)
from convoi.nn.trace import check_graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Model", "graph_of", "read_model", "specs_of", "write_model"]


@dataclass(frozen=True)
class Model:
    """What a model file holds.

    Attributes
    ----------
    graph : Graph
        The network.
    parameters : dict of str to ndarray
        Its parameters, in the graph's order.
    dtype : {"float32", "float64"}
        Their type.
    extra : dict
        What the caller of :func:`write_model` gave; empty if nothing.
    arrays : dict of str to ndarray
        Likewise.
    """

    graph: Graph
    parameters: dict[str, NDArray[Any]]
    dtype: str
    extra: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def write_model(
    path: str | os.PathLike[str],
    graph: Graph,
    parameters: Mapping[str, NDArray[Any]],
    extra: Mapping[str, Any] | None = None,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write a model file, as a whole or not at all.

    Parameters
    ----------
    path : str or PathLike
        The file; an existing one is replaced.
    graph : Graph
        The network.
    parameters : mapping of str to ndarray
        Its parameters, all float32 or all float64.
    extra : mapping, optional
        Anything that JSON can express, for the reader.
    arrays : mapping of str to ndarray, optional
        Further tensors for the reader, float32, float64 or int64, under other names.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If JSON cannot express `extra`, or it is too long; or if a tensor has the name of a
        parameter.
    OSError
        If the file cannot be written.
    """
    metadata = {"graph": graph_to_json(graph)}
    if arrays:
        metadata["arrays"] = json.dumps(
            {name: [array.dtype.name, *array.shape] for name, array in arrays.items()}
        )
        twice = sorted(arrays.keys() & graph.parameters.keys())
        if twice:
            raise ArgumentError(
                "The 'arrays' parameter of write_model must have names of its own. Got the "
                f"parameter's name {twice[0]!r}."
            )
    tensors = {name: parameters[name] for name in graph.parameters} | dict(arrays or {})
    write_tensor_file(path, tensors, metadata, extra)


def read_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file.

    Parameters
    ----------
    path : str or PathLike
        The file.

    Returns
    -------
    Model
        What it holds.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged or does not describe a network.
    """
    file = read_tensor_file(path, _described)
    graph = file.plan
    parameters = {name: file.tensors[name] for name in graph.parameters}
    kinds = {array.dtype.newbyteorder("=").name for array in parameters.values()}
    if len(kinds) > 1:
        raise ModelFileError(
            f"The model file {os.fspath(path)!r} cannot be used. The tensors are of different "
            "types."
        )
    arrays = {name: file.tensors[name] for name in file.tensors if name not in parameters}
    return Model(graph, parameters, kinds.pop() if kinds else "float32", file.extra, arrays)


def _described(metadata: dict[str, str]) -> tuple[Graph, dict[str, TensorSpec]]:
    """Return the graph of a file, and its parameters and other tensors."""
    if "graph" not in metadata:
        raise ModelFileError(
            "It holds no description of a network. If it holds a model of features, "
            "convoi.estimators.load_estimator reads it."
        )
    graph = graph_of(parse_json(metadata["graph"], "graph"))
    parameters = specs_of(graph)
    table = parse_json(metadata.get("arrays", "{}"), "arrays")
    if not isinstance(table, dict) or table.keys() & parameters.keys():
        raise ModelFileError(
            "The 'arrays' metadata are no table of tensors besides the parameters."
        )
    return graph, parameters | {name: _spec(entry) for name, entry in table.items()}


def _spec(entry: object) -> TensorSpec:
    if not isinstance(entry, list) or not entry or entry[0] not in TYPES:
        raise ModelFileError("The 'arrays' metadata hold an entry that is no type and shape.")
    return TensorSpec(shape_of(entry[1:]), (entry[0],))


def graph_of(data: object) -> Graph:
    """Return the network that JSON data describe.

    Raises
    ------
    ModelFileError
        If they describe none.
    """
    graph = graph_from_dict(data)
    try:
        return check_graph(graph)
    except ArgumentError as error:
        raise ModelFileError(f"It describes no network. {error}") from error


def specs_of(graph: Graph) -> dict[str, TensorSpec]:
    """Return what the parameters of a network are in a file."""
    return {name: TensorSpec(spec.shape, FLOATS) for name, spec in graph.parameters.items()}
