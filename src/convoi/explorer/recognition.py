"""A trained network at work on a drawing: the maps of its layers and its prediction."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from convoi.data import load_dataset
from convoi.errors import ArgumentError
from convoi.estimators import ImageClassifier
from convoi.explorer import limits
from convoi.explorer.drawing import as_nist_digit, as_picture, read_strokes
from convoi.inspection import feature_maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.compiler.pipeline import Precision
    from convoi.estimators import ImageRegressor
    from convoi.explorer.fields import Fields
    from convoi.ops import Shape

DIGITS_SHAPE = (1, 8, 8)
DIGITS_RANGE = (0.0, 16.0)
_EXAMPLES = 10


@dataclass(frozen=True)
class _Layer:
    """A layer whose maps are shown."""

    name: str
    title: str
    shape: Shape


class Recognizer:
    """A model, compiled to give the outputs of all its layers.

    Parameters
    ----------
    model : ImageClassifier or ImageRegressor
        Fitted on images.
    name : str
        What the page calls it.

    Raises
    ------
    ArgumentError
        If the model does not take images.
    """

    def __init__(self, model: ImageClassifier | ImageRegressor, name: str) -> None:
        network = model.network_
        if len(network.input_shape) != 3:
            raise ArgumentError(
                f"The explorer draws images, and the model {name!r} takes samples of shape "
                f"{network.input_shape}. Give a model that was trained on images."
            )
        self._model = model
        self._name = name
        self._shape = network.input_shape
        self._range = model.pixel_format_.value_range or (0.0, 1.0)
        summary = network.summary(show=False)
        layers = [_Layer(layer.name, layer.layer, layer.output_shape) for layer in summary]
        self._layers = layers[: limits.LAYERS]
        self._output = layers[-1].name
        shown = [layer.name for layer in self._layers]
        self._names = [*shown, self._output]
        self._counts = summary.parameters, summary.multiply_adds
        self._hidden = len(layers) - len(self._layers)
        self._is_digits = self._shape == DIGITS_SHAPE and self._range == DIGITS_RANGE
        feature_maps(network, np.zeros((1, *self._shape)), self._names)  # compiles it
        self._examples = _test_digits() if self._is_digits else np.empty((0, *self._shape))

    @property
    def description(self) -> dict[str, Any]:
        """What the page says about the model."""
        return {
            "name": self._name,
            "input_shape": self._shape,
            "layers": len(self._layers) + self._hidden,
            "hidden_layers": self._hidden,
            "parameters": self._counts[0],
            "multiply_adds": self._counts[1],
            "labels": self._labels(),
            "examples": len(self._examples),
        }

    def recognize(self, fields: Fields) -> dict[str, Any]:
        """Return what the network makes of a drawing, or of an example."""
        began = time.perf_counter()
        sample = self._sample(fields)
        fields.finish()
        if sample is None:
            return {"input": None, "layers": [], "prediction": None, "milliseconds": 0.0}
        outputs = feature_maps(self._model.network_, sample[np.newaxis], self._names)
        prediction = self._prediction(sample, outputs[self._output][0])
        layers = [self._layer(layer, outputs[layer.name][0]) for layer in self._layers]
        return {
            "input": _pictured(sample, self._range),
            "layers": layers,
            "prediction": prediction,
            "milliseconds": 1e3 * (time.perf_counter() - began),
        }

    def _sample(self, fields: Fields) -> NDArray[Any] | None:
        """Return the sample that a request stands for, None for an empty sheet."""
        if "example" in fields:
            number = fields.integer("example", 0, 0, max(len(self._examples) - 1, 0))
            if number < len(self._examples):
                example: NDArray[Any] = self._examples[number]
                return example
            raise ArgumentError(f"There are no examples for the model {self._name!r}.")
        strokes = read_strokes(fields)
        if not strokes:
            return None
        if self._is_digits:
            return as_nist_digit(strokes)[np.newaxis]
        black, white = self._range
        picture = black + (white - black) * as_picture(strokes, *self._shape[1:])
        return np.repeat(picture[np.newaxis].astype(np.float32), self._shape[0], axis=0)

    def _labels(self) -> list[str]:
        if isinstance(self._model, ImageClassifier):
            return [str(label) for label in self._model.classes_.tolist()]
        return []

    def _prediction(self, sample: NDArray[Any], output: NDArray[Any]) -> dict[str, Any]:
        if isinstance(self._model, ImageClassifier):
            probabilities = softmax(output.astype(np.float64))
            best = int(probabilities.argmax())
            return {"label": self._labels()[best], "probabilities": probabilities.tolist()}
        image = np.moveaxis(sample, 0, -1).reshape(1, *self._model.image_shape_)
        return {"values": np.ravel(self._model.predict(image)).tolist()}

    @staticmethod
    def _layer(layer: _Layer, values: NDArray[Any]) -> dict[str, Any]:
        maps = values if values.ndim == 3 else values[np.newaxis, np.newaxis]
        shown = maps[: limits.MAPS]
        step = -(-max(shown.shape[1:]) // limits.MAP_SIDE) if values.ndim == 3 else 1
        picture = _pictured(shown[:, ::step, ::step])
        return {"name": layer.name, "layer": layer.title, "output_shape": layer.shape, **picture}


def _pictured(maps: NDArray[Any], value_range: tuple[float, float] | None = None) -> dict[str, Any]:
    """Return maps as bytes from their lowest value to their highest, in base64."""
    finite = np.nan_to_num(maps.astype(np.float64))
    low, high = value_range or (float(finite.min()), float(finite.max()))
    scaled = (finite - low) * (255 / (high - low) if high > low else 0.0)
    pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return {
        "shape": list(maps.shape),
        "low": low,
        "high": high,
        "pixels": base64.b64encode(pixels.tobytes()).decode("ascii"),
    }


def _test_digits() -> NDArray[np.uint8]:
    """Return the first digit of each class in the data set's test part."""
    test = load_dataset("digits").test
    if test is None:
        return np.empty((0, *DIGITS_SHAPE), np.uint8)
    classes = np.asarray(test.y)
    first = [int(np.flatnonzero(classes == digit)[0]) for digit in range(_EXAMPLES)]
    return np.asarray(test.X)[first]


def train_on_digits(
    threads: int | None = None, precision: Precision = "default"
) -> ImageClassifier:
    """Return a classifier that is trained on the training part of scikit-learn's digits."""
    classifier = ImageClassifier(random_state=0, threads=threads, precision=precision)
    return classifier.fit_dataset(load_dataset("digits").train)
