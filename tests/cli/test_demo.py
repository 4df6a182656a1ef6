from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

from convoi import demo
from convoi.estimators import ImageClassifier


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return the accuracy, the text and the folder of a demonstration."""
    folder, text = tmp_path_factory.mktemp("demo") / "new", io.StringIO()
    with redirect_stdout(text):
        accuracy = demo.main(["--folder", str(folder), "--seed", "1"])
    return accuracy, text.getvalue(), folder


def test_the_demonstration_shows_what_it_did(shown):
    accuracy, text, folder = shown
    assert accuracy >= 0.975
    assert "Training on 1,347 of 1,797 handwritten digits" in text
    assert f"Accuracy {accuracy:.4f}" in text
    assert text.count("predicted ") == 5
    assert f"predict {folder}/digits.safetensors" in text
    assert (folder / "report.html").as_uri() in text
    assert "Handwritten digits" in (folder / "report.html").read_text(encoding="utf-8")
    assert len(list(folder.glob("*.png"))) == 5
    assert ImageClassifier.load(folder / "digits.safetensors").classes_.tolist() == list(range(10))


def test_the_commands_that_it_suggests_work(shown, convoi):
    _, text, folder = shown
    images = sorted(folder.glob("*.png"))
    predictions = convoi("predict", folder / "digits.safetensors", *images, "--json").json
    shown_predictions = [int(part.split(",")[0]) for part in text.split("predicted ")[1:]]
    assert [record["label"] for record in predictions] == shown_predictions
