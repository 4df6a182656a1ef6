"""From the ``network`` parameter to a network for the data at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from convoi.checks import check_choice, refusal
from convoi.errors import ArgumentTypeError, ShapeError
from convoi.estimators.statistics import channel_statistics
from convoi.nn import Layer, Network, Sequential, Standardize, UnequalSeries, networks

if TYPE_CHECKING:
    from collections.abc import Callable

    from convoi.compiler.pipeline import Precision
    from convoi.estimators.layout import SampleLayout
    from convoi.estimators.training_set import TrainingSet
    from convoi.ops import Shape

NetworkLike: TypeAlias = "str | Layer | Callable[[int], Layer]"
"""A name, layers, or a function from the number of outputs to layers."""

_EXPECTATION = "a layer, a function from the number of outputs to a layer, or one of " + ", ".join(
    map(repr, networks.NETWORKS)
)


def check_network(network: object, owner: str) -> None:
    """Raise unless the ``network`` parameter is one."""
    if isinstance(network, str):
        check_choice(network, "network", owner, tuple(networks.NETWORKS))
    elif not isinstance(network, Layer) and not callable(network):
        raise ArgumentTypeError(refusal("network", owner, _EXPECTATION, network))


def build_network(
    network: NetworkLike,
    layout: SampleLayout,
    data: TrainingSet,
    outputs: int,
    *,
    seed: int | None,
    threads: int | None,
    precision: Precision,
    owner: str,
) -> Network:
    """Return a new network that standardises its input by the statistics of the training set.

    Raises
    ------
    ShapeError
        If the layers cannot take the samples, or have another output.
    """
    layers = _layers(network, layout.input_shape, len(data), outputs, owner)
    body = tuple(layers) if isinstance(layers, Sequential) else (layers,)
    try:
        built = Network(
            Sequential(Standardize(), *body),
            layout.input_shape,
            random_state=seed,
            threads=threads,
            precision=precision,
        )
    except ShapeError as error:
        if layout.is_image:
            raise
        raise ShapeError(
            f"{error} X has flat rows of {layout.size} values: for images, set image_shape to "
            f"their (height, width) or (height, width, channels) in {owner}."
        ) from error
    _check_outputs(built, outputs, owner)
    if isinstance(data.X, UnequalSeries):
        raise TypeError(data.X)
    mean, std = channel_statistics(data.X, data.weight)
    built.parameters = {**built.parameters, "0.mean": mean, "0.std": std}
    return built


def build_series_network(
    network: NetworkLike,
    input_shape: Shape,
    samples: int,
    outputs: int,
    *,
    seed: int | None,
    threads: int | None,
    precision: Precision,
    owner: str,
) -> Network:
    """Return a new network for series, which are normalised before they reach it.

    Raises
    ------
    ShapeError
        If the layers cannot take the series, or have another output.
    """
    built = Network(
        _layers(network, input_shape, samples, outputs, owner),
        input_shape,
        random_state=seed,
        threads=threads,
        precision=precision,
    )
    _check_outputs(built, outputs, owner)
    return built


def _check_outputs(network: Network, outputs: int, owner: str) -> None:
    if network.output_shape != (outputs,):
        raise ShapeError(
            f"The network of {owner} must have outputs of shape ({outputs},), one for each class "
            f"or target. Got {network.output_shape} instead. Let it end in Dense({outputs})."
        )


def _layers(
    network: NetworkLike, input_shape: Shape, samples: int, outputs: int, owner: str
) -> Layer:
    if isinstance(network, Layer):
        return network
    if network == "auto":
        return networks.auto(input_shape, samples=samples, classes=outputs)
    if isinstance(network, str):
        return networks.by_name(network, classes=outputs)
    made = network(outputs)
    if not isinstance(made, Layer):
        raise ArgumentTypeError(refusal("network", owner, _EXPECTATION, network))
    return made
