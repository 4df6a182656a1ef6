"""Setting samples aside for validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_real
from convoi.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def train_validation_split(
    y: ArrayLike,
    fraction: float,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the samples that are set aside for validation.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, outputs)
        Labels or values. Labels (integers, booleans, strings) are split class by class, so that
        both parts have the classes in the same proportions; values (floats) are not.
    fraction : float
        Part of the samples to set aside, between 0 and 1, both excluded. The number of samples
        is rounded up.
    random_state : int, RandomState, Generator or None
        Source of randomness; an int gives the same split at each call.

    Returns
    -------
    train, validation : ndarray of int
        Numbers of the samples, each in ascending order.

    Raises
    ------
    ArgumentError
        If ``fraction`` is not between 0 and 1.
    DataError
        If a class has one sample only, or a part would have fewer samples than there are classes.

    Examples
    --------
    >>> from convoi.data import train_validation_split
    >>> train, validation = train_validation_split([0, 0, 0, 0, 1, 1], 1 / 3, random_state=0)
    >>> len(train), len(validation)
    (4, 2)

    See Also
    --------
    sklearn.model_selection.train_test_split : Makes the choice.
    """
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 (loaded when first needed)

    fraction = check_real(
        fraction,
        "fraction",
        "train_validation_split",
        minimum=0,
        maximum=1,
        exclude_minimum=True,
        exclude_maximum=True,
    )
    labels = np.asarray(y)
    if labels.ndim == 0 or len(labels) < 2:
        raise DataError("Training and validation need at least two samples.")
    stratify = labels if labels.dtype.kind in "biuUS" and labels.ndim == 1 else None
    held_out = int(np.ceil(fraction * len(labels)))
    if stratify is not None:
        _check_classes(stratify, held_out)
    if isinstance(random_state, np.random.Generator):
        random_state = int(random_state.integers(2**31))
    train, validation = train_test_split(
        np.arange(len(labels)), test_size=held_out, random_state=random_state, stratify=stratify
    )
    return np.sort(train), np.sort(validation)


def _check_classes(labels: NDArray[Any], held_out: int) -> None:
    """Raise unless both parts can have a sample of each class."""
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise DataError(
            f"Class {classes[counts.argmin()].item()!r} has one sample only, and a split needs at "
            "least two of each class. Add samples of the class, leave it out, or train without "
            "validation."
        )
    smaller = min(held_out, len(labels) - held_out)
    if smaller < len(classes):
        raise DataError(
            f"Setting {held_out} of {len(labels)} samples aside leaves one part with {smaller} "
            f"samples for {len(classes)} classes. Choose another 'fraction', or train without "
            "validation."
        )
