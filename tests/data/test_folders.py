from __future__ import annotations

import shutil

import numpy as np
import pytest

from convoi.data import ImageFiles, open_source
from convoi.errors import DataError
from tests.data.files import images, save_image, write_image_folder


def test_classes_and_images_are_in_order_of_their_names(tmp_path):
    dataset = open_source(write_image_folder(tmp_path / "pets", ("dog", "Cat", "ape"))).train
    assert dataset.name == "pets"
    assert dataset.classes == ("Cat", "ape", "dog")
    assert dataset.y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    names = [f"{file.parent.name}/{file.name}" for file in dataset.X.files]
    assert names == [f"{c}/{i}.png" for c in ("Cat", "ape", "dog") for i in range(3)]


def test_images_are_decoded_when_they_are_asked_for(tmp_path):
    dataset = open_source(write_image_folder(tmp_path)).train
    assert isinstance(dataset.X, ImageFiles)
    assert dataset.X.shape == (6, 1, 6, 8)
    assert dataset.value_range == (0.0, 255.0)
    np.testing.assert_array_equal(dataset.X[1, ...][0], images(3, 6, 8)[1])


def test_images_in_subfolders_belong_to_the_class(tmp_path):
    write_image_folder(tmp_path)
    save_image(tmp_path / "cat" / "kittens" / "1.png", images(1, 6, 8)[0])
    assert open_source(tmp_path).train.class_counts() == {"cat": 4, "dog": 3}


def test_other_and_hidden_files_are_ignored(tmp_path):
    write_image_folder(tmp_path)
    for name in ("cat/notes.txt", "cat/._0.png", "cat/.cache/0.png", ".git/0.png", "readme.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    assert open_source(tmp_path).train.class_counts() == {"cat": 3, "dog": 3}


def test_a_link_to_a_parent_does_no_harm(tmp_path):
    write_image_folder(tmp_path)
    (tmp_path / "cat" / "loop").symlink_to(tmp_path)
    assert len(open_source(tmp_path).train) == 6


def test_options_reach_the_images(tmp_path):
    dataset = open_source(write_image_folder(tmp_path), image_size=4, channels=3).train
    assert dataset.X.shape == (6, 3, 4, 4)


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_train_and_test_folders(tmp_path, test_name):
    write_image_folder(tmp_path / "train", channels=3)
    write_image_folder(tmp_path / test_name, ("dog",), count=2)  # grey, and one class only
    splits = open_source(tmp_path)
    assert splits.train.X.shape == (6, 3, 6, 8)
    assert splits.test.X.shape == (2, 3, 6, 8)
    assert splits.test.classes == ("cat", "dog")
    assert splits.test.y.tolist() == [1, 1]
    assert splits.train.name == tmp_path.name


def test_a_class_may_be_called_train(tmp_path):
    dataset = open_source(write_image_folder(tmp_path, ("train", "plane"))).train
    assert dataset.classes == ("plane", "train")


def test_an_unknown_class_of_the_test_folder_is_named(tmp_path):
    write_image_folder(tmp_path / "train")
    write_image_folder(tmp_path / "test", ("cow",))
    with pytest.raises(DataError, match="test' holds samples of class 'cow'"):
        open_source(tmp_path)


def test_known_classes_keep_their_codes_and_need_not_all_be_there(tmp_path):
    write_image_folder(tmp_path, ("dog",))
    (tmp_path / "cow").mkdir()
    dataset = open_source(tmp_path, classes=("cow", "cat", "dog")).train
    assert dataset.y.tolist() == [2, 2, 2]
    assert dataset.classes == ("cow", "cat", "dog")


def test_an_unreadable_image_is_skipped_with_its_label(tmp_path):
    write_image_folder(tmp_path)
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"Skipped 1 of 6 .*\n.*cat.1\.png"):
        dataset = open_source(tmp_path, on_error="skip").train
    assert dataset.class_counts() == {"cat": 2, "dog": 3}
    assert [file.parent.name for file in dataset.X.files] == ["cat"] * 2 + ["dog"] * 3


def test_a_class_without_readable_images_is_named(tmp_path):
    write_image_folder(tmp_path, count=1)
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="Skipped 1 of 2"),
        pytest.raises(DataError, match=r"No image of class 'cat' in .* can be read"),
    ):
        open_source(tmp_path, on_error="skip")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no images\. Put the images into one folder per"):
        open_source(tmp_path)


def test_a_class_folder_without_images_is_named(tmp_path):
    write_image_folder(tmp_path)
    shutil.rmtree(tmp_path / "cat")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"class folder '.*cat' holds no image \(\.bmp, \.gif"):
        open_source(tmp_path)


def test_class_folders_without_any_image_are_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match=r"class folders of .* \('cat'\) hold no images"):
        open_source(tmp_path, classes=("cat", "dog"))


def test_a_single_class_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds samples of one class only, 'cat'"):
        open_source(write_image_folder(tmp_path, ("cat",)))


def test_images_without_class_folders_are_unlabelled(tmp_path):
    save_image(tmp_path / "a.png", images(1, 6, 8)[0])
    with pytest.raises(DataError, match="holds 1 images and no folder of a class"):
        open_source(tmp_path)
    dataset = open_source(tmp_path, labelled=False).train
    assert dataset.X.shape == (1, 1, 6, 8)
    assert dataset.y is None


def test_a_regression_needs_values(tmp_path):
    with pytest.raises(DataError, match="is a folder of classes, and has no values"):
        open_source(write_image_folder(tmp_path), task="regression")
