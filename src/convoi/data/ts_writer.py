"""Writing the text format ``.ts``, which :mod:`convoi.data.ts` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import describe
from convoi.data.targets import encode_classes
from convoi.errors import DataError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


def write_ts(
    path: str | os.PathLike[str],
    X: Any,  # noqa: ANN401 - an array, or a sequence of arrays
    y: Any = None,  # noqa: ANN401 - an array of labels or values
    *,
    name: str | None = None,
    classes: tuple[str | int, ...] | None = None,
) -> None:
    """Write series to a file that :func:`read_ts` reads back to the last bit.

    Parameters
    ----------
    path : path-like
        The file; an existing one is replaced, once the new one is complete.
    X : array-like of shape (n, time) or (n, channels, time), or sequence of series
        A sequence of arrays of shape (time,) or (channels, time) may have unequal lengths.
        Missing values are NaN, and written as ``?``.
    y : array-like of shape (n,), optional
        Labels (strings, integers, booleans), or values to be predicted (floats).
    name : str, optional
        What the data are called; by default the name of the file.
    classes : tuple of str or int, optional
        The labels that the header lists, which may be more than there are in ``y``; by default
        those of ``y``, sorted.

    Raises
    ------
    DataError
        If there are no series, their channels differ, a value is infinite, or a label is empty or
        has white space, a colon or a line break in it.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from convoi.data import write_ts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "steps.ts")
    ...     write_ts(path, [[0.1, 0.2], [0.3, float("nan")]], ["up", "down"])
    ...     print(path.read_text())
    @problemName steps
    @timeStamps false
    @missing true
    @univariate true
    @equalLength true
    @seriesLength 2
    @classLabel true down up
    @data
    0.1,0.2:up
    0.3,?:down
    <BLANKLINE>
    """
    from convoi.nn.atomic_file import write_atomically  # noqa: PLC0415 - needs the network code

    file = Path(path)
    series = _checked_series(X)
    labels, tag = _checked_targets(y, len(series), classes)
    lengths = {item.shape[1] for item in series}
    missing = any(np.isnan(item).any() for item in series)
    lines = [
        f"@problemName {name or file.stem}",
        "@timeStamps false",
        f"@missing {_word(missing)}",
        f"@univariate {_word(len(series[0]) == 1)}",
    ]
    if len(series[0]) > 1:
        lines.append(f"@dimensions {len(series[0])}")
    lines.append(f"@equalLength {_word(len(lengths) == 1)}")
    if len(lengths) == 1:
        lines.append(f"@seriesLength {lengths.pop()}")
    lines += [tag, "@data"]
    for number, item in enumerate(series):
        fields = [",".join(_texts(row)) for row in item]
        lines.append(":".join([*fields, *labels[number : number + 1]]))
    write_atomically(file, ("\n".join(lines) + "\n").encode())


def _word(value: bool) -> str:  # noqa: FBT001 - a value, not an option
    return "true" if value else "false"


def _texts(row: NDArray[Any]) -> list[str]:
    """Return the shortest texts that are read back as the same numbers."""
    if row.dtype == np.float64:
        return ["?" if value != value else repr(value) for value in row.tolist()]  # noqa: PLR0124
    return ["?" if text == "nan" else text for text in row.astype(str).tolist()]


def _checked_series(X: Any) -> list[NDArray[Any]]:  # noqa: ANN401
    series: list[NDArray[Any]] = []
    for number, item in enumerate(X):
        array = np.atleast_2d(np.asarray(item))
        if array.ndim != 2 or array.dtype.kind not in "biuf" or array.size == 0:
            raise DataError(
                f"Series {number} must be numbers of shape (time,) or (channels, time). Got "
                f"{describe(item)} instead."
            )
        if np.isinf(array).any():
            raise DataError(f"Series {number} has an infinite value. Repair or remove it.")
        if len(array) != len(series[0] if series else array):
            raise DataError(
                f"Series {number} has {len(array)} channels, and series 0 has {len(series[0])}."
            )
        series.append(array * 1 if array.dtype == bool else array)
    if not series:
        raise DataError("There must be at least one series to write.")
    return series


def _checked_targets(
    y: Any,  # noqa: ANN401
    count: int,
    classes: tuple[str | int, ...] | None,
) -> tuple[list[str], str]:
    """Return the text of each label, and the line of the header."""
    if y is None:
        return [], "@classLabel false"
    targets = np.asarray(y)
    if targets.shape != (count,):
        raise DataError(f"y must be one label for each of the {count} series. Got {describe(y)}.")
    if targets.dtype.kind == "f" and classes is None:
        if not np.isfinite(targets).all():
            raise DataError("y must not have NaN or infinity.")
        return _texts(targets), "@targetLabel true"
    codes, known = encode_classes(targets, known=classes or np.unique(targets).tolist(), what="y")
    words = [str(label) for label in known]
    for word in words:
        if not word or word != "".join(word.split()) or ":" in word:
            raise DataError(
                f"A label must be a word without white space and colons. Got {word!r} instead."
            )
    return [words[code] for code in codes], f"@classLabel true {' '.join(words)}"
