"""Running a graph in NumPy, operation by operation: what every program is tested against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convoi.errors import ArgumentError, ShapeError
from convoi.ops import Domain, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convoi.graph.nodes import Graph

__all__ = ["run"]

Arrays = dict[str, NDArray[Any]]


def run(
    graph: Graph,
    arrays: Mapping[str, NDArray[Any]],
    parameters: Mapping[str, NDArray[Any]] | None = None,
) -> Arrays:
    """Compute every value of a graph, in the precision of its arrays.

    Parameters
    ----------
    graph : Graph
        What to compute.
    arrays : mapping of str to ndarray
        The inputs, ``(n, *shape)``; the seed of dropout has shape ``()``.
    parameters : mapping of str to ndarray, optional
        The parameters.

    Returns
    -------
    dict of str to ndarray
        The values of all inputs and nodes by name: ``(n, *shape)``, or ``shape`` where the value
        belongs to the batch.

    Raises
    ------
    ArgumentError
        If an input or a parameter is missing.
    ShapeError
        If one has the wrong shape.

    Examples
    --------
    >>> from convoi.graph import Builder
    >>> from convoi.ops import ReLU
    >>> build = Builder.for_network((2,))
    >>> graph = build.finish(build.layer("positive", ReLU(), "input"))
    >>> run(graph, {"input": np.array([[-1.0, 2.0]])})["positive"]
    array([[0., 2.]])
    """
    parameters = parameters or {}
    values = {name: np.asarray(_find(arrays, name, "input")) for name in graph.inputs}
    batch = next((len(values[name]) for name in values if _per_sample(graph, name)), 0)
    for name, array in values.items():
        leading = (batch,) if _per_sample(graph, name) else ()
        _check_shape(name, array, (*leading, *graph.shape(name)))
    held = {name: np.asarray(_find(parameters, name, "parameter")) for name in graph.parameters}
    for name, array in held.items():
        _check_shape(name, array, graph.parameters[name].shape)
    for node in graph.nodes:
        operands = [values[value] for value in node.inputs]
        weights = [held[name] for name in node.parameters]
        values[node.name] = node.op.reference(*operands, *weights)
    return values


def _per_sample(graph: Graph, name: str) -> bool:
    return graph.domain(name) is Domain.SAMPLE


def _find(arrays: Mapping[str, NDArray[Any]], name: str, what: str) -> NDArray[Any]:
    if name not in arrays:
        raise ArgumentError(f"The graph has the {what} {name!r}; got only {sorted(arrays)}.")
    return arrays[name]


def _check_shape(name: str, array: NDArray[Any], expected: Shape) -> None:
    if array.shape != expected:
        raise ShapeError(f"The array {name!r} must have the shape {expected}, got {array.shape}.")
