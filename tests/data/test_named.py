from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from convoi import config
from convoi.data import load_dataset, open_source
from convoi.errors import ArgumentError, DataError, DataFileError
from tests.data.files import images, write_idx, write_idx_folder

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def write_fashion(folder):
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images(20, 28, 28))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.arange(20, dtype=np.uint8) % 10)


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "fashion-mnist").mkdir()
    write_fashion(tmp_path / "fashion-mnist")
    return tmp_path


@pytest.fixture
def _no_debian(monkeypatch, tmp_path):
    monkeypatch.setattr("convoi.data.named._DEBIAN_FOLDER", tmp_path / "no-such-folder")


class TestDigits:
    def test_the_parts_are_scikit_learns_samples_in_order(self):
        bunch = load_digits()
        splits = load_dataset("digits")
        both = np.concatenate([splits.train.X, splits.test.X])
        np.testing.assert_array_equal(both[:, 0], bunch.images)
        np.testing.assert_array_equal(np.concatenate([splits.train.y, splits.test.y]), bunch.target)
        assert len(splits.test) == 360

    def test_its_classes_are_the_digits(self):
        train = load_dataset("digits").train
        assert train.classes == tuple(range(10))
        assert train.value_range == (0.0, train.X.max())

    def test_classes_of_a_model_are_matched_by_reading(self):
        splits = open_source("digits", classes=[str(digit) for digit in range(9, -1, -1)])
        np.testing.assert_array_equal(splits.test.y, 9 - load_digits().target[-360:])


class TestFashionMnist:
    def test_a_folder_that_is_given(self, data_dir):
        splits = load_dataset("fashion-mnist", data_dir=data_dir)
        assert splits.train.X.shape == (20, 1, 28, 28)
        assert splits.train.name == splits.test.name == "fashion-mnist"
        assert splits.train.classes[9] == "Ankle boot"
        assert splits.test.y.tolist() == [*range(10), *range(10)]

    def test_the_data_sets_own_folder(self, data_dir):
        splits = open_source("fashion-mnist", data_dir=data_dir / "fashion-mnist")
        assert len(splits.train) == 20

    def test_the_folder_of_the_environment(self, data_dir, monkeypatch):
        monkeypatch.setenv("CONVOI_DATA_DIR", str(data_dir))
        assert len(load_dataset("fashion-mnist").train) == 20

    @pytest.mark.usefixtures("_no_debian")
    def test_if_it_is_absent_the_message_says_how_to_get_it(self, tmp_path):
        message = (
            r"'fashion-mnist' is not in '.*fashion-mnist' or '.*no-such-folder'\. On Debian and "
            r"Ubuntu run 'apt-get install dataset-fashion-mnist'; otherwise put train-images-idx3-"
        )
        with (
            config.override(data_dir=tmp_path),
            pytest.raises(DataFileError, match=message),
        ):
            load_dataset("fashion-mnist")

    def test_files_of_the_same_names_elsewhere_are_not_taken_for_it(self, tmp_path):
        write_fashion(tmp_path)
        with pytest.raises(DataFileError, match=r"is not in '[^']*fashion-mnist'\. On Debian"):
            load_dataset("fashion-mnist", data_dir=tmp_path)

    def test_other_images_under_its_name_are_refused(self, tmp_path):
        write_idx_folder(tmp_path / "fashion-mnist")
        with pytest.raises(DataError, match=r"have shape \(1, 28, 28\), and .* \(1, 5, 7\)"):
            load_dataset("fashion-mnist", data_dir=tmp_path)

    def test_labels_out_of_range_are_refused(self, data_dir):
        folder = data_dir / "fashion-mnist"
        write_idx(folder / "train-labels-idx1-ubyte.gz", np.arange(20, dtype=np.uint8))
        with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz' holds samples of class"):
            load_dataset("fashion-mnist", data_dir=data_dir)

    def test_a_missing_test_set_is_named(self, data_dir):
        (data_dir / "fashion-mnist" / "t10k-images-idx3-ubyte.gz").unlink()
        with pytest.raises(DataFileError, match="The test set of 'fashion-mnist' is missing"):
            load_dataset("fashion-mnist", data_dir=data_dir)

    @pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="needs dataset-fashion-mnist (Debian)")
    def test_the_published_files_are_complete(self, monkeypatch, tmp_path):
        monkeypatch.setenv("CONVOI_DATA_DIR", str(tmp_path))
        splits = load_dataset("fashion-mnist")
        assert splits.train.X.shape == (60000, 1, 28, 28)
        assert splits.test.X.shape == (10000, 1, 28, 28)
        assert set(splits.train.class_counts().values()) == {6000}
        assert set(splits.test.class_counts().values()) == {1000}


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ArgumentError, match=r"'name' .* one of 'digits', 'fashion-mnist'\. Got 'x'"
    ):
        load_dataset("x")


def test_reading_data_imports_heavy_packages_only_when_needed():
    code = (
        "import sys, convoi.data; "
        "print([m for m in ('PIL', 'sklearn', 'scipy', 'llvmlite') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
