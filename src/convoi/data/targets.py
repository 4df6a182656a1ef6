"""From labels as people store them to class codes or values to be predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.data.options import Label, ReadOptions

_SHOWN_CLASSES = 10


def encode_targets(
    y: NDArray[Any], *, samples: int, options: ReadOptions, what: str
) -> tuple[NDArray[Any], tuple[Label, ...] | None]:
    """Return class codes and classes, or float32 values and None.

    With ``task="auto"``, integers, booleans and strings are classes and floats are values, unless
    the classes are known.
    """
    if y.ndim == 0 or len(y) != samples:
        count = f"{len(y)} labels" if y.ndim else "a single label"
        raise DataError(
            f"{what} holds {count} for {samples} samples. There must be one label per sample."
        )
    if 0 in y.shape:
        raise DataError(f"{what} holds labels of shape {y.shape}, which is empty.")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    numeric = y.dtype.kind in "biuf"
    if not numeric and y.dtype.kind not in "US":
        raise DataError(
            f"{what} holds labels of dtype {y.dtype}. Store integers or strings for classes, "
            "floats for values."
        )
    task = options.task
    if task == "auto":
        task = "regression" if y.dtype.kind == "f" and not options.classes else "classification"
    if task == "regression":
        if not numeric:
            raise DataError(f"{what} holds strings, which cannot be the values of a regression.")
        return _values(y, what), None
    return encode_classes(y, known=options.classes, what=what)


def encode_classes(
    labels: NDArray[Any], *, known: Sequence[Label] | None, what: str
) -> tuple[NDArray[np.intp], tuple[Label, ...]]:
    """Return the code of each label and the classes in the order of their codes.

    Classes that are known (a model's, or a training set's) keep their order, and a label belongs
    to the class that reads the same: the folder '7' to the class 7.
    """
    found, codes = np.unique(_as_labels(labels, what), return_inverse=True)
    classes: tuple[Label, ...] = tuple(found.tolist())
    if known is None:
        if len(classes) < 2:
            raise DataError(
                f"{what} holds samples of one class only, {listing(classes)}. "
                "A classifier needs at least two classes."
            )
        return codes.astype(np.intp).reshape(-1), classes
    positions = {str(label): code for code, label in enumerate(known)}
    for label in classes:
        if str(label) not in positions:
            raise DataError(
                f"{what} holds samples of class {label!r}, which is not one of the known "
                f"classes: {listing(known)}."
            )
    table = np.array([positions[str(label)] for label in classes], np.intp)
    return table[codes.reshape(-1)], tuple(known)


def listing(labels: Sequence[object]) -> str:
    """Return labels for a message, cut where there are many."""
    shown = ", ".join(repr(label) for label in labels[:_SHOWN_CLASSES])
    rest = len(labels) - _SHOWN_CLASSES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _as_labels(labels: NDArray[Any], what: str) -> NDArray[Any]:
    """Return one label per sample, as an integer or a string."""
    if labels.ndim != 1:
        raise DataError(
            f"{what} holds labels of shape {labels.shape}. Classes are one label per sample: "
            "for one-hot rows, store labels.argmax(axis=1)."
        )
    kind = labels.dtype.kind
    if kind == "S":
        return np.char.decode(labels, "latin-1")
    if kind == "b":
        return np.minimum(labels.view(np.uint8), 1)
    if kind == "f":
        whole = np.isfinite(labels) & (labels == np.rint(labels)) & (np.abs(labels) < 2**53)
        if not whole.all():
            sample = int(np.argmin(whole))
            raise DataError(
                f"Label {sample} of {what} is {labels[sample]}, and classes are "
                "whole numbers or strings. For values to be predicted, give task='regression'."
            )
        return labels.astype(np.int64)
    return labels


def _values(y: NDArray[Any], what: str) -> NDArray[np.float32]:
    if y.ndim > 2:
        raise DataError(f"{what} holds values of shape {y.shape}. Give shape (n,) or (n, outputs).")
    with np.errstate(over="ignore"):
        values = y.astype(np.float32)
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise DataError(
            f"Value {int(np.argmin(finite))} of {what} is NaN, infinite or beyond "
            "float32. Remove or repair the sample."
        )
    return values
