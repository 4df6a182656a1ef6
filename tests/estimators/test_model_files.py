from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import convoi
from convoi import ImageClassifier, ImageRegressor
from convoi.data import Dataset
from convoi.errors import ArgumentTypeError, ModelFileError
from convoi.estimators import PixelFormat, load_estimator
from convoi.nn.model_file import read_model, write_model
from convoi.training import EpochRecord, History
from tests.estimators.examples import bars, brightness, tiny

QUICK = {"network": tiny, "epochs": 1, "random_state": 0}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def rewritten(path, **changes):
    """Change entries of a model file's description; None as a value removes one."""
    model = read_model(path)
    extra = {**model.extra, **changes}
    write_model(
        path, model.graph, model.parameters, {k: v for k, v in extra.items() if v != "gone"}
    )


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["lying", "standing"]),
        np.array(["lying", "stehend ü"], dtype=object),
        np.array([False, True]),
        np.array([-3, 2**40]),
        np.array([2, 200], np.uint8),
        np.array([-1.0, 1.0]),
    ],
    ids=lambda labels: labels.dtype.name,
)
def test_a_classifier_is_read_as_it_was_written(path, labels):
    X, y = bars()
    classifier = ImageClassifier(**QUICK).fit(X, labels[y])
    classifier.save(path)
    loaded = ImageClassifier.load(path, threads=1)
    assert loaded.threads == 1
    assert loaded.classes_.dtype == classifier.classes_.dtype
    np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert loaded.n_features_in_ == 42
    assert loaded.image_shape_ == (6, 7)


def test_the_precision_is_chosen_when_a_model_is_loaded(path):
    X, y = bars()
    ImageClassifier(**QUICK, precision="high").fit(X, y).save(path)
    for load in (ImageClassifier.load, load_estimator):
        assert load(path).network_.precision == "default"
        loaded = load(path, precision="high")
        assert (loaded.precision, loaded.network_.precision) == ("high", "high")


@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_a_regressor_is_read_as_it_was_written(path, outputs):
    X, y = brightness()
    y = y if outputs in {None, 1} else np.stack([y] * outputs, axis=1)
    regressor = ImageRegressor(**QUICK).fit(X, y)
    regressor.save(path)
    loaded = load_estimator(path)
    assert isinstance(loaded, ImageRegressor)
    np.testing.assert_array_equal(loaded.predict(X), regressor.predict(X))


def test_the_pixels_and_the_columns_are_remembered(path):
    X, y = bars()
    dataset = Dataset("bars", X[:, np.newaxis], y, ("a", "b"), (0.0, 16.0))
    classifier = ImageClassifier(**QUICK).fit_dataset(dataset)
    classifier.save(path)
    assert ImageClassifier.load(path).pixel_format_ == PixelFormat((0.0, 16.0), "crop")
    frame = pd.DataFrame(X.reshape(len(X), -1)).add_prefix("pixel")
    ImageClassifier(**QUICK, image_shape=(6, 7)).fit(frame, y).save(path)
    assert ImageClassifier.load(path).feature_names_in_.tolist() == list(frame.columns)


def test_a_model_can_be_trained_further(path):
    X, y = bars()
    ImageClassifier(**QUICK).fit(X, y).save(path)
    loaded = ImageClassifier.load(path)
    loaded.partial_fit(X, y)
    loaded.set_params(epochs=2, warm_start=True).fit(X, y)
    assert len(loaded.history_) == 2


def test_the_network_alone_can_be_read(path):
    X, y = bars()
    classifier = ImageClassifier(**QUICK).fit(X, y)
    classifier.save(path)
    logits = convoi.load(path)(X[:, np.newaxis])
    np.testing.assert_array_equal(logits, classifier.network_(X[:, np.newaxis]))


def test_an_estimator_that_is_not_fitted_is_not_saved(path):
    with pytest.raises(NotFittedError):
        ImageClassifier().save(path)


def test_labels_that_a_file_cannot_hold_are_refused(path):
    X, y = bars()
    dates = np.array(["2020-01-01", "2021-01-01"], "datetime64[D]")
    classifier = ImageClassifier(**QUICK).fit(X, y)
    for labels in (dates, np.array([b"a", b"b"]), np.array([1, "b"], dtype=object)):
        classifier.classes_ = labels
        with pytest.raises(ArgumentTypeError, match="labels that are numbers, booleans or strings"):
            classifier.save(path)
    assert not path.exists()


def test_a_file_of_another_estimator_is_refused(path):
    ImageRegressor(**QUICK).fit(*brightness()).save(path)
    with pytest.raises(
        ModelFileError, match=r"It holds a model of ImageRegressor, which ImageRegressor\.load"
    ):
        ImageClassifier.load(path)


def test_a_network_without_estimator_is_refused(path):
    convoi.Network(tiny(2), input_shape=(1, 6, 7)).save(path)
    with pytest.raises(ModelFileError, match=r"not what it takes .* Load it with convoi.load"):
        load_estimator(path)
    with pytest.raises(ModelFileError, match="The entry 'estimator' is invalid"):
        ImageClassifier.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "Pipeline"}, "not what it takes"),
        ({"estimator": ["ImageClassifier"]}, "not what it takes"),
        ({"image_shape": [7, 6]}, r"Samples of shape \(7, 6\) do not fit its network"),
        ({"image_shape": [6, 7, 1, 1]}, "'image_shape' is invalid"),
        ({"image_shape": [6, 7.0]}, "'image_shape' is invalid"),
        ({"image_shape": [-6, -7]}, "'image_shape' is invalid"),
        ({"image_shape": "gone"}, "'image_shape' is invalid"),
        ({"value_range": [0]}, "'value_range' is invalid"),
        ({"value_range": [0, "255"]}, "'value_range' is invalid"),
        ({"fit": "zoom"}, "'fit' is invalid"),
        ({"feature_names": ["a"]}, "'feature_names' is invalid"),
        ({"feature_names": [1] * 42}, "'feature_names' is invalid"),
        ({"label_type": "datetime64[D]"}, "'label_type' is invalid"),
        ({"label_type": "str"}, "'labels' is invalid"),
        ({"labels": [0]}, "'labels' is invalid"),
        ({"labels": [0, 0]}, "Two of its labels are the same"),
        ({"labels": [0, True]}, "'labels' is invalid"),
        ({"labels": [0, 2**64]}, "A label is no int64"),
        ({"labels": "01"}, "'labels' is invalid"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(path, changes, message):
    ImageClassifier(**QUICK).fit(*bars()).save(path)
    rewritten(path, **changes)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_estimator(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"target_mean": [0.0, 1.0]},
        {"target_scale": ["1"]},
        {"target_scale": "gone"},
        {"single_target": 1},
        {"single_target": "gone"},
    ],
)
def test_a_description_of_values_that_does_not_fit_is_refused(path, changes):
    ImageRegressor(**QUICK).fit(*brightness()).save(path)
    rewritten(path, **changes)
    with pytest.raises(ModelFileError, match="is invalid"):
        load_estimator(path)


def test_the_history_is_remembered_without_its_times(path):
    X, y = bars()
    classifier = ImageClassifier(**{**QUICK, "epochs": 3}, validation_fraction=0.2).fit(X, y)
    classifier.save(path)
    loaded = load_estimator(path).history_
    assert loaded == classifier.history_
    assert len(loaded) == 3
    assert "validation_loss" in loaded.epochs[0].metrics
    assert all(np.isnan(record.seconds) for record in loaded.epochs)


def test_the_same_model_is_described_alike(path, tmp_path):
    X, y = bars()
    for file in (path, tmp_path / "again.safetensors"):
        ImageClassifier(**QUICK).fit(X, y).save(file)
    one, other = read_model(path), read_model(tmp_path / "again.safetensors")
    assert (one.graph, one.extra) == (other.graph, other.extra)


def test_a_long_history_is_thinned_and_goes_on(path):
    X, y = bars()
    classifier = ImageClassifier(**QUICK).fit(X, y)
    records = tuple(
        EpochRecord(n, {"loss": float("nan") if n == 1 else 1 / n, "accuracy": 0.5}, 0.1, 1.0)
        for n in range(1, 5001)
    )
    classifier.history_ = History(records, monitor="loss", reason="epochs")
    classifier.save(path)
    loaded = load_estimator(path)
    numbers = [record.epoch for record in loaded.history_.epochs]
    assert (len(numbers), numbers[0], numbers[-1]) == (1000, 1, 5000)
    assert np.isnan(loaded.history_.epochs[0].metrics["loss"])
    assert loaded.partial_fit(X, y).history_.epochs[-1].epoch == 5001


def test_files_without_a_history_are_read(path):
    X, y = bars()
    ImageClassifier(**QUICK).fit(X, y).save(path)
    rewritten(path, history="gone")
    assert not hasattr(load_estimator(path), "history_")


@pytest.mark.parametrize(
    "changes",
    [
        {"history": []},
        {"epoch": [0]},
        {"epoch": [1.5]},
        {"epoch": [1] * 1001},
        {"epoch": None},
        {"learning_rate": [0.1, 0.1]},
        {"learning_rate": ["0.1"]},
        {"metrics": {"loss": [True], "accuracy": [1.0]}},
        {"metrics": {"loss": [], "accuracy": [1.0]}},
        {"metrics": {f"m{n}": [1.0] for n in range(21)}},
        {"metrics": [1.0]},
        {"monitor": "validation_loss"},
        {"monitor": 3},
        {"reason": "boredom"},
    ],
    ids=str,
)
def test_refuses_a_history_that_is_none(path, changes):
    X, y = bars()
    ImageClassifier(**QUICK).fit(X, y).save(path)
    entry = read_model(path).extra["history"]
    rewritten(path, history=changes.get("history", {**entry, **changes}))
    with pytest.raises(ModelFileError, match="cannot be used"):
        load_estimator(path)
