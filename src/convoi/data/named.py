"""Data sets that are known by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convoi import config
from convoi.checks import check_choice
from convoi.data.dataset import Dataset, DatasetSplits
from convoi.data.idx import is_idx_folder, open_idx_folder
from convoi.data.options import ReadOptions
from convoi.errors import DataError, DataFileError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_FASHION_FILES = (
    "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz"
)
_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_DIGITS_TEST_COUNT = 360


def load_dataset(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> DatasetSplits:
    """Load a data set by its name.

    Nothing is downloaded.

    Parameters
    ----------
    name : {'digits', 'fashion-mnist'}
        - ``'digits'``: handwritten digits, 1797 of 1x8x8 with values from 0 to 16, part of
          scikit-learn. Its last 360 samples, in scikit-learn's order, are the test set here.
        - ``'fashion-mnist'``: articles of clothing, 60,000 and 10,000 for testing of 1x28x28
          with values from 0 to 255, in the files that their authors publish.
    data_dir : path-like, optional
        Folder in which the folder ``fashion-mnist`` is looked for, and nowhere else then. By
        default it is looked for in the folder of the ``CONVOI_DATA_DIR`` environment variable,
        and where Debian's package ``dataset-fashion-mnist`` puts it.

    Returns
    -------
    DatasetSplits
        Samples are uint8.

    Raises
    ------
    ArgumentError
        If there is no data set of this name.
    DataFileError
        If the files are not there (the message says how to get them), or are damaged.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
    learning algorithms", arXiv:1708.07747, 2017.

    Examples
    --------
    >>> from convoi.data import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.train.X.shape, digits.test.X.shape, digits.train.value_range
    ((1437, 1, 8, 8), (360, 1, 8, 8), (0.0, 16.0))
    """
    check_choice(name, "name", "load_dataset", tuple(NAMED))
    return NAMED[name](None if data_dir is None else Path(data_dir))


def _load_digits(_: Path | None) -> DatasetSplits:
    from sklearn.datasets import load_digits  # noqa: PLC0415 (loaded when first needed)

    rows, target = load_digits(return_X_y=True)
    # The values are whole numbers: as bytes, nothing of them is lost.
    X = np.asarray(rows).astype(np.uint8).reshape(-1, 1, 8, 8)
    y = np.asarray(target).astype(np.intp)
    whole = Dataset("digits", X, y, tuple(range(10)), (0.0, 16.0))
    split = len(X) - _DIGITS_TEST_COUNT
    return DatasetSplits(
        replace(whole, X=X[:split], y=y[:split]), replace(whole, X=X[split:], y=y[split:])
    )


def _load_fashion_mnist(data_dir: Path | None) -> DatasetSplits:
    folder = _fashion_mnist_folder(data_dir)
    splits = open_idx_folder(folder, ReadOptions(classes=tuple(range(len(_FASHION_CLASSES)))))
    if splits.test is None:
        raise DataFileError(
            f"The test set of 'fashion-mnist' is missing from {str(folder)!r}. "
            f"Its files are {_FASHION_FILES}."
        )
    return DatasetSplits(*(_as_fashion(part) for part in (splits.train, splits.test)))


def _fashion_mnist_folder(data_dir: Path | None) -> Path:
    own = data_dir if data_dir is not None else config.settings().data_dir
    candidates = []
    if own is not None:
        # The files of MNIST have the same names: a folder of another name is not trusted.
        candidates.append(own if own.name == "fashion-mnist" else own / "fashion-mnist")
    if data_dir is None:
        candidates.append(_DEBIAN_FOLDER)
    for folder in candidates:
        if folder.is_dir() and is_idx_folder(folder):
            return folder
    target = candidates[0]
    raise DataFileError(
        f"The data set 'fashion-mnist' is not in {' or '.join(repr(str(f)) for f in candidates)}. "
        f"On Debian and Ubuntu run 'apt-get install dataset-fashion-mnist'; otherwise put "
        f"{_FASHION_FILES} into {str(target)!r}, or give the folder that holds the folder "
        "'fashion-mnist' as --data-dir, data_dir= or CONVOI_DATA_DIR."
    )


def _as_fashion(part: Dataset) -> Dataset:
    if part.sample_shape != (1, 28, 28):
        raise DataError(
            f"The samples of 'fashion-mnist' have shape (1, 28, 28), and those found have "
            f"{part.sample_shape}. Replace the files."
        )
    return replace(part, name="fashion-mnist", classes=_FASHION_CLASSES, mirrored=True)


NAMED: dict[str, Callable[[Path | None], DatasetSplits]] = {
    "digits": _load_digits,
    "fashion-mnist": _load_fashion_mnist,
}
"""The data sets by name; each function takes the folder that the user gave, or None."""
