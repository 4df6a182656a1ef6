"""A folder of images, with one folder for each class."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convoi.data.dataset import Dataset, DatasetSplits
from convoi.data.decoding import SUFFIXES
from convoi.data.images import ImageFiles
from convoi.data.targets import encode_classes, listing
from convoi.errors import DataError

if TYPE_CHECKING:
    from convoi.data.options import ReadOptions

_TEST_FOLDERS = ("test", "val", "validation", "valid")
_EXPECTED = "Put the images into one folder per class, as in 'cat/1.png' and 'dog/1.png'."
_VALUE_RANGE = (0.0, 255.0)


def open_image_folder(folder: Path, options: ReadOptions) -> DatasetSplits:
    """Open ``folder/CLASS/**/IMAGE``, or ``folder/train/CLASS`` with ``folder/test/CLASS``.

    Classes and images are ordered by name, character by character.
    """
    if options.task == "regression":
        raise DataError(
            f"{str(folder)!r} is a folder of classes, and has no values for a regression. "
            "Store the images and values as X and y of an .npz file."
        )
    name = folder.resolve().name
    train_folder = folder / "train"
    if not (train_folder.is_dir() and _subfolders(train_folder)):
        return DatasetSplits(_open(folder, options, name))
    train = _open(train_folder, options, name)
    test_folder = next((f for f in map(folder.joinpath, _TEST_FOLDERS) if f.is_dir()), None)
    if test_folder is None:
        return DatasetSplits(train)
    _, channels, height, width = train.X.shape
    options = replace(options, classes=train.classes, channels=channels, image_size=(height, width))
    return DatasetSplits(train, _open(test_folder, options, name))


def _open(folder: Path, options: ReadOptions, name: str) -> Dataset:
    files, labels = _labelled_files(folder, options)
    images = ImageFiles(
        files,
        image_size=options.image_size,
        channels=options.channels,
        fit=options.fit,
        on_error=options.on_error,
    )
    if not labels:
        return Dataset(name, images, value_range=_VALUE_RANGE)
    kept = [labels[index] for index in images.kept.tolist()]
    lost = sorted(set(labels) - set(kept))
    if lost and options.classes is None:
        raise DataError(
            f"No image of class {lost[0]!r} in {str(folder)!r} can be read. "
            "Replace the images or remove the folder."
        )
    y, classes = encode_classes(np.array(kept), known=options.classes, what=repr(str(folder)))
    return Dataset(name, images, y, classes, _VALUE_RANGE)


def _labelled_files(folder: Path, options: ReadOptions) -> tuple[list[Path], list[str]]:
    """Return the images and their classes; no classes if the images lie in ``folder`` itself."""
    class_folders = _subfolders(folder)
    if not class_folders:
        return _unlabelled_files(folder, required=options.labelled), []
    files: list[Path] = []
    labels: list[str] = []
    for class_folder in class_folders:
        found = _images_below(class_folder)
        # A model knows its classes: data to evaluate it on need not show all of them.
        if not found and options.classes is None:
            raise DataError(
                f"The class folder {str(class_folder)!r} holds no image "
                f"({', '.join(sorted(SUFFIXES))}). Add images or remove the folder."
            )
        files += found
        labels += [class_folder.name] * len(found)
    if not files:
        raise DataError(
            f"The class folders of {str(folder)!r} ({listing([f.name for f in class_folders])}) "
            f"hold no images. {_EXPECTED}"
        )
    return files, labels


def _unlabelled_files(folder: Path, *, required: bool) -> list[Path]:
    files = _images_below(folder)
    if not files:
        raise DataError(f"The folder {str(folder)!r} holds no images. {_EXPECTED}")
    if required:
        raise DataError(
            f"The folder {str(folder)!r} holds {len(files)} images and no folder of a class. "
            f"{_EXPECTED}"
        )
    return files


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones."""
    return sorted(
        (entry for entry in folder.iterdir() if _is_visible(entry.name) and entry.is_dir()),
        key=lambda entry: entry.name,
    )


def _images_below(folder: Path) -> list[Path]:
    """Return the images of a folder and its subfolders, by their paths."""
    found: list[Path] = []
    # Links to folders are not followed: one that leads to a parent would never end.
    for parent, folders, names in os.walk(folder):
        folders[:] = filter(_is_visible, folders)
        found += (
            Path(parent, name)
            for name in names
            if _is_visible(name) and Path(name).suffix.lower() in SUFFIXES
        )
    return sorted(found)


def _is_visible(name: str) -> bool:
    """Tell whether a name is neither hidden nor one of macOS's resource archives."""
    return not name.startswith((".", "__MACOSX"))
