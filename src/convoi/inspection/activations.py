"""The outputs of the layers of a network, from one compiled program."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from convoi.checks import refusal
from convoi.errors import ArgumentError
from convoi.graph import Graph, Node
from convoi.nn.arrays import check_samples
from convoi.ops import Concatenate, Flatten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.compiler import InferenceProgram
    from convoi.nn import Network

__all__ = ["feature_maps"]


def feature_maps(
    network: Network, X: ArrayLike, layers: Sequence[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Return what the layers of a network make of samples.

    All of them are computed in one pass of compiled code, as in predictions: batch normalisation
    uses its running statistics, and dropout does nothing.

    Parameters
    ----------
    network : Network
        The network.
    X : array-like of shape (n, *input_shape)
        Samples.
    layers : sequence of str, optional
        Names of layers, as ``network.summary()`` shows them; by default all.

    Returns
    -------
    dict of str to ndarray of shape (n, *output shape of the layer)
        By name, in the order of the network.

    Raises
    ------
    ArgumentError
        If the network has no such layer, or none is asked for.
    ArgumentTypeError, ShapeError
        If the samples are no real numbers, or have another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, nn
    >>> layers = nn.Sequential(nn.Conv(8, 3), nn.ReLU(), nn.MaxPool(2))
    >>> network = Network(layers, input_shape=(1, 8, 8), random_state=0)
    >>> maps = feature_maps(network, np.zeros((5, 1, 8, 8)))
    >>> {name: output.shape for name, output in maps.items()}
    {'0': (5, 8, 6, 6), '1': (5, 8, 6, 6), '2': (5, 8, 3, 3)}
    """
    names = _check_layers(layers, [node.name for node in network.graph.nodes])
    rows = _program(network, names)(check_samples(X, network.input_shape, network.dtype))
    outputs, end = {}, 0
    for name in names:
        shape = network.graph.shape(name)
        begin, end = end, end + prod(shape)
        outputs[name] = rows[:, begin:end].reshape(len(rows), *shape)
    return outputs


def _check_layers(layers: Sequence[str] | None, known: list[str]) -> tuple[str, ...]:
    wanted = set(known) if layers is None else {layers} if isinstance(layers, str) else set(layers)
    if not wanted or not wanted <= set(known):
        listed = ", ".join(map(repr, known))
        raise ArgumentError(refusal("layers", "feature_maps", f"among {listed}", layers))
    return tuple(name for name in known if name in wanted)


_Loaded = tuple["Mapping[str, Any]", "InferenceProgram"]
_PROGRAMS: WeakKeyDictionary[Network, dict[tuple[str, ...], _Loaded]] = WeakKeyDictionary()
"""For each network and layers the parameters that the program has, and the program."""


def _program(network: Network, names: tuple[str, ...]) -> InferenceProgram:
    # Deferred, because compiling needs llvmlite and importing this module does not.
    from convoi.compiler import InferenceProgram  # noqa: PLC0415

    parameters = network.parameters
    programs = _PROGRAMS.setdefault(network, {})
    loaded, program = programs.get(names, ({}, None))
    # Networks replace their arrays and never change them.
    if program is None or any(loaded[name] is not parameters[name] for name in parameters):
        program = InferenceProgram(
            _with_outputs(network.graph, names),
            dtype=network.dtype.name,
            threads=network.threads,
            precision=network.precision,
        )
        program.load(parameters)
        programs[names] = parameters, program
    return program


def _with_outputs(graph: Graph, names: tuple[str, ...]) -> Graph:
    """Return the graph whose one output is the values of these nodes, as one row of features."""
    nodes, parts = list(graph.nodes), []
    for name in names:
        parts.append(name)
        if len(graph.shape(name)) > 1:
            nodes.append(Node(f"{name}|features", Flatten(), (name,)))
            parts[-1] = nodes[-1].name
    if len(parts) > 1:
        nodes.append(Node("|all", Concatenate(), tuple(parts)))
        parts = [nodes[-1].name]
    return Graph(graph.inputs, tuple(nodes), tuple(parts), graph.parameters)
