from __future__ import annotations

import re

import numpy as np
import pytest

from convoi import ImageClassifier, ImageRegressor
from convoi.cli import report
from convoi.data import open_source
from tests.estimators.examples import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a function that trains a small model on a source and returns its file."""
    folder = tmp_path_factory.mktemp("models")

    def train(source):
        file = folder / f"{source.stem}.safetensors"
        if not file.exists():
            data = open_source(source).train
            kind = ImageRegressor if data.classes is None else ImageClassifier
            kind(network=tiny, epochs=2, random_state=0).fit_dataset(data).save(file)
        return file

    return train


def test_a_classifier_has_a_report_on_as_many_samples_as_fit(
    convoi, model, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(report, "MOST_BYTES", 20 * 64)
    file = tmp_path / "photos.html"
    done = convoi("report", model(photos), photos, "--output", file, "--title", "<Bars>")
    assert done.code == 0, done.err
    assert re.fullmatch(rf"Report on 20 of 32 samples written to {file}, 0\.\d MB\n", done.out)
    html = file.read_text(encoding="utf-8")
    assert "<h1>&lt;Bars&gt;</h1>" in html
    assert "lying" in html
    assert "2 epochs; the training ended because all epochs were done" in html


def test_a_regressor_has_a_report(convoi, model, values, tmp_path):
    file = tmp_path / "values.html"
    result = convoi("report", model(values), values, "--output", file, "--json").json
    assert result["bytes"] == file.stat().st_size
    assert "Mean absolute error" in file.read_text(encoding="utf-8")


def test_errors_are_told_before_the_work(convoi, model, photos, tmp_path):
    done = convoi("report", model(photos), photos, "--output", tmp_path / "no" / "r.html")
    assert (done.code, "must be a file in a folder that exists" in done.err) == (2, True)
    done = convoi("report", model(photos), tmp_path / "none")
    assert done.code == 1
    assert "There is no file, folder or data set" in done.err


def test_what_is_missing_is_told_with_the_remedy(convoi, model, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    done = convoi("report", model(photos), photos, "--output", tmp_path / "r.html")
    assert done.code == 1
    assert "pip install 'convoi[plot]'" in done.err
    assert not (tmp_path / "r.html").exists()


def test_arrays_without_labels_are_refused(convoi, model, photos, tmp_path):
    file = tmp_path / "unlabelled.npz"
    np.savez(file, X=np.zeros((3, 8, 8), np.uint8))
    done = convoi("report", model(photos), file, "--output", tmp_path / "r.html")
    assert done.code == 1
