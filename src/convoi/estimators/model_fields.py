"""Reading and writing the entries of an estimator's metadata, which trusts nothing in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import numpy as np

from convoi.checks import describe
from convoi.data.options import Fit
from convoi.errors import ArgumentTypeError, ModelFileError
from convoi.estimators.layout import PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from numpy.typing import NDArray

_TEXT = ("str", "object")
_INTEGERS = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
_FLOATS = ("float16", "float32", "float64")


def pixel_format(extra: dict[str, Any]) -> PixelFormat:
    """Return what pixel values mean."""
    fit: Fit = chosen(extra, "fit", get_args(Fit))
    if extra.get("value_range") is None:
        return PixelFormat(None, fit)
    black, white = list_of(extra, "value_range", is_number, lengths=(2,))
    return PixelFormat((float(black), float(white)), fit)


def described_labels(labels: NDArray[Any]) -> dict[str, Any]:
    """Return the entries that describe the labels of a classifier."""
    kind = "str" if labels.dtype.kind == "U" else labels.dtype.name
    values = labels.tolist()
    if kind not in {*_TEXT, "bool", *_INTEGERS, *_FLOATS} or (
        kind == "object" and not all(map(is_text, values))
    ):
        raise ArgumentTypeError(
            "A model file holds labels that are numbers, booleans or strings. Got labels of dtype "
            f"{labels.dtype}, such as {describe(values[0])}. Convert them before fitting."
        )
    return {"label_type": kind, "labels": values}


def labels_of(extra: dict[str, Any], outputs: int) -> NDArray[Any]:
    """Return the labels of a classifier with so many outputs."""
    kind = chosen(extra, "label_type", (*_TEXT, "bool", *_INTEGERS, *_FLOATS))
    if kind in _TEXT:
        test: Callable[[object], bool] = is_text
    elif kind == "bool":
        test = is_flag
    else:
        test = is_integer if kind in _INTEGERS else is_number
    values = list_of(extra, "labels", test, lengths=(outputs,))
    if len(set(values)) < max(len(values), 2):
        refuse("Two of its labels are the same, or there is one only.")
    try:
        return np.array(values) if kind == "str" else np.array(values, dtype=kind)
    except OverflowError:
        refuse(f"A label is no {kind}.")


def chosen(extra: dict[str, Any], key: str, choices: tuple[str, ...]) -> Any:  # noqa: ANN401
    """Return an entry that is one of some words."""
    value = extra.get(key)
    if not isinstance(value, str) or value not in choices:
        refuse(f"The entry {key!r} is invalid: {describe(value)}.")
    return value


def list_of(
    extra: dict[str, Any], key: str, test: Callable[[object], bool], *, lengths: Container[int]
) -> list[Any]:
    """Return an entry that is a list of so many values that pass a test."""
    values = extra.get(key)
    if not isinstance(values, list) or len(values) not in lengths or not all(map(test, values)):
        refuse(f"The entry {key!r} is invalid: {describe(values)}.")
    return values


def size_of(extra: Mapping[str, Any], key: str) -> int:
    """Return an entry that is a number of things, at least one."""
    value = extra.get(key)
    if not is_size(value):
        refuse(f"The entry {key!r} is invalid: {describe(value)}.")
    return int(value)  # type: ignore[arg-type]  # it is an int


def is_size(value: object) -> bool:
    """Tell whether a value can be the length of an axis."""
    return is_integer(value) and 0 < value < 2**31  # type: ignore[operator]  # it is an int


def is_integer(value: object) -> bool:
    """Tell whether a value is an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_flag(value: object) -> bool:
    """Tell whether a value is true or false."""
    return isinstance(value, bool)


def is_text(value: object) -> bool:
    """Tell whether a value is a string."""
    return isinstance(value, str)


def refuse(problem: str) -> NoReturn:
    """Raise the error of a file that cannot be used."""
    raise ModelFileError(problem)
