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
            Of random kernels: the entries of :mod:`convoi.estimators.kernel_tensors`
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
from convoi.estimators.kernel_tensors import MINIROCKET, ROCKET
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
from convoi.graph import graph_to_dict
from convoi.nn import Network
from convoi.nn.model_file import graph_of, specs_of
from convoi.nn.tensor_file import FLOATS, TensorSpec, extra_of, read_tensor_file, write_tensor_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from convoi.compiler.pipeline import Precision
    from convoi.signal import MiniRocketKernels, RocketKernels

    Tensors: TypeAlias = Mapping[str, NDArray[Any]]
    Class: TypeAlias = Callable[..., Any]
    """One of the classes of transformers, which use this file and are not used by it."""

TRANSFORMERS = ("MiniRocketFeatures", "RocketFeatures", "NetworkFeatures")
"""The transformers that files hold."""
CLASSIFIERS = ("MiniRocketClassifier", "RocketClassifier", "FeaturesClassifier")
"""The classifiers that files hold."""

_PREFIX = "features."
_NETWORK = "network."


def write_transformer(
    path: str | os.PathLike[str],
    transformer: Any,  # noqa: ANN401 - of one of the classes
) -> None:
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
    path: str | os.PathLike[str], cls: Class, *, threads: int | None, precision: Precision
) -> Any:  # noqa: ANN401 - of the class
    """Read a transformer of this class.

    Raises
    ------
    ModelFileError
        If the file holds none.
    """
    file = read_tensor_file(path, lambda metadata: (None, _specs(metadata, cls.__name__)))
    try:
        return _restored(cls, file.extra["features"], file.tensors, threads, precision)
    except ModelFileError as error:
        raise _naming(path, error) from error


def read_classifier(
    path: str | os.PathLike[str],
    kind: str,
    transformers: Sequence[Class],
    *,
    threads: int | None,
    precision: Precision,
) -> tuple[Pipeline, NDArray[Any]]:
    """Read the pipeline and the labels of a classifier of this kind.

    Its features are made by one of the classes that are given, those of :data:`TRANSFORMERS`.

    Raises
    ------
    ModelFileError
        If the file holds none.
    """
    file = read_tensor_file(path, lambda metadata: (None, _specs(metadata, kind)))
    try:
        labels = _labels(file.extra)
        description = file.extra["features"]
        cls = next(cls for cls in transformers if cls.__name__ == description["kind"])
        transformer = _restored(cls, description, file.tensors, threads, precision)
        if transformer._n_features_out != file.extra["outputs"]:  # noqa: SLF001 - of this package
            refuse(f"The entry 'outputs' is invalid: {describe(file.extra['outputs'])}.")
        return _pipeline(file.extra, file.tensors, transformer, labels), labels
    except ModelFileError as error:
        raise _naming(path, error) from error


def _naming(path: str | os.PathLike[str], error: ModelFileError) -> ModelFileError:
    return ModelFileError(f"The model file {os.fspath(path)!r} cannot be used. {error}")


# Writing


def _described(
    transformer: Any,  # noqa: ANN401 - any transformer
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what a fitted transformer is, and its tensors."""
    kind = type(transformer).__name__
    if kind == "MiniRocketFeatures":
        entries, tensors = MINIROCKET.described(transformer.kernels_)
    elif kind == "RocketFeatures":
        entries, tensors = ROCKET.described(transformer.kernels_)
        entries["normalize"] = bool(transformer.normalize)
    elif kind == "NetworkFeatures":
        network = transformer._network()  # noqa: SLF001 - of this package
        entries = {"graph": graph_to_dict(network.graph), "layer": transformer.layer_}
        tensors = {_NETWORK + name: array for name, array in network.parameters.items()}
    else:
        raise ArgumentTypeError(
            f"A model file holds the features of {', '.join(TRANSFORMERS)}. Got {kind} instead. "
            "Keep this model with joblib.dump."
        )
    length = getattr(transformer, "n_features_in_", None)
    description: dict[str, Any] = {
        "kind": kind,
        "channels": transformer.n_channels_,
        "length": None if length is None else int(length),
        **entries,
    }
    return description, {_PREFIX + name: array for name, array in tensors.items()}


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
    kernels = MINIROCKET if kind == "MiniRocketFeatures" else ROCKET
    specs = kernels.specs(description)
    return {_PREFIX + name: spec for name, spec in specs.items()}


# Reading


def _restored(
    cls: Class,
    description: dict[str, Any],
    tensors: Tensors,
    threads: int | None,
    precision: Precision,
) -> Any:  # noqa: ANN401 - a transformer of the class
    """Return a fitted transformer."""
    arrays = {
        name.removeprefix(_PREFIX): array
        for name, array in tensors.items()
        if name.startswith(_PREFIX)
    }
    channels = size_of(description, "channels")
    length = None if description.get("length") is None else size_of(description, "length")
    try:
        if description["kind"] == "NetworkFeatures":
            transformer = _learned(cls, description, arrays, channels, threads, precision)
        else:
            transformer = _random(cls, description, arrays, channels, threads)
    except (ArgumentError, ArgumentTypeError, ShapeError) as error:
        raise ModelFileError(f"Its features are invalid. {error}") from error
    transformer.n_channels_ = channels
    if length is not None:
        transformer.n_features_in_ = length
    return transformer


def _random(
    cls: Class, description: dict[str, Any], arrays: Tensors, channels: int, threads: int | None
) -> Any:  # noqa: ANN401 - a transformer of the class
    kernels: MiniRocketKernels | RocketKernels
    if description["kind"] == "MiniRocketFeatures":
        kernels = MINIROCKET.restored(arrays, channels)
        transformer = cls(len(kernels), threads=threads)
        transformer._n_features_out = len(kernels)
    else:
        normalize = description.get("normalize")
        if not is_flag(normalize):
            refuse(f"The entry 'normalize' is invalid: {describe(normalize)}.")
        kernels = ROCKET.restored(arrays, channels)
        transformer = cls(len(kernels), normalize=normalize, threads=threads)
        transformer._n_features_out = 2 * len(kernels)
    transformer.kernels_ = kernels
    return transformer


def _learned(  # noqa: PLR0917 - what the class, the file and the caller say
    cls: Class,
    description: dict[str, Any],
    arrays: Tensors,
    channels: int,
    threads: int | None,
    precision: Precision,
) -> Any:  # noqa: ANN401 - a transformer of the class
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
    transformer = cls(network, layer=description["layer"], threads=threads)
    transformer._learn_layer(channels)
    return transformer


def _pipeline(
    extra: dict[str, Any],
    tensors: Tensors,
    transformer: Any,  # noqa: ANN401 - of one of the classes
    labels: NDArray[Any],
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
