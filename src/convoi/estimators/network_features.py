"""Features of series from the kernels that a network has learned."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.estimators.features import SeriesFeatures
from convoi.graph import Graph
from convoi.nn import Network
from convoi.ops import BatchNorm, Conv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.graph import Node
    from convoi.signal.series import SeriesCollection

_INPUT = "input"
_BYTES_AT_A_TIME = 1 << 26
_LENGTHS_KEPT = 16
"""Lengths of series whose compiled networks are kept."""


class NetworkFeatures(SeriesFeatures):
    """Features of series from the convolutions of a trained network.

    Each filter gives the two features of Rocket's kernels: the proportion of positions where it
    is positive, and its largest value. So learned and random kernels can be used in the same
    pipelines.

    Parameters
    ----------
    network : Network or estimator
        A trained network for series, or a fitted estimator that has one as ``network_``. It is
        used as it is: ``fit`` trains nothing.
    layer : int or str, default=0
        Which convolution: its number in the order of the network, negative ones from the end;
        or its name in ``network.graph``. A batch normalisation that follows belongs to it.
    threads : int or None, default=None
        How many threads; by default as many as there are processors.

    Attributes
    ----------
    layer_ : str
        The name of the convolution.
    n_channels_ : int
        Channels of the series.
    n_features_in_ : int
        Time steps, if the series were the rows of an array.

    See Also
    --------
    RocketFeatures : The same features of random kernels.
    FeaturesClassifier : A linear classifier of them.

    Notes
    -----
    Series are given to the network as they are: apply the normalisation that it was trained with.
    Layers up to the convolution must allow any length if series have other lengths than the
    network's; it is then compiled once for each length.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, nn
    >>> from convoi.estimators import NetworkFeatures
    >>> network = Network(nn.networks.fcn(2), (1, 50), random_state=0)
    >>> X = np.random.default_rng(0).standard_normal((20, 50))
    >>> NetworkFeatures(network, layer=-1).fit_transform(X).shape
    (20, 256)
    """

    layer_: str
    _parts: OrderedDict[int, Network]

    def __init__(
        self, network: object, *, layer: int | str = 0, threads: int | None = None
    ) -> None:
        self.network = network
        self.layer = layer
        self.threads = threads

    def _check_parameters(self) -> None:
        owner = type(self).__name__
        network = self._network()
        if len(network.input_shape) != 2:
            expectation = "a network for series, whose input is (channels, time)"
            raise ShapeError(refusal("network", owner, expectation, network))
        if self.threads is not None:
            check_integer(self.threads, "threads", owner, minimum=1)

    def _network(self) -> Network:
        network = getattr(self.network, "network_", self.network)
        if not isinstance(network, Network):
            expectation = "a Network or a fitted estimator that has one"
            raise ArgumentTypeError(
                refusal("network", type(self).__name__, expectation, self.network)
            )
        return network

    def _fit(self, collection: SeriesCollection) -> int:
        self._learn_layer(collection.channels)
        return self._n_features_out

    def _learn_layer(self, channels: int) -> None:
        """Find the convolution, for series of so many channels."""
        self._check_parameters()
        network = self._network()
        if channels != network.input_shape[0]:
            raise ShapeError(
                f"The 'X' parameter of {type(self).__name__} must be series of "
                f"{network.input_shape[0]} channels, as the network takes them. Got "
                f"{channels} instead."
            )
        self.layer_ = self._layer(network).name
        self._parts = OrderedDict()
        self._n_features_out = 2 * self._part(network.input_shape[1]).output_shape[0]

    def _layer(self, network: Network) -> Node:
        nodes = {node.name: node for node in network.graph.nodes if isinstance(node.op, Conv)}
        if isinstance(self.layer, str):
            if self.layer in nodes:
                return nodes[self.layer]
            raise ArgumentError(
                f"The 'layer' parameter of {type(self).__name__} must be one of "
                f"{', '.join(map(repr, nodes))}. Got {self.layer!r} instead."
            )
        count = len(nodes)
        number = check_integer(
            self.layer, "layer", type(self).__name__, minimum=-count, maximum=count - 1
        )
        return list(nodes.values())[number]

    def _part(self, length: int) -> Network:
        """Return the network up to the convolution, for series of a length."""
        part = self._parts.pop(length, None)
        if part is None:
            part = self._cut(length)
        self._parts[length] = part
        while len(self._parts) > _LENGTHS_KEPT:
            self._parts.popitem(last=False)
        return part

    def _cut(self, length: int) -> Network:
        network = self._network()
        graph = network.graph
        following = graph.consumers(self.layer_)
        normalized = len(following) == 1 and isinstance(following[0].op, BatchNorm)
        last = following[0].name if normalized else self.layer_
        needed = {last}
        nodes = []
        for node in reversed(graph.nodes):
            if node.name in needed:
                nodes.append(node)
                needed.update(node.inputs)
        nodes.reverse()
        names = {name for node in nodes for name in node.parameters}
        specs = {name: spec for name, spec in graph.parameters.items() if name in names}
        try:
            cut = Graph({_INPUT: (network.input_shape[0], length)}, tuple(nodes), (last,), specs)
        except ShapeError as error:
            raise ShapeError(
                f"The network of {type(self).__name__} cannot take series of {length} time steps, "
                f"but of {network.input_shape[1]}. {error}"
            ) from error
        parameters = network.parameters
        return Network(
            cut,
            dtype=network.dtype,
            threads=self.threads,
            precision=network.precision,
            parameters={name: parameters[name] for name in specs},
        )

    def _transform(self, collection: SeriesCollection) -> NDArray[np.float32]:
        features = np.empty((len(collection), self._n_features_out), np.float32)
        for length in np.unique(collection.lengths).tolist():
            part = self._part(length)
            outputs = max(1, int(np.prod(part.output_shape)) * part.dtype.itemsize)
            step = max(1, _BYTES_AT_A_TIME // outputs)
            numbers = np.flatnonzero(collection.lengths == length)
            for start in range(0, len(numbers), step):
                some = numbers[start : start + step]
                y = part(np.stack([collection.series(i) for i in some]))
                y = y.reshape(*y.shape[:2], -1)
                features[some, 0::2] = (y > 0).mean(axis=2)
                features[some, 1::2] = y.max(axis=2)
        return features

    def __getstate__(self) -> dict[str, object]:
        state: dict[str, object] = super().__getstate__()
        return {**state, "_parts": OrderedDict()} if "_parts" in state else state
