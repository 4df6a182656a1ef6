from __future__ import annotations

import json
import random

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_union

import convoi
from convoi import Network, nn
from convoi.errors import ArgumentTypeError, ModelFileError
from convoi.estimators import (
    FeaturesClassifier,
    MiniRocketClassifier,
    MiniRocketFeatures,
    NetworkFeatures,
    RocketClassifier,
    RocketFeatures,
    load_estimator,
)
from convoi.nn.tensor_file import extra_of, read_metadata, write_tensor_file
from tests.nn.test_model_file import put_together, signed, taken_apart

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 2, 30))
NAMES = np.array(["one", "two", "three"])[np.arange(24) % 3]
NETWORK = Network(
    nn.Sequential(nn.Conv(4, 5), nn.BatchNorm(), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(2)),
    (2, 30),
    random_state=0,
)
TRANSFORMERS = [
    MiniRocketFeatures(168, random_state=0),
    RocketFeatures(20, normalize=False, random_state=0),
    NetworkFeatures(NETWORK),
]
CLASSIFIERS = [
    MiniRocketClassifier(168, random_state=0),
    RocketClassifier(20, random_state=0),
    FeaturesClassifier(NetworkFeatures(NETWORK)),
]


def named(estimator):
    return type(estimator).__name__


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=named)
@pytest.mark.parametrize("series", [X, X[:, 0], [x[:, : 20 + k % 7] for k, x in enumerate(X)]])
def test_a_transformer_is_read_as_it_was_written(path, transformer, series):
    if isinstance(transformer, NetworkFeatures) and np.ndim(series[0]) == 1:
        pytest.skip("the network takes two channels")
    transformer.fit(series).save(path)
    for loaded in (type(transformer).load(path, threads=1), load_estimator(path)):
        np.testing.assert_array_equal(loaded.transform(series), transformer.transform(series))
        assert type(loaded) is type(transformer)


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=named)
@pytest.mark.parametrize(
    "labels",
    [NAMES, NAMES == "one", (np.arange(24) % 4).astype(np.uint8), NAMES.astype(object)],
    ids=lambda labels: labels.dtype.name,
)
def test_a_classifier_is_read_as_it_was_written(path, classifier, labels):
    classifier.fit(X, labels).save(path)
    loaded = load_estimator(path)
    assert type(loaded) is type(classifier)
    assert loaded.classes_.dtype == classifier.classes_.dtype
    expected = classifier.decision_function(X)
    np.testing.assert_array_equal(loaded.decision_function(X), expected)
    np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))
    loaded.save(path)
    again = type(classifier).load(path)
    np.testing.assert_array_equal(again.decision_function(X), expected)
    assert again.fit(X, labels).score(X, labels) >= 0.5


def test_other_files_and_classes_are_refused(path):
    RocketClassifier(20, random_state=0).fit(X, NAMES).save(path)
    with pytest.raises(ModelFileError, match=r"no MiniRocketClassifier, but 'RocketClassifier'"):
        MiniRocketClassifier.load(path)
    with pytest.raises(ModelFileError, match="no description of a network"):
        convoi.load(path)
    with pytest.raises(ModelFileError, match="no description of a network"):
        convoi.SeriesClassifier.load(path)
    NETWORK.save(path)
    with pytest.raises(ModelFileError, match="It holds no RocketFeatures"):
        RocketFeatures.load(path)


def test_what_a_file_cannot_hold_is_refused(path):
    union = make_union(RocketFeatures(5), MiniRocketFeatures(84))
    with pytest.raises(ArgumentTypeError, match=r"Got FeatureUnion instead\. .* joblib"):
        FeaturesClassifier(union).fit(X, NAMES).save(path)
    for unfitted in (RocketFeatures(), MiniRocketClassifier()):
        with pytest.raises(NotFittedError):
            unfitted.save(path)
    assert not path.exists()


def rewritten(path, tensors, extra):
    write_tensor_file(path, tensors, {}, extra)


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Return the bytes of a file of each classifier."""
    path = tmp_path_factory.mktemp("files") / "model.safetensors"
    found = []
    for classifier in CLASSIFIERS:
        classifier.fit(X, NAMES).save(path)
        found.append(path.read_bytes())
    return found


VALUES = [None, True, 0, -1, 1, 3, 2**40, 2**62, 0.5, "", "RocketFeatures", [], {}, ["a", "b"]]


def edited(extra, chance):
    """Return a description with one entry changed, at the top or of the features."""
    extra = json.loads(json.dumps(extra))
    table = chance.choice([extra, extra["features"]])
    key = chance.choice(sorted(table))
    if chance.random() < 0.2:
        del table[key]
    elif isinstance(table[key], list) and chance.random() < 0.5:
        table[key].reverse()
    else:
        table[key] = chance.choice(VALUES)
    return extra


@pytest.mark.parametrize("number", range(3), ids=lambda n: named(CLASSIFIERS[n]))
def test_a_description_that_was_changed_is_an_error_or_a_model(path, contents, number):
    chance = random.Random(number)  # noqa: S311 - no secret
    header, tensors = taken_apart(contents[number])
    extra = extra_of(header["__metadata__"])
    refused = 0
    for _ in range(60):
        header["__metadata__"]["extra"] = json.dumps(edited(extra, chance))
        path.write_bytes(signed(put_together(header, tensors)))
        try:
            model = load_estimator(path)
        except ModelFileError:
            refused += 1
        else:
            assert model.classes_.shape == (3,)
    assert refused > 30


@pytest.mark.parametrize("number", range(3), ids=lambda n: named(CLASSIFIERS[n]))
def test_a_damaged_file_is_an_error(path, contents, number):
    chance = random.Random(number)  # noqa: S311 - no secret
    for _ in range(60):
        data = bytearray(contents[number])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(data))
        with pytest.raises(ModelFileError):
            load_estimator(path)
        path.write_bytes(contents[number][: chance.randrange(len(data))])
        with pytest.raises(ModelFileError):
            load_estimator(path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("features.features_per_dilation", 2**62, "features_per_dilation' is invalid"),
        ("features.features_per_dilation", 0, "features are invalid"),
        ("features.dilations", -1, "features are invalid"),
        ("features.biases", np.nan, "features are invalid"),
        ("features.channel_indices", 2, "there are 2 channels"),
        ("features.channels_per_combination", 2**62, "there are 2 channels"),
        ("scale", 0, "must be positive"),
        ("coefficients", np.inf, "must be finite"),
    ],
)
def test_tensors_that_make_no_model_are_refused(path, name, values, message):
    from safetensors.numpy import load_file

    MiniRocketClassifier(168, random_state=0).fit(X, NAMES).save(path)
    tensors, extra = load_file(path), extra_of(read_metadata(path))
    tensors[name] = np.full_like(tensors[name], values)
    rewritten(path, tensors, extra)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_estimator(path)
    assert str(path) in str(caught.value)
