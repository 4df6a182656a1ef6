"""Tables of series as text: a row for each series, or a row for each time step."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_choice
from convoi.data.dataset import DatasetSplits
from convoi.data.numbers import Lines, is_number
from convoi.data.options import ReadOptions
from convoi.data.series import SeriesDataset, series_dataset
from convoi.data.streams import accessing, require_file
from convoi.data.targets import encode_targets
from convoi.errors import DataFileError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

SUFFIXES = (".csv", ".tsv", ".txt")
"""The names of such tables end in one of these."""

_LABELS = ("label", "class", "target")
_SERIES = ("series", "case_id", "case", "id", "instance")
_TIMES = ("time", "reading_id", "timestamp", "step", "t")
_CHANNELS = ("channel", "dim_id", "dimension")
_LONGEST_LINE = 1 << 26
_SPACING_TOLERANCE = 1e-3


def read_series_csv(path: str | os.PathLike[str], *, form: str = "auto") -> SeriesDataset:
    r"""Read series from a table in a text file.

    Parameters
    ----------
    path : path-like
        Columns are separated by commas, semicolons, tabs or spaces. Missing values are ``?``,
        ``NaN`` or empty.

        - ``'wide'``: a row for each series of one channel. With a line of names, the column
          ``label``, ``class`` or ``target`` holds the labels; without one, the first
          column does, as in the files of the UCR archive. What is missing at the end of a row is
          no part of the series.
        - ``'long'``: a row for each time step, with a line of names: a column for the series
          (``series``, ``case_id``, ``case``, ``id`` or ``instance``), one for the time (``time``,
          ``reading_id``, ``timestamp``, ``step`` or ``t``: numbers at equal distances), and the
          values: a column ``value``, with a column ``channel``, ``dim_id`` or ``dimension`` if
          there are several channels; or a column for each channel. Labels are in a column as
          above, the same in all rows of a series.
    form : {'auto', 'wide', 'long'}, default='auto'
        With ``'auto'``, a table with columns for the series and the time is long.

    Returns
    -------
    SeriesDataset
        In float64. Labels that are whole numbers or words are classes, others values; those of a
        column ``target`` that are numbers are values.

    Raises
    ------
    DataFileError
        If the file cannot be read or is no such table: the message names the file and the line.
    DataError
        If the labels cannot be used, such as one class only.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from convoi.data import read_series_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "steps.csv")
    ...     _ = path.write_text("up,1,2,3,4\ndown,5,4,3\n")
    ...     steps = read_series_csv(path)
    >>> steps
    SeriesDataset('steps', 2 series of 1 channel and 3 to 4 time steps, float64, 2 classes)
    """
    check_choice(form, "form", "read_series_csv", ("auto", "wide", "long"))
    return _read(Path(path), ReadOptions(labelled=False), form)


def open_series_csv(file: Path, options: ReadOptions) -> DatasetSplits:
    """Read a table of series, and the test set that lies beside it as ``NAME_TEST``."""
    train = _read(file, options, "auto")
    companion = file.with_name(file.stem.removesuffix("_TRAIN") + "_TEST" + file.suffix)
    if not file.stem.endswith("_TRAIN") or not companion.is_file():
        return DatasetSplits(train)
    return DatasetSplits(train, _read(companion, options.with_classes(train.classes), "auto"))


@dataclass(frozen=True)
class _Table:
    names: tuple[str, ...] | None
    """In lower case; None where the first line holds values already."""
    rows: list[tuple[int, list[str]]]
    """Each with the number of its line."""


def _column(lines: Lines, table: _Table, choices: tuple[str, ...]) -> int | None:
    """Return the number of the column of one of these names."""
    found = [i for i, name in enumerate(table.names or ()) if name in choices]
    if len(found) > 1:
        lines.number = 1
        lines.refuse(f"{len(found)} columns are called one of {choices}. Rename all but one.")
    return found[0] if found else None


def _read(file: Path, options: ReadOptions, form: str) -> SeriesDataset:
    lines = Lines(file)
    with accessing(file):
        require_file(file)
        table = _table(lines)
    lines.number = 1
    series, times = (_column(lines, table, choices) for choices in (_SERIES, _TIMES))
    if form == "auto":
        form = "long" if series is not None and times is not None else "wide"
    if form == "long" and (series is None or times is None):
        lines.number = 1
        lines.refuse(
            f"a long table has a line of names, one of {_SERIES} for the series and one of "
            f"{_TIMES} for the time."
        )
    if series is not None and times is not None and form == "long":
        found = _long(lines, table, series, times)
    else:
        found = _wide(lines, table)
    arrays, labels = found
    y, classes = None, None
    if labels is not None:
        y, classes = _encoded(lines, table, labels, options)
    elif options.labelled:
        raise DataFileError(
            f"{str(file)!r} has no labels. Name their column 'label', or 'target' for values."
        )
    return series_dataset(file.stem, arrays, y, classes)


def _table(lines: Lines) -> _Table:
    rows: list[tuple[int, list[str]]] = []
    names: tuple[str, ...] | None = None
    delimiter: str | None = None
    with lines.file.open("rb") as stream:
        for raw in iter(lambda: stream.readline(_LONGEST_LINE), b""):
            text = lines.decoded(raw).strip("\r\n")
            if not text.strip():
                continue
            if delimiter is None:
                delimiter = next((d for d in ",;\t" if d in text), " ")
                cells = _cells(lines, text, delimiter)
                if not all(cell == "" or is_number(cell) for cell in cells[1:]):
                    names = tuple(cell.lower() for cell in cells)
                    continue
            rows.append((lines.number, _cells(lines, text, delimiter)))
    if not rows:
        lines.refuse("the table has no rows of values.")
    return _Table(names, rows)


def _cells(lines: Lines, text: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return text.split()
    try:
        (cells,) = csv.reader([text], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        lines.refuse(f"it is no row of a table ({error}).")
    return [cell.strip() for cell in cells]


def _wide(lines: Lines, table: _Table) -> tuple[list[NDArray[np.float64]], list[str] | None]:
    label = 0 if table.names is None else _column(lines, table, _LABELS)
    series, labels = [], []
    for number, cells in table.rows:
        lines.number = number
        if table.names is not None and len(cells) > len(table.names):
            lines.refuse(f"it has {len(cells)} cells, and the first line {len(table.names)} names.")
        values = list(cells)
        if label is not None:
            if len(cells) <= label or not cells[label]:
                lines.refuse("the label is missing.")
            labels.append(values.pop(label))
        row = lines.numbers([value or "?" for value in values], "") if values else []
        known = np.flatnonzero(~np.isnan(row))
        if not known.size:
            lines.refuse("the series has no values.")
        series.append(np.array(row[: known[-1] + 1])[np.newaxis])
    return series, labels if label is not None else None


def _long(
    lines: Lines, table: _Table, series: int, times: int
) -> tuple[list[NDArray[np.float64]], list[str] | None]:
    names = table.names or ()
    label, channel = _column(lines, table, _LABELS), _column(lines, table, _CHANNELS)
    values = [i for i in range(len(names)) if i not in {series, times, label, channel}]
    lines.number = 1
    if not values or (channel is not None and len(values) > 1):
        lines.refuse("a long table has a column of values, or several and no column of channels.")
    steps: dict[str, dict[str, list[tuple[float, int, list[float]]]]] = {}
    labels: dict[str, str] = {}
    for number, cells in table.rows:
        lines.number = number
        if len(cells) != len(names):
            lines.refuse(f"it has {len(cells)} cells, and the first line {len(names)} names.")
        case = cells[series]
        if label is not None and labels.setdefault(case, cells[label]) != cells[label]:
            lines.refuse(
                f"the label is {cells[label]!r}, and in other rows of series {case!r} it is "
                f"{labels[case]!r}."
            )
        time = lines.number_of(cells[times], "the time", missing=False)
        row = lines.numbers([cells[i] or "?" for i in values], "")
        key = "" if channel is None else cells[channel]
        steps.setdefault(case, defaultdict(list))[key].append((time, number, row))
    channels = list(dict.fromkeys(key for case in steps.values() for key in case))
    arrays = [_case(lines, name, case, channels) for name, case in steps.items()]
    if len({len(array) for array in arrays}) > 1:
        lines.refuse("the series have different numbers of channels.")
    return arrays, [labels[case] for case in steps] if label is not None else None


def _case(
    lines: Lines,
    name: str,
    case: dict[str, list[tuple[float, int, list[float]]]],
    channels: list[str],
) -> NDArray[np.float64]:
    """Return the values of a series, (channels, time), in the order of the times."""
    columns: list[NDArray[np.float64]] = []
    for channel in channels:
        rows = sorted(case.get(channel, []))
        if rows:
            lines.number = rows[-1][1]
        if not rows or (columns and len(rows) != len(columns[0])):
            lines.refuse(
                f"series {name!r} has {len(rows)} time steps in channel {channel!r}, and "
                f"{len(columns[0]) if columns else 'more'} in another one."
            )
        distances = np.diff([time for time, _, _ in rows])
        wrong = distances <= 0
        if len(distances):
            wrong |= np.abs(distances - distances[0]) > _SPACING_TOLERANCE * abs(distances[0])
        if wrong.any():
            lines.number = rows[int(np.argmax(wrong)) + 1][1]
            lines.refuse(f"the times of series {name!r} are not at equal distances.")
        columns.append(np.array([values for _, _, values in rows]))
    return np.ascontiguousarray(np.concatenate(columns, axis=1).T)


def _encoded(
    lines: Lines, table: _Table, labels: list[str], options: ReadOptions
) -> tuple[NDArray[Any], tuple[str | int, ...] | None]:
    """Return codes and classes, or values."""
    column = _column(lines, table, _LABELS)
    named_target = (
        column is not None and table.names is not None and table.names[column] == "target"
    )
    y: NDArray[Any] = np.array(labels)
    if all(is_number(label) and np.isfinite(float(label.replace("?", "nan"))) for label in labels):
        y = y.astype(np.float64)
        whole = bool((y == np.rint(y)).all() and (np.abs(y) < 2**53).all())
        if whole and not named_target:
            y = y.astype(np.int64)
    if not options.labelled and options.classes is None and y.dtype.kind != "f":
        # Series that are only to be looked at may all be of one class.
        options = options.with_classes(np.unique(y).tolist())
    return encode_targets(y, samples=len(labels), options=options, what=repr(str(lines.file)))
