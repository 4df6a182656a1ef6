from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from convoi.data import open_source
from convoi.estimators import ImageClassifier, load_estimator
from tests.estimators.examples import tiny


def test_the_figures_are_those_of_scikit_learn(convoi, model, photos):
    report = convoi("evaluate", model, photos, "--json").json
    dataset = open_source(photos).train
    predicted = load_estimator(model).predict(dataset)
    truth = np.array(dataset.classes)[dataset.y]
    assert report["samples"] == 32
    assert report["accuracy"] == np.mean(predicted == truth)
    assert report["confusion_matrix"] == confusion_matrix(truth, predicted).tolist()
    assert report["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    for entry in report["classes"]:
        arguments = {"pos_label": entry["label"]}
        assert entry["precision"] == precision_score(truth, predicted, **arguments)
        assert entry["recall"] == recall_score(truth, predicted, **arguments)
        assert entry["f1"] == f1_score(truth, predicted, **arguments)
        assert entry["samples"] == 16


def test_the_text_has_a_row_for_each_class_and_the_confusion_matrix(convoi, model, photos):
    result = convoi("evaluate", model, photos)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("Accuracy ")
    assert lines[2].split() == ["Class", "Precision", "Recall", "F1", "Samples"]
    assert lines[3].split()[0] == "lying"
    assert "Confusion matrix" in lines[6]
    assert lines[7].split() == ["lying", "standing"]


def test_values_have_other_figures(convoi, regression_model, values):
    report = convoi("evaluate", regression_model, values, "--json").json
    dataset = open_source(values).train
    error = load_estimator(regression_model).predict(dataset) - dataset.y
    assert report["mean_absolute_error"] == pytest.approx(np.abs(error).mean())
    assert report["root_mean_squared_error"] == pytest.approx(np.sqrt((error**2).mean()))
    assert report["r2"] == pytest.approx(1 - (error**2).mean() / dataset.y.var(), rel=1e-5)
    assert convoi("evaluate", regression_model, values).out.startswith("R2 ")


def test_only_the_test_set_is_measured_where_there_is_one(convoi, tmp_path):
    digits = open_source("digits").train
    model = tmp_path / "model"
    ImageClassifier(tiny, epochs=1, random_state=0).fit_dataset(digits).save(model)
    assert convoi("evaluate", model, "digits", "--json").json["samples"] == 360


def test_labels_that_the_model_does_not_know_are_an_error(convoi, model):
    result = convoi("evaluate", model, "digits")
    assert result.code == 1
    assert "not one of the known classes: 'lying', 'standing'" in result.err


def test_a_matrix_of_many_classes_is_left_to_json(convoi, tmp_path):
    y = np.arange(42) % 21
    file, model = tmp_path / "many.npz", tmp_path / "model"
    np.savez(file, X=np.random.default_rng(0).uniform(size=(42, 4, 4)), y=y)
    ImageClassifier(tiny, epochs=1).fit_dataset(open_source(file).train).save(model)
    assert "The confusion matrix of 21 classes is in" in convoi("evaluate", model, file).out
    assert len(convoi("evaluate", model, file, "--json").json["confusion_matrix"]) == 21
