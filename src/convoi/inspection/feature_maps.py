"""The outputs of all layers of a network, from one compiled program."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from convoi.checks import refusal
from convoi.errors import ArgumentError
from convoi.graph import Graph, Node
from convoi.nn.arrays import check_samples
from convoi.ops import Concatenate, Flatten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.nn import Network

__all__ = ["FeatureMaps"]


class FeatureMaps:
    """The outputs of a network's layers, compiled once for any number of samples.

    Parameters
    ----------
    network : Network
        Its parameters are taken as they are now; later changes of them have no effect.
    layers : sequence of str, optional
        The layers to show, by the names that :meth:`convoi.Network.summary` lists; by default
        all of them.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        The shape of each layer's output for one sample, in the order of the network.

    Raises
    ------
    ArgumentError
        If there is no layer of a name, or none is asked for.

    Notes
    -----
    The layers run as they do in a prediction: dropout passes everything on, batch normalisation
    uses its running estimates. All outputs come from one pass. Several threads may call it at
    once.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, nn
    >>> layers = nn.Sequential(nn.Conv(8, 3), nn.ReLU(), nn.MaxPool(2))
    >>> maps = FeatureMaps(Network(layers, input_shape=(1, 8, 8), random_state=0))
    >>> {name: output.shape for name, output in maps(np.zeros((5, 1, 8, 8))).items()}
    {'0': (5, 8, 6, 6), '1': (5, 8, 6, 6), '2': (5, 8, 3, 3)}
    """

    def __init__(self, network: Network, layers: Sequence[str] | None = None) -> None:
        # Deferred, because compiling needs llvmlite and importing this module does not.
        from convoi.compiler import InferenceProgram  # noqa: PLC0415

        known = [node.name for node in network.graph.nodes]
        names = known if layers is None else _check_layers(layers, known)
        self.shapes = {name: network.graph.shape(name) for name in names}
        self._input_shape = network.input_shape
        self._dtype = network.dtype
        self._program = InferenceProgram(
            _with_all_outputs(network.graph, names),
            dtype=network.dtype.name,
            threads=network.threads,
            precision=network.precision,
        )
        self._program.load(network.parameters)

    def __call__(self, X: ArrayLike) -> dict[str, NDArray[Any]]:
        """Return the outputs of the layers for samples.

        Parameters
        ----------
        X : array-like of shape (n, *input_shape)
            As the network takes them.

        Returns
        -------
        dict of str to ndarray of shape (n, *shape)
            The output of each layer, of the network's dtype.

        Raises
        ------
        ArgumentTypeError, ShapeError
            If the samples are no real numbers, or have another shape.
        """
        rows = self._program(check_samples(X, self._input_shape, self._dtype))
        outputs, end = {}, 0
        for name, shape in self.shapes.items():
            begin, end = end, end + prod(shape)
            outputs[name] = rows[:, begin:end].reshape(len(rows), *shape)
        return outputs


def _check_layers(layers: Sequence[str], known: list[str]) -> list[str]:
    wanted = {layers} if isinstance(layers, str) else set(layers)
    missing = sorted(wanted - set(known))
    if missing or not wanted:
        listed = ", ".join(map(repr, known))
        raise ArgumentError(refusal("layers", "FeatureMaps", f"among {listed}", layers))
    return [name for name in known if name in wanted]


def _with_all_outputs(graph: Graph, names: list[str]) -> Graph:
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
