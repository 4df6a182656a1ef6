"""What the layers of a network hold: kernels, and feature maps of an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import ArgumentError
from convoi.inspection.arguments import check_layer, check_layers, check_network, samples_of
from convoi.inspection.programs import values_program
from convoi.ops import Conv, ParameterKind, TiledConv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.graph import Node
    from convoi.nn import Network

__all__ = ["feature_maps", "kernels"]


def kernels(network: Network, layer: str) -> NDArray[Any]:
    """Return the kernels of a layer.

    Parameters
    ----------
    network : Network
        The network.
    layer : str
        Name of a convolution or dense layer, as ``network.summary()`` shows it.

    Returns
    -------
    ndarray of shape (filters, channels / groups, *kernel), or (units, features)
        A copy. Kernel ``k`` is what makes channel ``k`` of the layer's output. It lies as it is
        laid over the input: that of a convolution with ``flip=True`` is flipped already. Layers
        whose weights are not shared by all positions have axes for the tile behind those of the
        kernel.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If the network has no such layer, or the layer no kernels.

    Examples
    --------
    >>> from convoi import Network, inspection, nn
    >>> network = Network(nn.Sequential(nn.Conv(8, 5), nn.ReLU()), (3, 16, 16), random_state=0)
    >>> inspection.kernels(network, "0").shape
    (8, 3, 5, 5)
    """
    owner = "kernels"
    node = check_network(network, owner).graph.node(check_layer(network, layer, owner))
    weights = _weights(network, node)
    if not weights:
        having = [other.name for other in network.graph.nodes if _weights(network, other)]
        raise ArgumentError(
            f"The 'layer' parameter of {owner} must be a layer with kernels, one of {having}. "
            f"Got {layer!r} instead, a {type(node.op).__name__}."
        )
    weight = network.parameters[weights[0]]
    conv = node.op.conv if isinstance(node.op, TiledConv) else node.op
    if isinstance(conv, Conv) and conv.flip:
        weight = np.flip(weight, tuple(range(2, 2 + len(conv.kernel))))
    return weight.copy()


def _weights(network: Network, node: Node) -> list[str]:
    """Return the names of a node's parameters that are weights."""
    specs = network.parameter_specs
    return [name for name in node.parameters if specs[name].kind is ParameterKind.WEIGHT]


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
        By name, in the order of the network. The memory of all of them is taken at once: ask for
        a few layers, or a few samples, if they are large.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If the network has no such layer, none is asked for, or the samples are no numbers.
    ShapeError
        If the samples have another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, inspection, nn
    >>> layers = nn.Sequential(nn.Conv(8, 3), nn.ReLU(), nn.MaxPool(2), nn.Flatten(), nn.Dense(4))
    >>> network = Network(layers, (1, 10, 10), random_state=0)
    >>> maps = inspection.feature_maps(network, np.ones((2, 1, 10, 10)))
    >>> {name: array.shape for name, array in maps.items()}
    {'0': (2, 8, 8, 8), '1': (2, 8, 8, 8), '2': (2, 8, 4, 4), '3': (2, 128), '4': (2, 4)}
    """
    names = check_layers(check_network(network, "feature_maps"), layers, "feature_maps")
    samples = samples_of(network, X)
    return values_program(network, names)(samples)
