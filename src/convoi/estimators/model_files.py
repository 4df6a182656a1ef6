"""Estimators in model files.

What an estimator knows besides its network is a dictionary in the file's metadata, see
:mod:`convoi.nn.model_file`:

===============  ==============================================================================
Key              Value
===============  ==============================================================================
estimator        ``ImageClassifier`` or ``ImageRegressor``
image_shape      The form of one sample, a list of 1 to 3 integers
value_range      The values that stand for black and white, or null
fit              How an image of another size is brought to that of the samples
feature_names    Names of the columns, or null
label_type       Of a classifier: the dtype of its labels
labels           Of a classifier: the labels in the order of the outputs
target_mean      Of a regressor: one number for each output
target_scale     Of a regressor: one number for each output
single_target    Of a regressor: whether predictions are numbers, not rows of them
===============  ==============================================================================

Reading a file trusts nothing in it: what is missing, of another type or does not fit the network
raises :class:`~convoi.errors.ModelFileError`.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args

import numpy as np

from convoi.checks import describe
from convoi.data.options import Fit
from convoi.errors import ArgumentTypeError, ModelFileError
from convoi.estimators.classifier import ImageClassifier
from convoi.estimators.layout import PixelFormat, SampleLayout
from convoi.estimators.regressor import ImageRegressor
from convoi.nn import Network
from convoi.nn.model_file import read_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convoi.estimators.base import ImageEstimator

    AnyEstimator = TypeVar("AnyEstimator", bound=ImageEstimator)

_CLASSES: dict[str, type[ImageClassifier | ImageRegressor]] = {
    "ImageClassifier": ImageClassifier,
    "ImageRegressor": ImageRegressor,
}

_TEXT = ("str", "object")
_INTEGERS = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
_FLOATS = ("float16", "float32", "float64")


def save_estimator(estimator: ImageEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator; see :meth:`ImageEstimator.save`."""
    names = getattr(estimator, "feature_names_in_", None)
    pixels = estimator.pixel_format_
    extra: dict[str, Any] = {
        "estimator": next(name for name, cls in _CLASSES.items() if isinstance(estimator, cls)),
        "image_shape": list(estimator.image_shape_),
        "value_range": None if pixels.value_range is None else list(pixels.value_range),
        "fit": pixels.fit,
        "feature_names": None if names is None else list(names),
    }
    if isinstance(estimator, ImageClassifier):
        extra |= _described_labels(estimator.classes_)
    if isinstance(estimator, ImageRegressor):
        extra |= {
            "target_mean": estimator.target_mean_.tolist(),
            "target_scale": estimator.target_scale_.tolist(),
            "single_target": estimator.target_shape_ == (),
        }
    network = estimator.network_
    write_model(path, network.graph, network.parameters, extra)


def load_estimator(
    path: str | os.PathLike[str], *, threads: int | None = None
) -> ImageClassifier | ImageRegressor:
    """Read an estimator from a file that its ``save`` or ``convoi train`` wrote.

    Parameters
    ----------
    path : str or PathLike
        The file. Reading it runs no code from it.
    threads : int, optional
        The ``threads`` parameter of the estimator; the others have their defaults.

    Returns
    -------
    ImageClassifier or ImageRegressor
        Fitted.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged, or holds no estimator.
    """
    model = read_model(path)
    try:
        cls = _CLASSES[_chosen(model.extra, "estimator", tuple(_CLASSES))]
    except ModelFileError as error:
        raise ModelFileError(
            f"The model file {os.fspath(path)!r} holds a network, but not what it takes and what "
            "its outputs mean. Load it with convoi.load."
        ) from error
    return load_as(cls, path, threads=threads)


def load_as(
    cls: type[AnyEstimator], path: str | os.PathLike[str], *, threads: int | None
) -> AnyEstimator:
    """Read an estimator of one class; see :meth:`ImageEstimator.load`."""
    model = read_model(path)
    try:
        kind = _CLASSES[_chosen(model.extra, "estimator", tuple(_CLASSES))]
        if not issubclass(cls, kind):
            _refuse(f"It holds an {kind.__name__}, which {kind.__name__}.load reads.")
        estimator = cls(threads=threads)
        estimator.network_ = Network(
            model.graph, dtype=model.dtype, parameters=model.parameters, threads=threads
        )
        _restore(estimator, model.extra)
    except ModelFileError as error:
        raise ModelFileError(
            f"The model file {os.fspath(path)!r} cannot be used. {error}"
        ) from error
    return estimator


def _restore(estimator: ImageEstimator, extra: dict[str, Any]) -> None:
    """Set the fitted attributes, after comparing them with the network."""
    network = estimator.network_
    layout = SampleLayout(tuple(_list(extra, "image_shape", _is_size, lengths=(1, 2, 3))))
    if layout.input_shape != network.input_shape or len(network.output_shape) != 1:
        _refuse(f"Samples of shape {layout.shape} do not fit its network, {network!r}.")
    estimator.image_shape_ = layout.shape
    estimator.n_features_in_ = layout.size
    estimator.pixel_format_ = _pixel_format(extra)
    names = extra.get("feature_names")
    if names is not None:
        names = _list(extra, "feature_names", _is_text, lengths=(layout.size,))
        estimator.feature_names_in_ = np.array(names, dtype=object)
    outputs = network.output_shape[0]
    if isinstance(estimator, ImageClassifier):
        estimator.classes_ = _labels(extra, outputs)
    if isinstance(estimator, ImageRegressor):
        for name in ("target_mean", "target_scale"):
            values = _list(extra, name, _is_number, lengths=(outputs,))
            setattr(estimator, f"{name}_", np.array(values, np.float64))
        single = extra.get("single_target")
        if not isinstance(single, bool) or (single and outputs != 1):
            _refuse("The entry 'single_target' is invalid.")
        estimator.target_shape_ = () if single else (outputs,)


def _pixel_format(extra: dict[str, Any]) -> PixelFormat:
    fit: Fit = _chosen(extra, "fit", get_args(Fit))
    if extra.get("value_range") is None:
        return PixelFormat(None, fit)
    black, white = _list(extra, "value_range", _is_number, lengths=(2,))
    return PixelFormat((float(black), float(white)), fit)


def _described_labels(labels: NDArray[Any]) -> dict[str, Any]:
    kind = "str" if labels.dtype.kind == "U" else labels.dtype.name
    values = labels.tolist()
    if kind not in {*_TEXT, "bool", *_INTEGERS, *_FLOATS} or (
        kind == "object" and not all(map(_is_text, values))
    ):
        raise ArgumentTypeError(
            "A model file holds labels that are numbers, booleans or strings. Got labels of dtype "
            f"{labels.dtype}, such as {describe(values[0])}. Convert them before fitting."
        )
    return {"label_type": kind, "labels": values}


def _labels(extra: dict[str, Any], outputs: int) -> NDArray[Any]:
    kind = _chosen(extra, "label_type", (*_TEXT, "bool", *_INTEGERS, *_FLOATS))
    if kind in _TEXT:
        test: Callable[[object], bool] = _is_text
    elif kind == "bool":
        test = _is_flag
    else:
        test = _is_integer if kind in _INTEGERS else _is_number
    values = _list(extra, "labels", test, lengths=(outputs,))
    if len(set(values)) < max(len(values), 2):
        _refuse("Two of its labels are the same, or there is one only.")
    try:
        return np.array(values) if kind == "str" else np.array(values, dtype=kind)
    except OverflowError:
        _refuse(f"A label is no {kind}.")


def _chosen(extra: dict[str, Any], key: str, choices: tuple[str, ...]) -> Any:  # noqa: ANN401
    value = extra.get(key)
    if not isinstance(value, str) or value not in choices:
        _refuse(f"The entry {key!r} is invalid: {describe(value)}.")
    return value


def _list(
    extra: dict[str, Any], key: str, test: Callable[[object], bool], *, lengths: tuple[int, ...]
) -> list[Any]:
    values = extra.get(key)
    if not isinstance(values, list) or len(values) not in lengths or not all(map(test, values)):
        _refuse(f"The entry {key!r} is invalid: {describe(values)}.")
    return values


def _is_size(value: object) -> bool:
    return _is_integer(value) and 0 < value < 2**31  # type: ignore[operator]  # it is an int


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _refuse(problem: str) -> NoReturn:
    raise ModelFileError(problem)
