from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from convoi import ImageClassifier, ImageRegressor
from convoi.estimators import PixelFormat

QUICK = ["--epochs", "2", "--batch-size", "200"]


def digest(file):
    """Return the checksum over all that a model file says; its bytes may be in another order."""
    with safe_open(file, "numpy") as opened:
        return opened.metadata()["digest"]


@pytest.fixture
def model(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_named_data_set_is_trained_on_and_measured_on_its_test_set(convoi, model):
    result = convoi("train", "digits", *QUICK, "--output", model)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("Trained on 1,437 samples of 1x8x8, 10 classes: 2 epochs in ")
    assert lines[1].startswith("Training accuracy 0.")
    assert lines[2].startswith("Test accuracy 0.")
    assert lines[2].endswith(" on 360 samples")
    assert lines[3] == f"Model written to {model}"
    loaded = ImageClassifier.load(model)
    assert loaded.classes_.tolist() == list(range(10))
    assert loaded.pixel_format_ == PixelFormat((0.0, 16.0))


def test_json_holds_the_figures(convoi, model):
    report = convoi("train", "digits", *QUICK, "-o", model, "--validation", "0.2", "--json").json
    assert report["samples"] == 1437
    assert report["classes"] == list(range(10))
    assert report["epochs"] == 2
    assert report["model"] == str(model)
    assert set(report["training"]) == {"loss", "accuracy"}
    assert set(report["validation"]) == {"loss", "accuracy"}
    assert report["test"]["samples"] == 360
    assert 0 < report["test"]["accuracy"] < 1


def test_the_same_seed_gives_the_same_model(convoi, tmp_path):
    files = [tmp_path / name for name in "abc"]
    for file, seed in zip(files, [3, 3, 4], strict=True):
        assert convoi("train", "digits", *QUICK, "--seed", seed, "-o", file).code == 0
    same, again, other = map(digest, files)
    assert same == again != other


def test_the_test_set_does_not_change_the_model(convoi, photos, tmp_path):
    """The images of the test folder are those of the training, with the labels exchanged."""
    both = tmp_path / "both"
    both.mkdir()
    (both / "train").symlink_to(photos)
    (both / "test").mkdir()
    (both / "test" / "lying").symlink_to(photos / "standing")
    (both / "test" / "standing").symlink_to(photos / "lying")
    models = [tmp_path / "a", tmp_path / "b"]
    alone = convoi("train", photos, *QUICK, "-o", models[0], "--json").json
    with_test = convoi("train", both, *QUICK, "-o", models[1], "--json").json
    assert alone["test"] is None
    assert with_test["test"] is not None
    assert digest(models[0]) == digest(models[1])


def test_a_folder_of_images_is_trained_on(convoi, model, photos):
    result = convoi("train", photos, "--image-size", "6x7", *QUICK, "-o", model)
    assert "32 samples of 1x6x7, 2 classes" in result.out
    assert "The source has no test set" in result.out
    assert ImageClassifier.load(model).classes_.tolist() == ["lying", "standing"]


def test_decimal_labels_are_values(convoi, model, values):
    result = convoi("train", values, *QUICK, "-o", model)
    assert "40 samples of 1x5x5, values" in result.out
    assert "Training R2 " in result.out
    assert isinstance(ImageRegressor.load(model), ImageRegressor)


def test_a_test_set_of_values_is_measured_by_r2(convoi, model, tmp_path):
    X, y = np.zeros((8, 4, 4)), np.linspace(0, 1, 8)
    X += y[:, np.newaxis, np.newaxis]
    file = tmp_path / "both.npz"
    np.savez(file, x_train=X, y_train=y, x_test=X, y_test=y)
    report = convoi("train", file, *QUICK, "-o", model, "--json").json
    assert report["task"] == "regression"
    assert set(report["test"]) == {"samples", "r2"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--learning-rate", "0.25"], {"learning_rate": 0.25}),
        (["--network", "vgg"], {"network": "vgg"}),
        (["--augment", "strong"], {"augment": "strong"}),
        (["--augment", "none"], {"augment": None}),
        (["--no-augment"], {"augment": None}),
        (["--threads", "1", "--seed", "7"], {"threads": 1, "random_state": 7}),
        (["--precision", "high"], {"precision": "high"}),
        (["--validation", "0.3"], {"validation_fraction": 0.3}),
        ([], {"network": "auto", "learning_rate": "auto", "augment": "auto", "threads": None}),
        ([], {"precision": "default"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_are_parameters_of_the_estimator(convoi, photos, monkeypatch, arguments, expected):
    seen = {}

    def stopped(estimator, *_, **__):
        seen.update(estimator.get_params())
        raise KeyboardInterrupt

    monkeypatch.setattr("convoi.estimators.ImageClassifier.fit_dataset", stopped)
    assert convoi("train", photos, *QUICK, *arguments).code == 130
    assert seen["epochs"] == 2
    assert seen["batch_size"] == 200
    assert {name: seen[name] for name in expected} == expected


def test_a_run_is_saved_and_resumed(convoi, model, photos, tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    arguments = ["train", photos, *QUICK, "-o", model, "--checkpoint", checkpoint]
    assert convoi(*arguments).code == 0
    whole = digest(model)
    assert convoi(*arguments, "--resume").code == 0
    assert digest(model) == whole


def test_an_interrupted_run_says_how_to_resume(convoi, model, photos, tmp_path, monkeypatch):
    checkpoint = tmp_path / "run.checkpoint"

    def interrupted(*_, **__):
        checkpoint.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("convoi.estimators.ImageClassifier.fit_dataset", interrupted)
    result = convoi("train", photos, "-o", model, "--checkpoint", checkpoint)
    assert result.code == 130
    assert f"Resume with the same command and --checkpoint {checkpoint} --resume" in result.err
    assert not model.exists()


@pytest.mark.filterwarnings("default")
def test_images_that_cannot_be_read_can_be_left_out(convoi, model, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (6, 6), 40 * number).save(tmp_path / name / f"{number}.png")
    (tmp_path / "b" / "bad.png").write_bytes(b"no image")
    arguments = ["train", tmp_path, *QUICK, "-o", model]
    result = convoi(*arguments)
    assert result.code == 1
    assert "bad.png" in result.err
    result = convoi(*arguments, "--skip-unreadable")
    assert result.code == 0
    assert result.err.startswith("convoi: warning: Skipped 1 of 7 images that cannot be read")
