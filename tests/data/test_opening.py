from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from convoi.data import open_source
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, DataFileError
from tests.data.files import images, save_image, write_idx_folder, write_image_folder

X = images(6, 6, 8)
Y = np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("kind", ["digits", "folder", "npz", "idx folder", "idx file"])
def test_every_kind_of_source_gives_what_training_needs(tmp_path, kind):
    source = {
        "digits": lambda: "digits",
        "folder": lambda: write_image_folder(tmp_path),
        "npz": lambda: np.savez(tmp_path / "a.npz", X=X, y=Y) or tmp_path / "a.npz",
        "idx folder": lambda: write_idx_folder(tmp_path),
        "idx file": lambda: write_idx_folder(tmp_path) / "train-images-idx3-ubyte",
    }[kind]()
    train = open_source(source).train
    assert train.X.dtype == np.uint8
    assert len(train.sample_shape) == 3
    assert len(train.y) == len(train)
    assert train.y.max() == len(train.classes) - 1
    assert train.source.take([0, 1]).shape == (2, *train.sample_shape)


def test_a_path_can_be_text(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    assert len(open_source(str(tmp_path / "a.npz")).train) == 6


def test_an_archive_needs_no_suffix(tmp_path):
    with (tmp_path / "data").open("wb") as file:
        np.savez(file, X=X, y=Y)
    assert len(open_source(tmp_path / "data").train) == 6


def test_a_name_comes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    write_image_folder(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert len(open_source("digits").train) == 1437
    assert len(open_source("./digits").train) == 6


def test_the_current_folder_has_a_name(tmp_path, monkeypatch):
    write_image_folder(tmp_path / "pets")
    monkeypatch.chdir(tmp_path / "pets")
    assert open_source(".").train.name == "pets"


def test_what_does_not_exist_is_refused_with_what_could(tmp_path):
    message = (
        r"no file, folder or data set 'fashion_mnist'\. Did you mean 'fashion-mnist'\? "
        r"A source is a named data set \('digits', 'fashion-mnist'\), a folder"
    )
    with pytest.raises(DataFileError, match=message):
        open_source("fashion_mnist")
    with pytest.raises(DataFileError, match=r"data set '.*missing'\. A source is"):
        open_source(tmp_path / "missing")


def test_a_file_of_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "data.bin").write_text("1,2,3")
    with pytest.raises(DataFileError, match=r"data\.bin' is of an unknown kind\. A source is"):
        open_source(tmp_path / "data.bin")


def test_a_single_image_is_no_source(tmp_path):
    path = save_image(tmp_path / "a.jpg", X[0])
    with pytest.raises(DataFileError, match=r"a\.jpg' is a single image\. A source of images is"):
        open_source(path)


@pytest.mark.parametrize(("name", "message"), [("a.npz", "NumPy"), ("a-images-idx3", "IDX")])
def test_the_name_of_a_damaged_file_says_what_it_was(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(DataFileError, match=f"is not an? {message}"):
        open_source(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataFileError, match="it is not a regular file"):
        open_source(tmp_path / "pipe")


@pytest.mark.parametrize(("name", "method"), [("folder", "iterdir"), ("a.npz", "open")])
def test_what_may_not_be_read_is_named(tmp_path, monkeypatch, name, method):
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    (tmp_path / "folder").mkdir()

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(DataFileError, match=rf"Cannot read '.*{name}': Permission denied"):
        open_source(tmp_path / name)


def test_a_named_data_set_has_no_values():
    with pytest.raises(DataError, match="'digits' has classes, and no values for a regression"):
        open_source("digits", task="regression")


@pytest.mark.parametrize("source", [3, None, X])
def test_a_source_is_a_name_or_a_path(source):
    with pytest.raises(ArgumentTypeError, match="'source' parameter of open_source must be a name"):
        open_source(source)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layout": "NCHW"}, ArgumentError, "'layout' parameter of open_source must be one of"),
        ({"task": "ranking"}, ArgumentError, "'task' parameter of open_source must be one of"),
        ({"labelled": 1}, ArgumentTypeError, "'labelled' parameter of open_source must be True"),
        ({"image_size": -1}, ArgumentError, "'image_size' parameter of open_source"),
        ({"channels": 4}, ArgumentError, "'channels' parameter of open_source"),
        ({"fit": ""}, ArgumentError, "'fit' parameter of open_source"),
        ({"on_error": None}, ArgumentTypeError, "'on_error' parameter of open_source"),
    ],
)
def test_options_are_checked_for_every_source(options, error, message):
    with pytest.raises(error, match=message):
        open_source("digits", **options)
