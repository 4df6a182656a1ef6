from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from convoi import ImageClassifier, nn
from convoi.data import Dataset, as_sample_source
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.training import SGD, Augment, Callback, EarlyStopping
from tests.estimators.examples import bars, tiny

QUICK = {
    "network": tiny,
    "epochs": 10,
    "batch_size": 10,
    "learning_rate": 0.02,
    "random_state": 0,
}


def fitted(**parameters):
    return ImageClassifier(**{**QUICK, **parameters}).fit(*bars())


def as_dataset(X, y, classes=("lying", "standing"), value_range=None):
    return Dataset("bars", np.asarray(X)[:, np.newaxis], y, classes, value_range)


def test_it_learns():
    assert fitted(epochs=25).score(*bars(seed=1)) > 0.95


@pytest.mark.parametrize(
    ("form", "parameters"),
    [
        (lambda X: X[..., np.newaxis], {}),
        (lambda X: X.reshape(len(X), -1), {"image_shape": (6, 7)}),
        (lambda X: X.reshape(len(X), -1), {"image_shape": [6, 7, 1]}),
        (lambda X: X.astype(np.float64), {}),
        (np.asfortranarray, {}),
        (lambda X: X.tolist(), {}),
    ],
    ids=["channel", "flat", "flat with channel", "float64", "Fortran order", "lists"],
)
def test_the_form_of_the_images_does_not_matter(form, parameters):
    X, y = bars()
    expected = fitted().decision_function(X)
    given = ImageClassifier(**QUICK, **parameters).fit(form(X), y)
    np.testing.assert_array_equal(given.decision_function(form(X)), expected)


def test_images_can_be_predicted_as_flat_rows():
    classifier = fitted()
    X, _ = bars(seed=1)
    np.testing.assert_array_equal(classifier.predict(X.reshape(len(X), -1)), classifier.predict(X))


def test_colour_images_are_taken_with_the_channels_last():
    X, y = bars(channels=3)
    classifier = ImageClassifier(**QUICK).fit(X, y)
    assert classifier.network_.input_shape == (3, 6, 7)
    assert classifier.image_shape_ == (6, 7, 3)
    assert classifier.n_features_in_ == 126


@pytest.mark.parametrize(
    "labels",
    [
        ["lying", "standing"],
        np.array(["lying", "standing"], dtype=object),
        [False, True],
        [-1, 7],
        [2.0, 1.0],
        [2**40, 3],
    ],
)
def test_labels_may_be_of_any_type(labels):
    X, y = bars()
    labels = np.asarray(labels)
    classifier = ImageClassifier(**QUICK).fit(X, labels[y])
    np.testing.assert_array_equal(classifier.classes_, np.unique(labels))
    assert classifier.predict(X).dtype == labels.dtype
    assert classifier.score(X, labels[y]) > 0.8


def test_probabilities_decisions_and_predictions_agree():
    X, y = bars()
    three = np.where(X.mean(axis=(1, 2)) > 0.28, 2, y)
    classifier = ImageClassifier(**QUICK).fit(X, three)
    probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(np.log(probabilities), classifier.predict_log_proba(X), atol=1e-12)
    decisions = classifier.decision_function(X)
    np.testing.assert_array_equal(classifier.predict(X), decisions.argmax(axis=1))
    np.testing.assert_array_equal(classifier.predict(X), probabilities.argmax(axis=1))


def test_the_decision_between_two_classes_is_the_logarithm_of_their_odds():
    classifier, (X, _) = fitted(), bars()
    probabilities = classifier.predict_proba(X)
    odds = np.log(probabilities[:, 1] / probabilities[:, 0])
    np.testing.assert_allclose(classifier.decision_function(X), odds, rtol=1e-9)


def test_the_network_standardises_by_the_statistics_of_the_training_set():
    X, y = bars()
    parameters = ImageClassifier(**QUICK).fit(X * 100 + 7, y).network_.parameters
    np.testing.assert_allclose(parameters["0.mean"], (X * 100 + 7).mean(), rtol=1e-5)
    np.testing.assert_allclose(parameters["0.std"], (X * 100 + 7).std(), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float64, np.int16])
def test_the_dtype_of_the_images_does_not_matter(dtype):
    X, y = bars()
    X = (X > 1).astype(np.float32)
    expected = ImageClassifier(**QUICK).fit(X, y).decision_function(X)
    given = ImageClassifier(**QUICK).fit(X.astype(dtype), y)
    np.testing.assert_array_equal(given.decision_function(X.astype(dtype)), expected)


# Weights ------------------------------------------------------------------------------------------


def test_a_weight_is_a_number_of_repetitions():
    X, y = bars()
    times = np.random.default_rng(0).integers(0, 4, len(X))
    order = np.random.default_rng(1).permutation(len(X))
    weighted = ImageClassifier(**QUICK).fit(X[order], y[order], sample_weight=times[order])
    repeated = ImageClassifier(**QUICK).fit(X.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_array_equal(weighted.decision_function(X), repeated.decision_function(X))


def test_classes_of_samples_without_weight_are_no_classes():
    X, y = bars()
    labels = np.where(np.arange(len(y)) < 5, 2, y)
    classifier = ImageClassifier(**QUICK).fit(X, labels, sample_weight=(labels < 2).astype(int))
    assert classifier.classes_.tolist() == [0, 1]


def test_a_class_of_much_weight_is_predicted_more():
    X, y = bars()
    noisy = np.random.default_rng(0).integers(2, size=len(y))
    share = {
        weight: np.mean(fitted(class_weight={1: weight}).fit(X, noisy).predict(X))
        for weight in (0.001, 1000)
    }
    assert share[0.001] < 0.1
    assert share[1000] > 0.9


def test_balanced_classes_are_those_of_the_weights_in_inverse_proportion():
    X, y = bars()
    weight = np.where(y, 1.0, 3.0)
    total = np.bincount(y, weight)
    explicit = {label: total.sum() / (2 * total[label]) for label in (0, 1)}
    balanced = ImageClassifier(**QUICK, class_weight="balanced").fit(X, y, weight)
    given = ImageClassifier(**QUICK, class_weight=explicit).fit(X, y, weight)
    np.testing.assert_array_equal(balanced.decision_function(X), given.decision_function(X))


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ("equal", ArgumentError, "must be a mapping from labels to weights, 'balanced' or None"),
        ([1, 2], ArgumentTypeError, "must be a mapping from labels to weights"),
        ({0: -1.0}, ArgumentError, r"finite weights that are not negative. Got -1.0 for 0"),
        ({0: 0.0, 1: 0.0}, ArgumentError, "zero for each class that occurs"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(class_weight, error, message):
    with pytest.raises(error, match=message):
        fitted(class_weight=class_weight)


# Training -----------------------------------------------------------------------------------------


def test_the_same_random_state_gives_the_same_bits_for_any_number_of_threads():
    X, _ = bars()
    one, two = (fitted(threads=threads).decision_function(X) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    assert (fitted(random_state=1).decision_function(X) != one).any()


def test_a_random_state_that_is_a_generator_is_advanced():
    state = np.random.RandomState(0)
    X, _ = bars()
    first, second = (fitted(random_state=state).decision_function(X) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize(
    "network",
    ["auto", "two_conv", tiny, tiny(2), nn.Sequential(nn.Flatten(), nn.Dense(2))],
    ids=["auto", "two_conv", "function", "layers", "dense"],
)
def test_the_network_is_a_name_layers_or_a_function(network):
    classifier = fitted(network=network, epochs=1)
    assert classifier.network_.output_shape == (2,)
    assert len(classifier.history_) == 1


def test_a_single_layer_is_a_network():
    X, y = bars()
    classifier = ImageClassifier(nn.Dense(2), epochs=2).fit(X.reshape(len(X), -1), y)
    assert list(classifier.network_.parameters) == ["0.mean", "0.std", "1.weight", "1.bias"]


def test_settings_of_the_training_are_passed_on():
    classifier = fitted(
        optimizer=SGD(momentum=0.5),
        learning_rate=0.01,
        schedule="constant",
        augment=Augment(shift=1),
        label_smoothing=0.1,
        epochs=3,
    )
    records = classifier.history_.epochs
    assert [record.learning_rate for record in records] == [0.01] * 3
    assert "validation_loss" not in records[0].metrics


def test_early_stopping_sets_samples_aside():
    stopping = EarlyStopping(patience=1, monitor="validation_accuracy")
    history = fitted(early_stopping=stopping, epochs=50).history_
    assert history.reason == "early_stopping"
    assert len(history) < 50
    assert history.monitor == "validation_accuracy"


def test_a_part_of_the_samples_is_set_aside_for_validation():
    history = fitted(validation_fraction=0.25).history_
    assert all("validation_accuracy" in record.metrics for record in history.epochs)


def test_a_warm_start_goes_on_with_the_network():
    X, y = bars()
    classifier = fitted(warm_start=True, epochs=2)
    network, before = classifier.network_, classifier.history_.epochs[-1].metrics["loss"]
    classifier.fit(X, y)
    assert classifier.network_ is network
    assert classifier.history_.epochs[-1].metrics["loss"] < before
    classifier.set_params(warm_start=False).fit(X, y)
    assert classifier.network_ is not network


def test_a_warm_start_keeps_the_classes():
    X, y = bars()
    with pytest.raises(DataError, match=r"label 2, which is not one of the known classes \[0, 1\]"):
        fitted(warm_start=True).fit(X, y + 1)


def test_partial_fit_learns_bit_by_bit():
    X, y = bars(200)
    classifier = ImageClassifier(tiny, batch_size=20, learning_rate=0.01, random_state=0)
    for start in range(0, 200, 40):
        part = slice(start, start + 40)
        for _ in range(4):
            classifier.partial_fit(X[part], y[part], classes=[0, 1])
    assert classifier.score(*bars(seed=1)) > 0.9
    assert [record.epoch for record in classifier.history_.epochs] == list(range(1, 21))


def test_partial_fit_needs_no_sample_of_each_class_if_the_classes_are_given():
    X, y = bars()
    only = y == 1
    classifier = ImageClassifier(**QUICK).partial_fit(X[only], y[only], classes=[0, 1, 2])
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.predict_proba(X).shape == (len(X), 3)


def test_partial_fit_goes_on_after_fit():
    X, y = bars()
    classifier = fitted(epochs=2)
    before = classifier.history_.epochs[-1].metrics["loss"]
    for _ in range(5):
        classifier.partial_fit(X, y)
    assert classifier.history_.epochs[-1].metrics["loss"] < before


def test_partial_fit_refuses_other_classes_and_balanced_weights():
    X, y = bars()
    with pytest.raises(ArgumentError, match="'classes' parameter of partial_fit must be the same"):
        fitted().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ArgumentError, match="partial_fit of ImageClassifier sees a part of them"):
        fitted(class_weight="balanced").partial_fit(X, y)


def test_data_of_more_than_a_gigabyte_are_not_copied(monkeypatch):
    X, _ = bars()
    expected = fitted().decision_function(X)
    monkeypatch.setattr("convoi.estimators.training_set.GATHERED_BYTES", 100)
    np.testing.assert_array_equal(fitted().decision_function(X), expected)


def test_a_large_memory_map_is_read_in_its_order(monkeypatch, tmp_path):
    X, y = bars()
    np.save(tmp_path / "X.npy", X)
    monkeypatch.setattr("convoi.estimators.training_set.GATHERED_BYTES", 100)
    monkeypatch.setattr("convoi.estimators.training_set.as_multiset", None)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert ImageClassifier(**QUICK).fit(mapped, y).score(mapped, y) > 0.8


def test_an_interrupted_run_leaves_what_it_has_reached():
    class Interrupt(Callback):
        def on_epoch_end(self, state):
            if state.epoch == 2:
                raise KeyboardInterrupt

    classifier = ImageClassifier(**QUICK)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit_dataset(as_dataset(*bars()), callbacks=[Interrupt()])
    assert classifier.predict(bars()[0]).shape == (60,)


def test_a_fit_that_failed_is_no_fit():
    classifier = ImageClassifier(network=tiny(7))
    with pytest.raises(ShapeError):
        classifier.fit(*bars())
    with pytest.raises(NotFittedError):
        classifier.predict(bars()[0])


# scikit-learn -------------------------------------------------------------------------------------


def test_a_search_tries_networks_in_parallel():
    X, y = bars()
    search = GridSearchCV(
        ImageClassifier(**QUICK), {"network": [tiny, "two_conv"], "epochs": [1, 3]}, cv=2, n_jobs=2
    )
    assert search.fit(X, y).best_score_ > 0.5
    assert search.best_params_["epochs"] == 3


def test_scores_do_not_depend_on_where_the_folds_are_computed():
    X, y = bars()
    scores = [cross_val_score(ImageClassifier(**QUICK), X, y, cv=2, n_jobs=n) for n in (1, 2)]
    np.testing.assert_array_equal(*scores)


def test_it_ends_a_pipeline():
    X, y = bars()
    pipeline = make_pipeline(FunctionTransformer(np.abs), ImageClassifier(**QUICK))
    assert pipeline.fit(X, y).score(X, y) > 0.8


def test_a_clone_has_the_parameters_and_is_not_fitted():
    copy = clone(fitted(network=tiny(2), augment=Augment(shift=1)))
    assert copy.get_params()["network"] == tiny(2)
    with pytest.raises(NotFittedError, match="ImageClassifier instance is not fitted yet"):
        copy.predict(bars()[0])


def test_a_pickled_classifier_predicts_the_same():
    classifier, (X, _) = fitted(), bars()
    loaded = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_a_pickled_classifier_goes_on_as_the_original_would():
    X, y = bars()
    classifier = ImageClassifier(**QUICK).partial_fit(X, y).partial_fit(X, y)
    loaded = pickle.loads(pickle.dumps(classifier))
    for estimator in (classifier, loaded):
        estimator.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.decision_function(X), classifier.decision_function(X))


def test_names_of_columns_are_kept_until_images_come():
    X, y = bars()
    frame = pd.DataFrame(X.reshape(len(X), -1)).add_prefix("pixel")
    classifier = ImageClassifier(**QUICK, image_shape=(6, 7)).fit(frame, y)
    assert classifier.feature_names_in_[0] == "pixel0"
    classifier.fit(X, y)
    assert not hasattr(classifier, "feature_names_in_")


def test_its_representation_shows_what_differs_from_the_default():
    assert repr(ImageClassifier("vgg", epochs=3)) == "ImageClassifier(epochs=3, network='vgg')"


# Data sets ----------------------------------------------------------------------------------------


def test_a_data_set_is_fitted_as_its_arrays_are():
    X, y = bars()
    dataset = as_dataset(X, y)
    classifier = ImageClassifier(**QUICK).fit_dataset(dataset)
    assert classifier.classes_.tolist() == ["lying", "standing"]
    np.testing.assert_array_equal(classifier.decision_function(X), fitted().decision_function(X))
    np.testing.assert_array_equal(classifier.predict(dataset), classifier.predict(X))


def test_a_source_is_read_bit_by_bit():
    X, y = bars()
    source = as_sample_source(X[:, np.newaxis])
    dataset = Dataset("bars", source, y, ("a", "b"))
    classifier = ImageClassifier(**QUICK).fit_dataset(dataset, validation=dataset)
    record = classifier.history_.epochs[-1]
    correct = classifier.predict(X) == np.array(["a", "b"])[y]
    assert record.metrics["validation_accuracy"] == correct.mean()


def test_a_run_on_a_data_set_can_be_resumed(tmp_path):
    dataset, path = as_dataset(*bars()), tmp_path / "run.checkpoint"
    whole = ImageClassifier(**QUICK).fit_dataset(dataset)
    ImageClassifier(**QUICK).fit_dataset(dataset, checkpoint=path)
    again = ImageClassifier(**QUICK).fit_dataset(dataset, checkpoint=path, resume=True)
    assert again.history_ == whole.history_


def test_values_are_brought_to_the_black_and_white_of_the_training_set():
    X, y = bars()
    X = (X > 1).astype(np.float32)
    classifier = ImageClassifier(**QUICK).fit_dataset(as_dataset(X, y, value_range=(0.0, 1.0)))
    bright = as_dataset(X * 255, y, value_range=(0.0, 255.0))
    np.testing.assert_allclose(
        classifier.decision_function(bright), classifier.decision_function(X), rtol=1e-5
    )


def test_labels_of_validation_data_are_compared_by_what_they_say():
    X, y = bars()
    validation = as_dataset(X, 1 - y, classes=("standing", "lying"))
    classifier = ImageClassifier(**QUICK).fit_dataset(as_dataset(X, y), validation=validation)
    metrics = classifier.history_.epochs[-1].metrics
    correct = classifier.predict(X) == np.array(["lying", "standing"])[y]
    assert metrics["validation_accuracy"] == correct.mean()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Dataset("x", np.zeros((3, 1, 4, 4), np.uint8)), "the data set 'x' has none"),
        (Dataset("x", np.zeros((3, 1, 4, 4), np.uint8), np.zeros(3, np.float32)), "'x' has none"),
        (
            Dataset("x", np.zeros((2, 1, 40), np.uint8), np.arange(2), ("a", "b")),
            r"takes images, .* The data set has samples of shape \(1, 40\)",
        ),
    ],
)
def test_a_data_set_without_images_or_classes_is_refused(dataset, message):
    with pytest.raises(DataError, match=message):
        ImageClassifier().fit_dataset(dataset)


def test_a_data_set_of_other_samples_is_refused():
    other = Dataset("other", np.zeros((3, 1, 7, 7), np.uint8))
    with pytest.raises(DataError, match=r"'other' has samples of shape \(1, 7, 7\), and Image"):
        fitted().predict(other)


# Refusals -----------------------------------------------------------------------------------------


def with_value(value, dtype=np.float32):
    X, y = bars()
    X = X.astype(dtype)
    X[3, 0, 5] = value
    return X, y


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_value(np.nan), r"Sample 3 of X has the value nan at \(0, 5\), and values must be"),
        (with_value(np.inf), r"Sample 3 of X has the value inf at \(0, 5\)"),
        (with_value(1e300, np.float64), r"Sample 3 of X has the value 1e\+300 at \(0, 5\)"),
        ((np.zeros((0, 6, 7)), []), "Found array with 0 sample"),
        ((np.zeros((4, 0, 7)), [0, 1, 0, 1]), r"X has shape \(4, 0, 7\), and ImageClassifier"),
        ((np.zeros((4, 1, 1, 1, 1)), [0, 1, 0, 1]), r"X has shape \(4, 1, 1, 1, 1\)"),
        ((bars()[0], np.ones(60)), "at least two classes. The labels that count are all .* 1.0"),
        ((bars()[0], bars()[1][:-1]), r"inconsistent numbers of samples: \[60, 59\]"),
        ((bars()[0], np.linspace(0, 1, 60)), "Unknown label type: continuous"),
        ((bars()[0], np.full(60, np.nan)), "Sample 0 of y has the label nan"),
        ((bars()[0], None), "requires y to be passed, but the target y is None"),
        ((np.zeros((2, 6, 7), complex), [0, 1]), "Complex data not supported"),
        ((np.zeros(6), [0, 1]), "Reshape your data"),
    ],
)
def test_data_that_cannot_be_used_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(**QUICK).fit(*data)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 7, 6)), r"samples of shape \(7, 6\), but ImageClassifier was fitted with im"),
        (np.zeros((2, 6, 7, 3)), r"samples of shape \(6, 7, 3\), but ImageClassifier was fitted"),
        (np.zeros((6, 7)), "X has 7 features, but ImageClassifier is expecting 42 features"),
        (with_value(np.nan)[0], "Sample 3 of X has the value nan"),
    ],
)
def test_samples_of_another_form_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        fitted().predict(X)


def test_images_are_no_flat_rows():
    X, y = bars()
    classifier = ImageClassifier(epochs=1).fit(X.reshape(len(X), -1), y)
    with pytest.raises(DataError, match=r"was fitted with flat rows of shape \(42,\)"):
        classifier.predict(X)


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        (np.zeros(60), "zero for every sample"),
        (np.full(60, -1.0), "not negative. Got -1.0 for sample 0"),
        (np.ones(59), r"an array of shape \(60,\), one weight for each sample"),
    ],
)
def test_weights_that_mean_nothing_are_refused(sample_weight, message):
    with pytest.raises(DataError, match=message):
        ImageClassifier(**QUICK).fit(*bars(), sample_weight)


def test_a_kernel_larger_than_the_image_is_refused():
    large = nn.Sequential(nn.Conv(4, 9), nn.Flatten(), nn.Dense(2))
    with pytest.raises(ShapeError, match=r"(?s)kernel.*9.*6"):
        fitted(network=large)


def test_a_network_for_images_needs_to_know_their_shape():
    X, y = bars()
    with pytest.raises(ShapeError, match=r"X has flat rows of 42 values: for images, set image_sh"):
        ImageClassifier(tiny).fit(X.reshape(len(X), -1), y)


def test_a_network_needs_an_output_for_each_class():
    with pytest.raises(ShapeError, match=r"outputs of shape \(2,\).* Got \(3,\).*Dense\(2\)"):
        fitted(network=tiny(3))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"network": "lenet"}, ArgumentError, "'network' parameter .* one of 'auto'|'lenet5'"),
        ({"network": 3}, ArgumentTypeError, "'network' parameter of ImageClassifier must be a la"),
        ({"network": lambda _: None}, ArgumentTypeError, "'network' parameter of ImageClassifier"),
        ({"epochs": 0}, ArgumentError, "'epochs' .* 'auto' or an integer greater .* Got 0 instead"),
        ({"epochs": "many"}, ArgumentTypeError, "'epochs' .* 'auto' or an integer"),
        ({"batch_size": 2.5}, ArgumentTypeError, "'batch_size' .* Got 2.5 instead"),
        ({"learning_rate": 0}, ArgumentError, "'learning_rate' parameter of ImageClassifier"),
        ({"optimizer": "lbfgs"}, ArgumentError, "'optimizer' parameter of ImageClassifier"),
        ({"schedule": "linear"}, ArgumentError, "'schedule' parameter of ImageClassifier"),
        ({"early_stopping": 3}, ArgumentTypeError, "'early_stopping' parameter of ImageClassifier"),
        ({"validation_fraction": 1.0}, ArgumentError, "'validation_fraction' parameter of Image"),
        ({"warm_start": 1}, ArgumentTypeError, "'warm_start' parameter of ImageClassifier"),
        ({"threads": 0}, ArgumentError, "'threads' parameter of ImageClassifier"),
        ({"precision": "low"}, ArgumentError, "'precision' parameter of ImageClassifier"),
        ({"verbose": 2}, ArgumentTypeError, "'verbose' parameter of ImageClassifier"),
        ({"label_smoothing": 1.0}, ArgumentError, "'label_smoothing' parameter of ImageClassifier"),
        ({"image_shape": (6,)}, ArgumentError, "'image_shape' parameter of ImageClassifier"),
        ({"augment": "heavy"}, ArgumentError, "'augment' parameter of"),
    ],
)
def test_parameters_are_checked_by_fit(parameters, error, message):
    with pytest.raises(error, match=message):
        fitted(**parameters)
