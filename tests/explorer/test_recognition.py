from __future__ import annotations

import base64

import numpy as np
import pytest

from convoi.data import load_dataset
from convoi.errors import ArgumentError
from convoi.estimators import ImageClassifier, ImageRegressor
from convoi.explorer import limits
from convoi.explorer.drawing import as_nist_digit
from convoi.explorer.fields import Fields
from convoi.explorer.recognition import Recognizer
from convoi.graph import INPUT, run
from tests.estimators.examples import tiny
from tests.explorer.conftest import DIGITS


def values_of(picture):
    """Return the values that bytes stand for, and half a step between two of them."""
    pixels = np.frombuffer(base64.b64decode(picture["pixels"]), np.uint8)
    step = (picture["high"] - picture["low"]) / 255
    return picture["low"] + step * pixels.reshape(picture["shape"]), step / 2 + 1e-4


@pytest.mark.parametrize("digit", DIGITS)
def test_a_drawn_digit_is_recognised(recognizer, digit):
    result = recognizer.recognize(Fields({"strokes": DIGITS[digit]}))
    assert result["prediction"]["label"] == str(digit)


def test_the_prediction_is_the_estimators(recognizer, model):
    drawing = as_nist_digit([np.array(stroke) for stroke in DIGITS[5]])
    result = recognizer.recognize(Fields({"strokes": DIGITS[5]}))
    expected = model.predict_proba(drawing[np.newaxis])[0]
    np.testing.assert_allclose(result["prediction"]["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(values_of(result["input"])[0][0].round(), drawing)


def test_the_maps_are_those_of_the_definition(recognizer, model):
    network = model.network_
    drawing = as_nist_digit([np.array(stroke) for stroke in DIGITS[3]])
    arrays = {INPUT: drawing[np.newaxis, np.newaxis].astype(np.float64)}
    expected = run(network.graph, arrays, network.parameters)
    result = recognizer.recognize(Fields({"strokes": DIGITS[3]}))
    assert [layer["name"] for layer in result["layers"]] == [n.name for n in network.graph.nodes]
    for layer in result["layers"]:
        values, tolerance = values_of(layer)
        reference = expected[layer["name"]][0][: limits.MAPS] if values.ndim == 3 else None
        if len(layer["output_shape"]) == 1:
            reference = expected[layer["name"]].reshape(values.shape)
        np.testing.assert_allclose(values, reference, atol=tolerance)


def test_an_example_is_a_digit_of_the_test_set(recognizer):
    test = load_dataset("digits").test
    result = recognizer.recognize(Fields({"example": 4}))
    values = values_of(result["input"])[0].round()
    first = np.flatnonzero(np.asarray(test.y) == 4)[0]
    np.testing.assert_array_equal(values, test.X[first])


def test_an_empty_sheet_has_no_prediction(recognizer):
    assert recognizer.recognize(Fields({"strokes": [[]]}))["prediction"] is None


def small(estimator, X, y):
    return estimator(network=tiny, epochs=1, random_state=0, threads=1).fit(X, y)


def test_a_model_of_colour_pictures_of_any_form_gets_the_drawing():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (12, 10, 14, 3), dtype=np.uint8)
    recognizer = Recognizer(small(ImageClassifier, X, ["cat", "dog"] * 6), "pets")
    result = recognizer.recognize(Fields({"strokes": DIGITS[0]}))
    values, _ = values_of(result["input"])
    assert values.shape == (3, 10, 14)
    assert values.max() > 200
    assert result["prediction"]["label"] in {"cat", "dog"}
    assert recognizer.description["examples"] == 0
    with pytest.raises(ArgumentError, match="no examples"):
        recognizer.recognize(Fields({"example": 0}))


def test_a_regressor_gives_its_value():
    rng = np.random.default_rng(0)
    model = small(ImageRegressor, rng.uniform(size=(12, 9, 9)), rng.uniform(size=12))
    result = Recognizer(model, "values").recognize(Fields({"strokes": DIGITS[0]}))
    (value,) = result["prediction"]["values"]
    assert np.isfinite(value)


def test_a_model_of_rows_is_refused():
    rng = np.random.default_rng(0)
    model = ImageClassifier(epochs=1, threads=1).fit(rng.uniform(size=(12, 5)), [0, 1] * 6)
    with pytest.raises(ArgumentError, match="trained on images"):
        Recognizer(model, "rows")
