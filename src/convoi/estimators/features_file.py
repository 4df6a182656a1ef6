"""Models of features in files: transformers from series to features, and classifiers of them.

They are files of :mod:`convoi.nn.tensor_file`, without a graph. Their ``extra`` is a dictionary:

==========  ===================================================================================
Key         Value
==========  ===================================================================================
estimator   The class: one of :data:`TRANSFORMERS` or :data:`CLASSIFIERS`
features    What the transformer is, a dictionary: see below
outputs     Of a classifier: the number of features
strength    Of a classifier: the strength of regularisation that was chosen
label_type  Of a classifier: the dtype of its labels
labels      Of a classifier: the labels in the order of the outputs, which is ascending
==========  ===================================================================================

The tensors of a classifier are ``scale``, what each feature is divided by, ``coefficients`` and
``intercept``. The transformer's begin with ``features.``; its dictionary tells their sizes:

==========  ===================================================================================
Key         Value
==========  ===================================================================================
kind        One of :data:`TRANSFORMERS`
channels    Of the series
length      Time steps of the series that were the rows of an array, or null
dilations   Of MiniRocket: how many dilations
biases      Of MiniRocket: how many biases
kernels     Of Rocket: how many kernels
weights     Of Rocket: how many weights
choices     Of either: how many choices of a channel, or null
normalize   Of Rocket: whether series are normalised
graph       Of learned kernels: the network, see :mod:`convoi.graph.serialize`
layer       Of learned kernels: the name of the convolution
==========  ===================================================================================

Reading a file trusts nothing in it: what is missing, of another type or does not fit together
raises :class:`~convoi.errors.ModelFileError`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from convoi.checks import describe
from convoi.errors import ArgumentError, ArgumentTypeError, ModelFileError, ShapeError
from convoi.estimators.features import MiniRocketFeatures, RocketFeatures
from convoi.estimators.model_fields import (
    chosen,
    described_labels,
    is_flag,
    is_number,
    is_text,
    labels_of,
    list_of,
    refuse,
    size_of,
)
from convoi.estimators.network_features import NetworkFeatures
from convoi.graph import graph_to_dict
from convoi.nn import Network
from convoi.nn.model_file import graph_of, specs_of
from convoi.nn.tensor_file import FLOATS, TensorSpec, extra_of, read_tensor_file, write_tensor_file
from convoi.signal import MiniRocketKernels, RocketKernels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convoi.compiler.pipeline import Precision

    Tensors = Mapping[str, NDArray[Any]]
    Transformer = MiniRocketFeatures | RocketFeatures | NetworkFeatures

TRANSFORMERS = ("MiniRocketFeatures", "RocketFeatures", "NetworkFeatures")
"""The transformers that files hold."""
CLASSIFIERS = ("MiniRocketClassifier", "RocketClassifier", "FeaturesClassifier")
"""The classifiers that files hold."""

_MINIROCKET_COMBINATIONS = 84
_PREFIX = "features."
_NETWORK = "network."

_CHANNELS = "channel_indices"


def write_transformer(path: str | os.PathLike[str], transformer: Transformer) -> None:
    """Write a fitted transformer."""
    description, tensors = _described(transformer)
    extra = {"estimator": description["kind"], "features": description}
    write_tensor_file(path, tensors, {}, extra)


def write_classifier(
    path: str | os.PathLike[str], kind: str, pipeline: Pipeline, labels: NDArray[Any]
) -> None:
    """Write the fitted pipeline of a classifier of features, and its labels.

    Raises
    ------
    ArgumentTypeError
        If the features or the labels are none that a file can hold.
    """
    if kind not in CLASSIFIERS:
        raise ArgumentTypeError(
            f"A model file holds no {kind}, which is derived from the package's classifiers. Keep "
            "this model with joblib.dump."
        )
    features, scaler, ridge = (step for _, step in pipeline.steps)
    description, tensors = _described(features)
    coefficients = np.atleast_2d(ridge.coef_)
    tensors |= {
        "scale": np.asarray(scaler.scale_, np.float64),
        "coefficients": coefficients,
        "intercept": np.atleast_1d(ridge.intercept_).astype(coefficients.dtype, copy=False),
    }
    extra = {
        "estimator": kind,
        "features": description,
        "outputs": coefficients.shape[1],
        "strength": float(ridge.alpha_),
        **described_labels(labels),
    }
    write_tensor_file(path, tensors, {}, extra)


def read_transformer(
    path: str | os.PathLike[str], kind: str, *, threads: int | None, precision: Precision
) -> Transformer:
    """Read a transformer of this kind.

    Raises
    ------
    ModelFileError
        If the file holds none.
    """
    file = read_tensor_file(path, lambda metadata: (None, _specs(metadata, kind)))
    try:
        return _restored(file.extra["features"], file.tensors, threads, precision)
    except ModelFileError as error:
        raise _naming(path, error) from error


def read_classifier(
    path: str | os.PathLike[str], kind: str, *, threads: int | None, precision: Precision
) -> tuple[Pipeline, NDArray[Any]]:
    """Read the pipeline and the labels of a classifier of this kind.

    Raises
    ------
    ModelFileError
        If the file holds none.
    """
    file = read_tensor_file(path, lambda metadata: (None, _specs(metadata, kind)))
    try:
        labels = _labels(file.extra)
        transformer = _restored(file.extra["features"], file.tensors, threads, precision)
        if transformer._n_features_out != file.extra["outputs"]:  # noqa: SLF001 - of this package
            refuse(f"The entry 'outputs' is invalid: {describe(file.extra['outputs'])}.")
        return _pipeline(file.extra, file.tensors, transformer, labels), labels
    except ModelFileError as error:
        raise _naming(path, error) from error


def _naming(path: str | os.PathLike[str], error: ModelFileError) -> ModelFileError:
    return ModelFileError(f"The model file {os.fspath(path)!r} cannot be used. {error}")


# Writing


def _described(transformer: object) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what a fitted transformer is, and its tensors."""
    if isinstance(transformer, MiniRocketFeatures):
        entries, tensors = _described_minirocket(transformer.kernels_)
    elif isinstance(transformer, RocketFeatures):
        entries, tensors = _described_rocket(transformer.kernels_)
        entries["normalize"] = bool(transformer.normalize)
    elif isinstance(transformer, NetworkFeatures):
        network = transformer._network()  # noqa: SLF001 - of this package
        entries = {"graph": graph_to_dict(network.graph), "layer": transformer.layer_}
        tensors = {_NETWORK + name: array for name, array in network.parameters.items()}
    else:
        raise ArgumentTypeError(
            f"A model file holds the features of {', '.join(TRANSFORMERS)}. Got "
            f"{type(transformer).__name__} instead. Keep this model with joblib.dump."
        )
    length = getattr(transformer, "n_features_in_", None)
    description: dict[str, Any] = {
        "kind": type(transformer).__name__,
        "channels": transformer.n_channels_,
        "length": None if length is None else int(length),
        **entries,
    }
    if description["kind"] not in TRANSFORMERS:
        raise ArgumentTypeError(
            f"A model file holds no {description['kind']}, which is derived from the package's "
            "transformers. Keep this model with joblib.dump."
        )
    return description, {_PREFIX + name: array for name, array in tensors.items()}


def _described_minirocket(
    kernels: MiniRocketKernels,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    tensors: dict[str, NDArray[Any]] = {
        "dilations": kernels.dilations,
        "features_per_dilation": kernels.features_per_dilation,
        "biases": kernels.biases,
    }
    counts, indices = kernels.channels_per_combination, kernels.channel_indices
    if counts is not None and indices is not None:
        tensors |= {"channels_per_combination": counts, _CHANNELS: indices}
    entries = {
        "dilations": len(kernels.dilations),
        "biases": len(kernels.biases),
        "choices": None if indices is None else len(indices),
    }
    return entries, tensors


def _described_rocket(kernels: RocketKernels) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    names = ("lengths", "dilations", "paddings", "biases", "weights")
    tensors: dict[str, NDArray[Any]] = {name: getattr(kernels, name) for name in names}
    counts, indices = kernels.channels_per_kernel, kernels.channel_indices
    if counts is not None and indices is not None:
        tensors |= {"channels_per_kernel": counts, _CHANNELS: indices}
    entries = {
        "kernels": len(kernels),
        "weights": len(kernels.weights),
        "choices": None if indices is None else len(indices),
    }
    return entries, tensors


# What tensors there have to be


def _specs(metadata: dict[str, str], kind: str) -> dict[str, TensorSpec]:
    """Return the tensors that a description of this kind of estimator asks for."""
    extra = extra_of(metadata)
    found = extra.get("estimator")
    if found != kind:
        what = "a network" if found is None else describe(found)
        refuse(f"It holds no {kind}, but {what}. load_estimator reads any estimator.")
    description = extra.get("features")
    if not isinstance(description, dict):
        refuse("The entry 'features' is no dictionary.")
    specs = _specs_of_transformer(description)
    if kind in TRANSFORMERS:
        if description["kind"] != kind:
            refuse(f"The entry 'kind' is invalid: {describe(description['kind'])}.")
        return specs
    own = kind.replace("Classifier", "Features")
    if own in TRANSFORMERS and description["kind"] != own:
        refuse(f"The entry 'kind' is invalid: {describe(description['kind'])}.")
    outputs, count = size_of(extra, "outputs"), len(_labels(extra))
    planes = 1 if count == 2 else count
    return specs | {
        "scale": TensorSpec((outputs,), ("float64",)),
        "coefficients": TensorSpec((planes, outputs), FLOATS),
        "intercept": TensorSpec((planes,), FLOATS),
    }


def _labels(extra: dict[str, Any]) -> NDArray[Any]:
    """Return the labels, as many as there are."""
    values = extra.get("labels")
    if not isinstance(values, list):
        refuse(f"The entry 'labels' is invalid: {describe(values)}.")
    return labels_of(extra, len(values))


def _specs_of_transformer(description: dict[str, Any]) -> dict[str, TensorSpec]:
    kind = chosen(description, "kind", TRANSFORMERS)
    if kind == "NetworkFeatures":
        parameters = specs_of(graph_of(description.get("graph")))
        return {_PREFIX + _NETWORK + name: spec for name, spec in parameters.items()}
    sizes: dict[str, tuple[int, str]]
    if kind == "MiniRocketFeatures":
        dilations = size_of(description, "dilations")
        counts, combinations = "channels_per_combination", _MINIROCKET_COMBINATIONS * dilations
        sizes = {
            "dilations": (dilations, "int64"),
            "features_per_dilation": (dilations, "int64"),
            "biases": (size_of(description, "biases"), "float32"),
        }
    else:
        counts, combinations = "channels_per_kernel", size_of(description, "kernels")
        sizes = {
            "lengths": (combinations, "int64"),
            "dilations": (combinations, "int64"),
            "paddings": (combinations, "int64"),
            "biases": (combinations, "float32"),
            "weights": (size_of(description, "weights"), "float32"),
        }
    if description.get("choices") is not None:
        sizes[counts] = (combinations, "int64")
        sizes[_CHANNELS] = (size_of(description, "choices"), "int64")
    return {_PREFIX + name: TensorSpec((size,), (kind,)) for name, (size, kind) in sizes.items()}


# Reading


def _restored(
    description: dict[str, Any], tensors: Tensors, threads: int | None, precision: Precision
) -> Transformer:
    """Return a fitted transformer."""
    arrays = {
        name.removeprefix(_PREFIX): array
        for name, array in tensors.items()
        if name.startswith(_PREFIX)
    }
    channels = size_of(description, "channels")
    length = None if description.get("length") is None else size_of(description, "length")
    transformer: Transformer
    try:
        if description["kind"] == "MiniRocketFeatures":
            transformer = _minirocket(arrays, channels, threads)
        elif description["kind"] == "RocketFeatures":
            transformer = _rocket(description, arrays, channels, threads)
        else:
            transformer = _learned(description, arrays, channels, threads, precision)
    except (ArgumentError, ArgumentTypeError, ShapeError) as error:
        raise ModelFileError(f"Its features are invalid. {error}") from error
    transformer.n_channels_ = channels
    if length is not None:
        transformer.n_features_in_ = length
    return transformer


def _minirocket(arrays: Tensors, channels: int, threads: int | None) -> MiniRocketFeatures:
    # Bounded one by one: their sum, which sizes follow from, must not overflow.
    if int(arrays["features_per_dilation"].max()) > len(arrays["biases"]):
        refuse("The tensor 'features.features_per_dilation' is invalid.")
    _check_choices(arrays, "channels_per_combination", channels)
    kernels = MiniRocketKernels(**arrays)
    transformer = MiniRocketFeatures(len(kernels), threads=threads)
    transformer.kernels_, transformer._n_features_out = kernels, len(kernels)  # noqa: SLF001 - as its fit
    return transformer


def _rocket(
    description: dict[str, Any], arrays: Tensors, channels: int, threads: int | None
) -> RocketFeatures:
    if not is_flag(description.get("normalize")):
        refuse(f"The entry 'normalize' is invalid: {describe(description.get('normalize'))}.")
    _check_choices(arrays, "channels_per_kernel", channels)
    kernels = RocketKernels(**arrays)
    transformer = RocketFeatures(len(kernels), normalize=description["normalize"], threads=threads)
    transformer.kernels_, transformer._n_features_out = kernels, 2 * len(kernels)  # noqa: SLF001 - as its fit
    return transformer


def _check_choices(arrays: Tensors, counts: str, channels: int) -> None:
    """Require channels that the series have."""
    if counts not in arrays:
        return
    if int(arrays[counts].max()) > channels or int(arrays[_CHANNELS].max()) >= channels:
        refuse(f"The tensor 'features.{_CHANNELS}' is invalid: there are {channels} channels.")


def _learned(
    description: dict[str, Any],
    arrays: Tensors,
    channels: int,
    threads: int | None,
    precision: Precision,
) -> NetworkFeatures:
    if not is_text(description.get("layer")):
        refuse(f"The entry 'layer' is invalid: {describe(description.get('layer'))}.")
    parameters = {name.removeprefix(_NETWORK): array for name, array in arrays.items()}
    types = {array.dtype.newbyteorder("=").name for array in parameters.values()}
    if len(types) > 1:
        refuse("The tensors of the network are of different types.")
    network = Network(
        graph_of(description["graph"]),
        dtype=types.pop() if types else "float32",
        parameters=parameters,
        threads=threads,
        precision=precision,
    )
    transformer = NetworkFeatures(network, layer=description["layer"], threads=threads)
    transformer._learn_layer(channels)  # noqa: SLF001 - as its fit
    return transformer


def _pipeline(
    extra: dict[str, Any], tensors: Tensors, transformer: Transformer, labels: NDArray[Any]
) -> Pipeline:
    """Return features, scaling and classifier as they were fitted."""
    (strength,) = list_of(
        {"strength": [extra.get("strength")]}, "strength", is_number, lengths=(1,)
    )
    scale = tensors["scale"]
    if strength <= 0 or not (np.isfinite(scale).all() and (scale > 0).all()):
        refuse("The strength of regularisation and the tensor 'scale' must be positive.")
    if not all(np.isfinite(tensors[name]).all() for name in ("coefficients", "intercept")):
        refuse("The tensors 'coefficients' and 'intercept' must be finite.")
    scaler = StandardScaler(with_mean=False)
    scaler.scale_, scaler.n_features_in_ = scale, len(scale)
    # A fit to anything tells the classifier its labels; what it learned besides is replaced.
    ridge = RidgeClassifierCV(alphas=[float(strength)])
    try:
        ridge.fit(np.eye(len(labels)), labels)
    except ValueError as error:
        raise ModelFileError(f"Its labels are none of classes. {error}") from error
    if not np.array_equal(ridge.classes_, labels):
        refuse("The entry 'labels' is invalid: labels must be in ascending order.")
    ridge.coef_, ridge.intercept_ = tensors["coefficients"], tensors["intercept"]
    ridge.n_features_in_ = len(scale)
    return Pipeline([("features", transformer), ("scale", scaler), ("classify", ridge)])
