"""``convoi find`` and ``convoi filter`` on the files that they read and write."""

from __future__ import annotations

import csv
import re
import wave

import numpy as np
import pytest
from PIL import Image

import convoi as library


@pytest.fixture
def pulse(tmp_path):
    """Return files of a signal with two pulses, and of the pulse."""
    t = np.sin(np.linspace(0, 12, 40)) * np.hanning(40)
    x = 0.1 * np.random.default_rng(0).normal(size=1000)
    x[300:340] += t
    x[700:740] += 2 * t
    np.savetxt(
        tmp_path / "x.csv",
        np.c_[np.arange(1000), x],
        delimiter=",",
        header="time,lead",
        comments="",
    )
    np.save(tmp_path / "pulse.npy", t)
    return tmp_path / "x.csv", tmp_path / "pulse.npy"


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    pixels[25:33, 30:41] = pixels[5:13, 8:19]
    Image.fromarray(pixels).save(tmp_path / "board.png")
    return tmp_path / "board.png", pixels


def test_pulses_are_found_in_a_column_of_a_table(convoi, pulse, tmp_path):
    x, template = pulse
    result = convoi("find", f"{x}:lead", template, "--output", tmp_path / "found.csv")
    assert result.out.split() == [f"{tmp_path}/found.csv:", "2", "detections"]
    with (tmp_path / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["sample", "score", "amplitude", "template"]
    assert [round(float(row["sample"])) for row in rows] == [700, 300]
    assert float(rows[0]["amplitude"]) == pytest.approx(2, abs=0.1)


def test_a_signal_is_drawn_with_what_was_found(convoi, pulse, tmp_path):
    x, template = pulse
    convoi("find", x, template, "--annotate", tmp_path / "found.png")
    drawn = np.asarray(Image.open(tmp_path / "found.png").convert("RGB"))
    marks = (drawn[10] == (220, 30, 30)).all(axis=1)
    assert marks[int(310 / 1000 * drawn.shape[1])]
    assert not marks[int(500 / 1000 * drawn.shape[1])]


def test_a_part_of_a_picture_is_found_again(convoi, picture, tmp_path):
    path, _ = picture
    report = convoi(
        "find", path, "--crop", "5,8,8,11", "--statistic", "zncc", "--threshold", "0.9",
        "--annotate", tmp_path / "found.png", "--json",
    ).json  # fmt: skip
    places = sorted((round(d["row"]), round(d["column"])) for d in report["detections"])
    assert places == [(5, 8), (25, 30)]
    drawn = np.asarray(Image.open(tmp_path / "found.png"))
    scale = drawn.shape[0] // picture[1].shape[0]  # small pictures are enlarged
    assert max(drawn.shape) >= 640
    assert tuple(drawn[scale * 25 - 2, scale * 35]) == (220, 30, 30)


@pytest.mark.parametrize("crop", ["1,2", "a,b,c,d", "38,0,5,5", "0,0,0,0"])
def test_a_crop_that_is_not_in_the_picture(convoi, picture, crop):
    result = convoi("find", picture[0], "--crop", crop)
    assert result.code == 1
    assert "--crop" in result.err


def test_a_template_is_needed(convoi, picture):
    assert "needs a TEMPLATE file or --crop" in convoi("find", picture[0]).err


@pytest.mark.parametrize("kernel", ["gaussian", "box", "sobel", "laplacian", "sharpen", "emboss"])
def test_named_kernels_filter_a_picture(convoi, picture, tmp_path, kernel):
    from convoi.signal.named import named_kernel

    path, pixels = picture
    result = convoi("filter", path, kernel, "--output", tmp_path / "y.npy")
    assert result.code == 0, result.err
    expected = library.convolve(
        pixels.astype(float), named_kernel(kernel, 2), mode="same", boundary="symmetric"
    )
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-2)


def test_a_filtered_picture_is_a_picture_with_its_colours(convoi, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    convoi("filter", tmp_path / "photo.png", "box", "--size", "1", "-o", tmp_path / "same.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "same.png")), pixels)


def test_a_recording_is_filtered_with_taps_of_a_file(convoi, tmp_path):
    samples = np.random.default_rng(0).integers(-9000, 9000, (500, 2)).astype("<i2")
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    np.save(tmp_path / "taps.npy", np.array([0.25, 0.5, 0.25]))
    result = convoi("filter", tmp_path / "x.wav", tmp_path / "taps.npy", "-o", tmp_path / "y.wav")
    assert result.code == 0, result.err
    with wave.open(str(tmp_path / "y.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 2)
        y = np.frombuffer(file.readframes(500), "<i2").reshape(-1, 2)
    expected = library.convolve(
        samples[:, 0].astype(float), [0.25, 0.5, 0.25], mode="same", boundary="symmetric"
    )
    assert np.abs(y[:, 0] - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.npy", "box"), "There is no file"),
        (("board.png", "blur"), "must be one of gaussian, box"),
        (("board.png", "line.npy"), "must have the 2 axes of the input"),
        (("text.png", "box"), "cannot be read"),
        (("bad.csv", "box"), "Line 2 of .* has no number"),
        (("bad.csv:other", "box"), "no column 'other'"),
    ],
)
@pytest.mark.usefixtures("picture")
def test_files_that_cannot_be_used(convoi, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.save("line.npy", np.ones(3))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "bad.csv").write_text("1\nx\n")
    result = convoi("filter", *arguments, "-o", "y.npy")
    assert result.code == 1
    assert re.search(message, result.err)


def test_an_output_of_an_unknown_kind(convoi, picture, tmp_path):
    result = convoi("filter", picture[0], "box", "-o", tmp_path / "y.xyz")
    assert result.code == 1
    assert "Write .npy, .csv, .wav" in result.err
