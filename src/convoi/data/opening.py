"""From what a user names to data: the one entrance for all readers of grids."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from convoi.checks import describe
from convoi.data.dataset import DatasetSplits
from convoi.data.decoding import SUFFIXES
from convoi.data.folders import open_image_folder
from convoi.data.idx import is_idx_folder, open_idx_file, open_idx_folder
from convoi.data.named import NAMED, load_dataset
from convoi.data.npz import open_npz
from convoi.data.options import ReadOptions
from convoi.data.series_csv import SUFFIXES as TABLE_SUFFIXES
from convoi.data.series_csv import open_series_csv
from convoi.data.streams import accessing, require_file
from convoi.data.ts import open_ts
from convoi.errors import ArgumentTypeError, DataError, DataFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.data.options import Fit, ImageSize, Label, Layout, OnError, Task

_KINDS = (
    "a named data set ({names}), a folder with one folder of images per class, an .npz file, IDX "
    "files, or series in a .ts or .csv file"
)


def open_source(
    source: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    layout: Layout = "auto",
    task: Task = "auto",
    classes: Sequence[Label] | None = None,
    labelled: bool = True,
    image_size: ImageSize | None = None,
    channels: int | None = None,
    fit: Fit = "crop",
    on_error: OnError = "raise",
) -> DatasetSplits:
    """Open images, other grids or series, whatever they are stored in.

    Parameters
    ----------
    source : path-like
        One of

        - the name of a data set of :func:`load_dataset` (for a folder of that name, ``./name``);
        - a folder of class folders, each holding images (PNG, JPEG, BMP, GIF, WebP, TIFF), which
          are decoded only when they are asked for; or a folder with the folders ``train`` and
          ``test`` (or ``val``), each of that form;
        - an ``.npz`` file with the arrays ``X`` and ``y``; or ``x_train`` and ``y_train``, with
          or without ``x_test`` and ``y_test``; or ``train_images``, ``train_labels`` and so on;
        - a folder of IDX files named as MNIST's, ``train-images-idx3-ubyte`` and its companions;
          or one IDX file of images, whose labels file lies beside it. Either can be compressed
          with gzip;
        - a ``.ts`` file of series (:func:`read_ts`), or a table of series as ``.csv``, ``.tsv`` or
          ``.txt`` (:func:`read_series_csv`). If its name ends in ``_TRAIN``, the file beside it
          whose name ends in ``_TEST`` is the test set.
    data_dir : path-like, optional
        Folder of named data sets, see :func:`load_dataset`.
    layout : {'auto', 'no_channels', 'channels_first', 'channels_last'}, default='auto'
        How the axes of stored arrays are meant: ``(n, *spatial)``, ``(n, channels, *spatial)``
        or ``(n, *spatial, channels)``. With ``'auto'``, three axes are (n, height, width), and
        of four, the second or the last are the channels: the one that is at most 4 long. If
        both are, or neither is, that is an error.
    task : {'auto', 'classification', 'regression'}, default='auto'
        Whether labels are classes or values. With ``'auto'``, integers, booleans and strings
        are classes and floats are values.
    classes : sequence of str or int, optional
        The classes in the order of their codes, such as a model's; labels are then classes
        whatever their type, and need not show all of them. By default the classes are the
        labels of the training set, sorted.
    labelled : bool, default=True
        Whether the samples must have labels. If not, ``y`` is None where there are none, and the
        images of a folder may lie in the folder itself.
    image_size : int or (height, width), optional
        For image files: the size they are brought to. By default their most common size.
    channels : {1, 3}, optional
        For image files: grey or colours. By default what the files are.
    fit : {'crop', 'stretch'}, default='crop'
        For image files: how they are brought to one size, see :class:`ImageFiles`.
    on_error : {'raise', 'skip'}, default='raise'
        For image files: what is done about those that cannot be read, see :class:`ImageFiles`.

    Returns
    -------
    DatasetSplits
        The training set, and the test set if the source has one; of ``.ts`` files and tables,
        they are instances of :class:`SeriesDataset`.

    Raises
    ------
    DataFileError
        If a file is missing, damaged or of an unknown kind; the message names it.
    DataError
        If what was read cannot be used: no samples, one class only, labels that do not fit the
        samples, NaN, axes that could mean several things.
    ArgumentError, ArgumentTypeError
        If a parameter has a value or a type that it may not have.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from convoi.data import open_source
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "shapes.npz")
    ...     np.savez(path, X=np.zeros((3, 16, 20, 3)), y=["disc", "square", "disc"])
    ...     splits = open_source(path)
    >>> splits.train
    Dataset('shapes', 3 samples of shape (3, 16, 20), float32, 2 classes)
    >>> splits.train.classes, splits.train.y
    (('disc', 'square'), array([0, 1, 0]))
    """
    if not isinstance(source, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"The 'source' parameter of open_source must be a name or a path. Got "
            f"{describe(source)} instead."
        )
    options = ReadOptions(
        layout=layout,
        task=task,
        classes=None if classes is None else tuple(classes),
        labelled=labelled,
        image_size=image_size,
        channels=channels,
        fit=fit,
        on_error=on_error,
    )
    if source in NAMED:
        return _with_classes(load_dataset(str(source), data_dir=data_dir), options)
    path = Path(source)
    with accessing(path):
        if path.is_dir():
            open_folder = open_idx_folder if is_idx_folder(path) else open_image_folder
            return open_folder(path, options)
    if not path.exists():
        raise DataFileError(_unknown(str(source)))
    require_file(path)
    return _open_file(path, options)


def _open_file(file: Path, options: ReadOptions) -> DatasetSplits:
    """Choose the reader by the name of a file, and by how it begins if the name says nothing."""
    with accessing(file), file.open("rb") as raw:
        start = raw.read(4)
    if file.suffix.lower() == ".npz" or start == b"PK\3\4":
        return open_npz(file, options)
    suffix = file.suffix.lower()
    if suffix == ".ts":
        return open_ts(file, options)
    if suffix in TABLE_SUFFIXES:
        return open_series_csv(file, options)
    if "idx" in file.name.lower() or start[:2] in {b"\0\0", b"\x1f\x8b"}:
        return open_idx_file(file, options)
    if suffix in SUFFIXES:
        raise DataFileError(
            f"{str(file)!r} is a single image. A source of images is a folder with one folder of "
            "images per class."
        )
    raise DataFileError(f"{str(file)!r} is of an unknown kind. A source is {_kinds()}.")


def _with_classes(splits: DatasetSplits, options: ReadOptions) -> DatasetSplits:
    if options.task == "regression":
        raise DataError(
            f"The data set {splits.train.name!r} has classes, and no values for a regression."
        )
    if options.classes is None:
        return splits
    test = None if splits.test is None else splits.test.with_classes(options.classes)
    return DatasetSplits(splits.train.with_classes(options.classes), test)


def _unknown(source: str) -> str:
    close = difflib.get_close_matches(source.lower(), NAMED, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no file, folder or data set {source!r}.{hint} A source is {_kinds()}."


def _kinds() -> str:
    return _KINDS.format(names=", ".join(repr(name) for name in NAMED))
