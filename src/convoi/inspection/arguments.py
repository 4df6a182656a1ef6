"""Checks of the arguments that functions of inspection share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import describe, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.graph import INPUT
from convoi.nn import Network
from convoi.nn.arrays import check_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["check_layer", "check_layers", "check_network", "chosen_outputs", "samples_of"]


def check_network(network: object, owner: str) -> Network:
    """Return a network; raise for anything else."""
    if not isinstance(network, Network):
        raise ArgumentTypeError(
            refusal("network", owner, "a Network, such as the attribute network_", network)
        )
    return network


def check_layer(network: Network, layer: object, owner: str, name: str = "layer") -> str:
    """Return the name of a layer; raise unless the network has it."""
    names = [node.name for node in network.graph.nodes]
    if not isinstance(layer, str):
        raise ArgumentTypeError(refusal(name, owner, "the name of a layer", layer))
    if layer not in names:
        raise ArgumentError(
            f"The {name!r} parameter of {owner} must be the name of a layer. Got {layer!r} "
            f"instead. The network has {describe(names)}; network.summary() lists them."
        )
    return layer


def check_layers(network: Network, layers: Sequence[str] | None, owner: str) -> tuple[str, ...]:
    """Return names of layers in the order of the network, by default of all."""
    known = tuple(node.name for node in network.graph.nodes)
    if layers is None:
        return known
    if isinstance(layers, str) or not len(layers):
        expectation = "a sequence of names of layers, at least one"
        raise ArgumentError(refusal("layers", owner, expectation, layers))
    wanted = {check_layer(network, layer, owner, "layers") for layer in layers}
    return tuple(name for name in known if name in wanted)


def samples_of(network: Network, X: ArrayLike) -> NDArray[Any]:
    """Return samples in the network's dtype; raise unless they fit it."""
    return check_samples(X, network.input_shape, network.dtype)


def chosen_outputs(network: Network, X: NDArray[Any], output: object, owner: str) -> NDArray[Any]:
    """Return the number of the output to explain for each sample.

    Raises
    ------
    ShapeError
        If the network's output has positions, or the numbers are not as many as the samples.
    ArgumentError, ArgumentTypeError
        If a number is none, or there is no such output.
    """
    if len(network.output_shape) != 1:
        raise ShapeError(
            f"{owner} explains outputs of shape (n,). The network has outputs of shape "
            f"{network.output_shape}."
        )
    (count,) = network.output_shape
    if output is None:
        largest: NDArray[Any] = network(X).argmax(axis=1)
        return largest
    numbers = np.asarray(output)
    if numbers.dtype.kind not in "iu":
        expectation = "the number of an output, one such number for each sample, or None"
        raise ArgumentTypeError(refusal("output", owner, expectation, output))
    if numbers.shape not in {(), (len(X),)}:
        raise ShapeError(
            f"The 'output' parameter of {owner} must have the shape () or ({len(X)},). "
            f"Got {numbers.shape} instead."
        )
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise ArgumentError(
            f"The 'output' parameter of {owner} must hold numbers from 0 to {count - 1}. "
            f"Got {describe(output)} instead."
        )
    return np.broadcast_to(numbers, len(X))


def some_samples(X: NDArray[Any], owner: str) -> NDArray[Any]:
    """Raise unless there is a sample."""
    if len(X) == 0:
        raise DataError(f"{owner} needs at least one sample. Got X with none.")
    return X


def spatial_shape(network: Network) -> tuple[int, ...]:
    """Return the extents of the network's input without its channels."""
    return network.graph.shape(INPUT)[1:]
