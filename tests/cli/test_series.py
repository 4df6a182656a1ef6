from __future__ import annotations

import numpy as np
import pytest

from convoi.data import read_ts, write_ts


def waves(count, seed, lengths=None):
    """Return sines of two frequencies, and which frequency each has."""
    rng = np.random.default_rng(seed)
    y = np.array(["slow", "fast"])[np.arange(count) % 2]
    speed = np.where(y == "slow", 0.2, 0.9)
    X = np.sin(np.outer(speed, np.arange(24)) + 6 * rng.random((count, 1)))
    return [row[:length] for row, length in zip(X, lengths or [24] * count, strict=True)], y


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder of files of series, and a model that was trained on one."""
    folder = tmp_path_factory.mktemp("series")
    write_ts(folder / "Waves_TRAIN.ts", *waves(20, 0), classes=("slow", "fast"))
    write_ts(folder / "Other.ts", *waves(12, 1))
    write_ts(folder / "Unequal.ts", *waves(16, 2, [20, 24] * 8))
    missing = np.array(waves(16, 3)[0])
    missing[::3, 5] = np.nan
    write_ts(folder / "Missing.ts", missing, np.arange(16) % 2)
    rng = np.random.default_rng(4)
    X = rng.standard_normal((20, 2, 15))
    write_ts(folder / "Values.ts", X, X[:, 0].mean(axis=1))
    return folder


QUICK = ("--network", "fcn", "--epochs", 2, "--batch-size", 8, "--json")


@pytest.fixture
def trained(convoi, folder):
    """Return the report of a training run, and the model's file."""
    model = folder / "waves.safetensors"
    arguments = (folder / "Waves_TRAIN.ts", "--test", folder / "Other.ts", "--output", model)
    return convoi("train", *arguments, *QUICK).json, model


def test_training_and_measuring_on_files_of_series(convoi, folder, trained):
    report, model = trained
    assert report["samples"] == 20
    assert report["sample_shape"] == [1, 24]
    assert report["test"]["samples"] == 12
    figures = convoi("evaluate", model, folder / "Other.ts", "--json").json
    assert figures["accuracy"] == report["test"]["accuracy"]
    predicted = convoi("predict", model, folder / "Other.ts", "--json").json
    assert predicted[0]["file"] == f"{folder / 'Other.ts'}[0]"
    right = [p["label"] for p in predicted] == read_ts(folder / "Other.ts").labels
    assert np.mean(right) == pytest.approx(figures["accuracy"])


def test_series_of_unequal_length(convoi, folder, tmp_path):
    model = tmp_path / "m.safetensors"
    report = convoi("train", folder / "Unequal.ts", "-o", model, *QUICK).json
    assert report["sample_shape"] == [1, 24]
    assert len(convoi("predict", model, folder / "Unequal.ts", "--json").json) == 16
    refused = convoi("train", folder / "Unequal.ts", "--checkpoint", tmp_path / "c", *QUICK)
    assert refused.code == 2
    assert "--checkpoint" in refused.err


def test_values_of_series(convoi, folder, tmp_path):
    model = tmp_path / "m.safetensors"
    assert convoi("train", folder / "Values.ts", "-o", model, *QUICK).json["task"] == "regression"
    assert convoi("evaluate", model, folder / "Values.ts", "--json").json["samples"] == 20


def test_a_report_on_series(convoi, folder, trained, tmp_path):
    (_, model), file = trained, tmp_path / "series.html"
    told = convoi("report", model, folder / "Other.ts", "-o", file, "--json").json
    assert told["samples"] == 12
    html = file.read_text(encoding="utf-8")
    assert "12 samples of shape 1x24" in html
    assert "Grad-CAM is strongest at time" in html
    assert "2 epochs; the training ended" in html
    assert "A row for each class" in html
    assert "Kernels of 8" in html


def test_a_report_on_series_of_unequal_length_is_on_one_length(convoi, folder, tmp_path):
    model, file = tmp_path / "m.safetensors", tmp_path / "series.html"
    convoi("train", folder / "Unequal.ts", "-o", model, *QUICK)
    done = convoi("report", model, folder / "Unequal.ts", "-o", file)
    assert "Report on 8 of 16 samples written" in done.out
    assert "the 8 of 16 series that have 24 time steps" in file.read_text(encoding="utf-8")


def test_a_report_on_values_of_series(convoi, folder, tmp_path):
    model, file = tmp_path / "m.safetensors", tmp_path / "series.html"
    convoi("train", folder / "Values.ts", "-o", model, *QUICK)
    convoi("report", model, folder / "Values.ts", "-o", file)
    assert "Mean absolute error" in file.read_text(encoding="utf-8")


def test_a_report_refuses_series_of_another_form(convoi, folder, trained, tmp_path):
    done = convoi("report", trained[1], folder / "Values.ts", "-o", tmp_path / "r.html")
    assert (done.code, "holds values" in done.err) == (1, True)


def test_missing_values_are_refused_unless_asked_for(convoi, folder, tmp_path):
    arguments = ("train", folder / "Missing.ts", "-o", tmp_path / "m.safetensors", *QUICK)
    refused = convoi(*arguments)
    assert refused.code == 1
    assert "missing" in refused.err
    assert convoi(*arguments, "--missing", "mask").code == 0


def test_missing_values_are_an_option_of_series(convoi):
    refused = convoi("train", "digits", "--missing", "mask")
    assert refused.code == 2
    assert "--missing" in refused.err


def test_images_for_a_model_of_series(convoi, trained):
    refused = convoi("predict", trained[1], "digits")
    assert refused.code == 1
    assert "The model takes series, and 'digits' holds samples of shape (1, 8, 8)" in refused.err
    ranged = convoi("predict", trained[1], "digits", "--value-range", 0, 1)
    assert ranged.code == 2
    assert "--value-range" in ranged.err


@pytest.mark.parametrize("kind", ["minirocket", "rocket"])
def test_a_classifier_of_random_features(convoi, folder, tmp_path, kind):
    model, test = tmp_path / "m.safetensors", folder / "Other.ts"
    arguments = (folder / "Waves_TRAIN.ts", "--test", test, "--model", kind, "-o", model)
    report = convoi("train", *arguments, "--json").json
    assert report["features"] == {"minirocket": 9996, "rocket": 20000}[kind]
    assert report["test"]["accuracy"] > 0.9
    assert convoi("evaluate", model, test, "--json").json["accuracy"] > 0.9
    predicted = convoi("predict", model, test, "--top", 2, "--json").json
    right = [p["label"] for p in predicted] == read_ts(test).labels
    assert np.mean(right) == pytest.approx(report["test"]["accuracy"])
    assert predicted[0]["top"][1]["distance"] == -predicted[0]["distance"]
    assert "Distance" in convoi("predict", model, test).out
    for command in ("report", "summary"):
        refused = convoi(command, model, *([test] if command == "report" else []))
        assert refused.code == 1
        assert "m.safetensors" in refused.err


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("Waves_TRAIN.ts", "--epochs", 3), "--epochs"),
        (("Missing.ts", "--missing", "mask"), "--missing"),
        (("Values.ts",), "--model"),
    ],
)
def test_options_that_random_features_do_not_have(convoi, folder, tmp_path, arguments, option):
    name, *options = arguments
    output = ("--model", "minirocket", "-o", tmp_path / "m.safetensors")
    refused = convoi("train", folder / name, *options, *output)
    assert (refused.code, option in refused.err) == (2, True)


def test_random_features_of_missing_values_are_refused(convoi, folder, tmp_path):
    output = ("--model", "minirocket", "-o", tmp_path / "m.safetensors")
    refused = convoi("train", folder / "Missing.ts", *output)
    assert (refused.code, "NaN" in refused.err) == (1, True)
