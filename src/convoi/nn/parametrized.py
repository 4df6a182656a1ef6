"""Graphs with parameters: what they are made of, reports on them, and their files."""

from __future__ import annotations

import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_flag, check_integer
from convoi.graph import INPUT, Graph
from convoi.nn.arrays import check_parameters, frozen
from convoi.nn.explanation import NetworkExplanation, explain_network
from convoi.nn.setting import Setting
from convoi.nn.summary import NetworkSummary, summarize

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.compiler.pipeline import Precision
    from convoi.ops import ParameterSpec, Shape

__all__ = ["ParametrizedGraph"]


class ParametrizedGraph:
    """A graph with parameters: what a network is before it is computed.

    Parameters
    ----------
    graph : Graph
        The graph of a network.
    setting : Setting
        How it is to be computed.
    parameters : mapping of str to ndarray
        All its parameters, checked.
    """

    def __init__(
        self, graph: Graph, setting: Setting, parameters: Mapping[str, NDArray[Any]]
    ) -> None:
        self._set_up(graph, setting, parameters)

    def _set_up(
        self, graph: Graph, setting: Setting, parameters: Mapping[str, NDArray[Any]]
    ) -> None:
        """Become this graph: a new one, or one that was pickled."""
        self._graph = graph
        self._setting = setting
        self._parameters = frozen(parameters)

    @property
    def graph(self) -> Graph:
        """The operations."""
        return self._graph

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample."""
        return self._graph.shape(INPUT)

    @property
    def output_shape(self) -> Shape:
        """Shape of what the network makes of one sample."""
        return self._graph.shape(self._graph.outputs[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of parameters and computations."""
        return self._setting.dtype

    @property
    def threads(self) -> int | None:
        """Number of threads; None leaves it to the process's processors."""
        return self._setting.threads

    @property
    def precision(self) -> Precision:
        """How exactly convolutions are computed, "default" or "high"."""
        return self._setting.precision

    @property
    def parameter_specs(self) -> Mapping[str, ParameterSpec]:
        """Shape, kind and fan-in of every parameter by name, in the order of the layers."""
        return MappingProxyType(dict(self._graph.parameters))

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """All parameters by name, as read-only arrays; assignable as a whole.

        Assigning checks that exactly the network's parameters are given, with their shapes, and
        copies them. It raises ArgumentError, ArgumentTypeError or ShapeError if they are not.
        """
        return dict(self._parameters)

    @parameters.setter
    def parameters(self, values: Mapping[str, ArrayLike]) -> None:
        self._parameters = frozen(check_parameters(values, self._graph, self.dtype))

    def summary(
        self, *, show: bool = True, batch_size: int = 128, measure: bool = False
    ) -> NetworkSummary:
        """Return what the layers are and what they cost, and print it as a table.

        Parameters
        ----------
        show : bool
            Whether the table is printed.
        batch_size : int
            Samples of the batch for which memory is planned and times are measured; counts and
            times are per sample.
        measure : bool
            Whether the time of each layer is measured on one thread, and compared with the most
            multiply-adds per second that a core can do. Without it, nothing is compiled.

        Returns
        -------
        NetworkSummary
            A record per layer, and the totals: parameters, connections, multiply-adds, bytes,
            arithmetic intensity, receptive field, planned memory and measured times.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the batch size is no positive integer, or a flag no bool.

        Examples
        --------
        >>> from convoi import Network, nn
        >>> network = Network(nn.Sequential(nn.Conv(8, 3), nn.ReLU()), input_shape=(1, 8, 8))
        >>> summary = network.summary(show=False)
        >>> summary
        <NetworkSummary: 2 layers, 80 parameters, 2,592 multiply-adds>
        >>> summary.layers[0].output_shape
        (8, 6, 6)
        >>> summary.layers[0].receptive_field.size
        (3, 3)
        """
        size = check_integer(batch_size, "batch_size", "summary", minimum=1)
        check_flag(show, "show", "summary")
        timed = check_flag(measure, "measure", "summary")
        measured = self._parameters if timed else None
        summary = summarize(self._graph, self._setting, batch_size=size, measured=measured)
        if show:
            summary.show()
        return summary

    def explain(
        self, *, show: bool = True, training: bool = False, batch_size: int = 128
    ) -> NetworkExplanation:
        """Return which kernel computes each layer on this machine and why, and print it.

        Parameters
        ----------
        show : bool
            Whether the table is printed.
        training : bool
            Whether a step of training (with cross-entropy) is explained, or predictions.
        batch_size : int
            Samples of the batch that threads share.

        Returns
        -------
        NetworkExplanation
            A record per kernel: its kind, form of fast convolution, register tile and vector
            width, what is fused with it, the samples that pass it together, the costs of the
            candidates by the cost model, in cycles, and the reason of the choice. Nothing is
            compiled.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the batch size is no positive integer, or a flag no bool; in training also if the
            network is none for cross-entropy.

        Examples
        --------
        >>> from convoi import Network, nn
        >>> layers = nn.Sequential(nn.Conv(16, 3), nn.ReLU(), nn.Conv(16, 3))
        >>> network = Network(layers, input_shape=(3, 32, 32))
        >>> explanation = network.explain(show=False)
        >>> [kernel.form for kernel in explanation.kernels if kernel.layer == "2"]
        ['F(4,3)']
        """
        check_flag(show, "show", "explain")
        size = check_integer(batch_size, "batch_size", "explain", minimum=1)
        for_training = check_flag(training, "training", "explain")
        explanation = explain_network(
            self._graph, self._setting, training=for_training, batch_size=size
        )
        if show:
            explanation.show()
        return explanation

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that :func:`convoi.load` reads.

        The file is in the safetensors format, with the graph as metadata. It appears as a whole
        or, in case of an error, not at all.

        Parameters
        ----------
        path : str or PathLike
            The file; an existing one is replaced.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        from convoi.nn.model_file import write_model  # noqa: PLC0415 - loads safetensors

        write_model(path, self._graph, self._parameters)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "graph": self._graph,
            "dtype": self.dtype.name,
            "threads": self.threads,
            "precision": self.precision,
            "parameters": dict(self._parameters),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        setting = Setting(np.dtype(state["dtype"]), state["threads"], state["precision"])
        self._set_up(state["graph"], setting, state["parameters"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Graph and arrays are immutable: a copy may share them.
        return copy.copy(self)
