from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from convoi.data import read_images
from convoi.estimators import load_estimator


def test_images_are_predicted_in_the_order_given(convoi, model, photos):
    files = [photos / "standing" / "03.png", photos / "lying" / "05.png"]
    result = convoi("predict", model, *files)
    assert result.code == 0, result.err
    header, first, second = result.out.splitlines()
    assert header.split() == ["File", "Label", "Probability"]
    assert first.split()[:2] == [str(files[0]), "standing"]
    assert second.split()[:2] == [str(files[1]), "lying"]


def test_json_holds_as_many_labels_as_asked_for(convoi, model, photos):
    file = photos / "standing" / "03.png"
    (record,) = convoi("predict", model, file, "--top", "5", "--json").json
    assert record["file"] == str(file)
    assert record["label"] == "standing"
    assert [entry["label"] for entry in record["top"]] == ["standing", "lying"]
    assert sum(entry["probability"] for entry in record["top"]) == pytest.approx(1)
    estimator = load_estimator(model)
    image = read_images([file], image_size=(8, 8), channels=1)[:, 0]
    assert record["probability"] == pytest.approx(estimator.predict_proba(image).max(), abs=1e-6)


def test_the_table_shows_the_next_labels_too(convoi, model, photos):
    result = convoi("predict", model, photos / "standing" / "03.png", "--top", "2")
    assert result.out.splitlines()[0].split("  ")[-1].strip() == "Probability"
    assert "Label 2" in result.out


def test_a_folder_is_predicted_by_its_files(convoi, model, photos):
    records = convoi("predict", model, photos, "--json").json
    assert len(records) == 32
    right = [record["label"] == record["file"].split("/")[-2] for record in records]
    assert np.mean(right) > 0.9


def test_images_of_other_sizes_and_colours_are_converted(convoi, model, tmp_path):
    file = tmp_path / "large.JPG"
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[24:40] = 230
    Image.fromarray(pixels).save(file)
    (record,) = convoi("predict", model, file, "--json").json
    assert record["label"] == "lying"


def test_an_npz_file_is_predicted_by_number(convoi, model, tmp_path):
    file = tmp_path / "arrays.npz"
    np.savez(file, X=np.zeros((2, 8, 8), np.uint8))
    records = convoi("predict", model, file, "--json").json
    assert [record["file"] for record in records] == [f"{file}[0]", f"{file}[1]"]


def test_what_cannot_be_read_is_reported_and_the_others_are_predicted(
    convoi, model, photos, tmp_path
):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    good = photos / "lying" / "00.png"
    result = convoi("predict", model, bad, good, tmp_path / "none.npz")
    assert result.code == 1
    assert [line.split()[0] for line in result.out.splitlines()[1:]] == [str(good)]
    first, second = result.err.splitlines()
    assert first.startswith(f"convoi: Cannot read image '{bad}'")
    assert "none.npz" in second


def test_values_are_predicted(convoi, regression_model, values):
    records = convoi("predict", regression_model, values, "--json").json
    assert len(records) == 40
    assert all(isinstance(record["value"], float) for record in records)
    lines = convoi("predict", regression_model, values).out.splitlines()
    assert lines[0].split() == ["File", "Value"]
    assert float(lines[1].split()[1]) == pytest.approx(records[0]["value"], rel=1e-4)


def test_black_and_white_are_asked_for_where_the_model_does_not_know(
    convoi, regression_model, photos
):
    file = photos / "lying" / "00.png"
    result = convoi("predict", regression_model, file)
    assert result.code == 1
    assert "Give them with --value-range, such as --value-range 0 1" in result.err
    dark, bright = (
        convoi("predict", regression_model, file, "--value-range", 0, white, "--json").json
        for white in (0.01, 1)
    )
    assert dark[0]["value"] < bright[0]["value"]


def test_many_images_are_decoded_a_few_at_a_time(convoi, model, photos, monkeypatch):
    monkeypatch.setattr("convoi.cli.predict._AT_A_TIME", 5)
    files = sorted(photos.glob("*/*.png"))
    records = convoi("predict", model, *files, "--json").json
    assert [record["file"] for record in records] == [str(file) for file in files]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_threads_and_precision_are_those_of_the_model(convoi, model, photos, monkeypatch, command):
    seen = {}

    def stopped(_, **options):
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("convoi.estimators.load_estimator", stopped)
    options = ["--threads", "1", "--precision", "high"]
    assert convoi(command, model, photos, *options).code == 130
    assert seen == {"threads": 1, "precision": "high"}
