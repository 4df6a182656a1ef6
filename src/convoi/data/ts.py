"""Reading the text format ``.ts`` of the time-series archives.

A header of lines that begin with ``@``, then a line for each case: its channels, separated by
colons, and its label as the last field; the values of a channel are separated by commas.

References
----------
A. Bagnall et al., "The UEA multivariate time series classification archive", arXiv:1811.00075,
2018; https://www.timeseriesclassification.com.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convoi.data.dataset import DatasetSplits
from convoi.data.numbers import Lines
from convoi.data.series import SeriesDataset, series_dataset
from convoi.data.streams import accessing, require_file
from convoi.data.targets import listing
from convoi.errors import DataError, DataFileError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convoi.data.options import ReadOptions

_TAGS = {
    "problemname": "problem_name",
    "timestamps": "time_stamps",
    "missing": "missing",
    "univariate": "univariate",
    "dimension": "dimensions",
    "dimensions": "dimensions",
    "equallength": "equal_length",
    "serieslength": "series_length",
    "classlabel": "class_label",
    "targetlabel": "target_label",
}
_SHOWN_TAGS = (
    "@problemName, @timeStamps, @missing, @univariate, @dimensions, @equalLength, @seriesLength, "
    "@classLabel, @targetLabel, @data"
)
_LONGEST_COUNT = 12  # digits


@dataclass
class _Header:
    """What the lines before ``@data`` say; None where they are silent."""

    problem_name: str | None = None
    time_stamps: bool | None = None
    missing: bool | None = None
    univariate: bool | None = None
    dimensions: int | None = None
    equal_length: bool | None = None
    series_length: int | None = None
    class_label: bool | None = None
    target_label: bool | None = None
    classes: tuple[str, ...] = ()
    seen: set[str] = field(default_factory=set)

    @property
    def labelled(self) -> bool:
        return bool(self.class_label or self.target_label)


def read_ts(path: str | os.PathLike[str]) -> SeriesDataset:
    r"""Read a file of series.

    Parameters
    ----------
    path : path-like
        A ``.ts`` file. Series may have several channels, unequal lengths and missing values
        (``?`` or ``NaN``).

    Returns
    -------
    SeriesDataset
        In float64, with NaN for missing values. The classes are those of the header, in its
        order.

    Raises
    ------
    DataFileError
        If the file cannot be read, or is no such file: the message names the file, the line and
        what is wrong there. The header is compared with the data, so that a file that lost part of
        a line or of its header is refused. Time stamps are not supported.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from convoi.data import read_ts
    >>> text = "@problemName steps\n@univariate true\n@classLabel true up down\n@data\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "steps.ts")
    ...     _ = path.write_text(text + "1,2,3,4:up\n5,4,?:down\n")
    ...     steps = read_ts(path)
    >>> steps
    SeriesDataset('steps', 2 series of 1 channel and 3 to 4 time steps, float64, 2 classes)
    >>> steps.X[1]
    array([[ 5.,  4., nan]])
    """
    return _read(Path(path))


def open_ts(file: Path, options: ReadOptions) -> DatasetSplits:
    """Read a file, and the test set that lies beside it as ``NAME_TEST.ts``."""
    train = _with_options(_read(file), options, file)
    companion = file.with_name(re.sub(r"_TRAIN(?=\.ts$)", "_TEST", file.name, flags=re.IGNORECASE))
    if companion == file or not companion.is_file():
        return DatasetSplits(train)
    known = options.with_classes(train.classes) if train.classes is not None else options
    return DatasetSplits(train, _with_options(_read(companion), known, companion))


def _with_options(data: SeriesDataset, options: ReadOptions, file: Path) -> SeriesDataset:
    """Return the data with labels of the kind, and by the classes, that were asked for."""
    if options.labelled and data.y is None:
        raise DataFileError(f"{str(file)!r} has no labels: its header says @classLabel false.")
    if data.y is None or options.task == "auto":
        pass
    elif (options.task == "regression") != (data.classes is None):
        kind = "values, @targetLabel" if data.classes is None else "classes, @classLabel"
        raise DataError(f"{str(file)!r} holds {kind}, and the task is {options.task}.")
    if options.classes is None or data.y is None or data.classes is None:
        return data
    return data.with_classes(options.classes)  # type: ignore[return-value]  # it stays of its class


def _said(lines: Lines, file: Path) -> Iterator[str]:
    """Iterate over the lines that say something."""
    with file.open("rb") as stream:
        for raw in stream:
            text = lines.decoded(raw).strip()
            if text and not text.startswith(("#", "%")):
                yield text


def _read(file: Path) -> SeriesDataset:
    with accessing(file):
        require_file(file)
        reader = Lines(file)
        lines = _said(reader, file)
        header = _read_header(reader, lines)
        cases = _Cases(reader, header)
        for line in lines:
            cases.add(line)
    return cases.dataset()


def _read_header(reader: Lines, lines: Iterator[str]) -> _Header:
    header = _Header()
    while True:
        line = next(lines, None)
        if line is None:
            reader.refuse("the header ends without a line '@data'.")
        if not line.startswith("@"):
            reader.refuse(f"a line of the header begins with '@' or '#', not with {line[:20]!r}.")
        word, *rest = line[1:].split() or [""]
        if word.lower() == "data":
            if rest:
                reader.refuse(f"nothing follows '@data' on its line, got {' '.join(rest)[:20]!r}.")
            _check_header(reader, header)
            return header
        _add_tag(reader, header, word, rest)


def _add_tag(reader: Lines, header: _Header, word: str, rest: list[str]) -> None:
    name = _TAGS.get(word.lower())
    if name is None:
        reader.refuse(f"the tag '@{word[:40]}' is none of {_SHOWN_TAGS}.")
    if name in header.seen and name != "problem_name":
        reader.refuse(f"the tag '@{word}' stands there for the second time.")
    header.seen.add(name)
    if name == "problem_name":
        header.problem_name = " ".join(rest)
        return
    if name in {"dimensions", "series_length"}:
        setattr(header, name, _count(reader, word, rest))
        return
    value = {"true": True, "false": False}.get(rest[0].lower() if rest else "")
    if value is None or (len(rest) > 1 and name != "class_label"):
        reader.refuse(f"'@{word}' must be followed by true or false, got {' '.join(rest)[:40]!r}.")
    setattr(header, name, value)
    if name == "class_label":
        header.classes = tuple(rest[1:])
        if value and len(set(header.classes)) < max(1, len(header.classes)):
            reader.refuse("'@classLabel true' must list the labels, each once.")
        if not value and header.classes:
            reader.refuse("'@classLabel false' must not list labels.")
    if name == "time_stamps" and value:
        reader.refuse(
            "time stamps are not supported. Write the values alone, at equal distances, and "
            "'@timeStamps false'."
        )


def _count(reader: Lines, word: str, rest: list[str]) -> int:
    if (
        len(rest) != 1
        or not rest[0].isdecimal()
        or len(rest[0]) > _LONGEST_COUNT
        or not int(rest[0])
    ):
        reader.refuse(f"'@{word}' must be followed by a positive integer, got {' '.join(rest)!r}.")
    return int(rest[0])


def _check_header(reader: Lines, header: _Header) -> None:
    if header.class_label is None and header.target_label is None:
        reader.refuse(
            "the header must say '@classLabel true' with the labels, '@classLabel false' or "
            "'@targetLabel true'."
        )
    if header.class_label and header.target_label:
        reader.refuse("the header says both '@classLabel true' and '@targetLabel true'.")
    if header.univariate and (header.dimensions or 1) > 1:
        reader.refuse(f"the header says '@univariate true' and {header.dimensions} dimensions.")
    if header.equal_length is False and header.series_length is not None:
        reader.refuse("the header says '@equalLength false' and '@seriesLength'.")


class _Cases:
    """The cases of a file as they are read."""

    def __init__(self, reader: Lines, header: _Header) -> None:
        self.reader = reader
        self.header = header
        self.series: list[NDArray[np.float64]] = []
        self.codes: list[int] = []
        self.targets: list[float] = []
        self.channels = 1 if header.univariate else header.dimensions
        self.length = header.series_length
        self._codes = {label: code for code, label in enumerate(header.classes)}

    def add(self, line: str) -> None:
        """Add the case of a line."""
        if line.startswith("@"):
            self.reader.refuse("a tag stands behind '@data'.")
        fields = line.split(":")
        if self.header.labelled:
            self._add_label(fields)
        self._check_channels(len(fields))
        rows = [
            self.reader.numbers(
                text.split(","), f" of channel {number}", missing=self.header.missing is not False
            )
            for number, text in enumerate(fields)
        ]
        lengths = {len(row) for row in rows}
        if len(lengths) > 1:
            self.reader.refuse(
                f"its channels have {sorted(lengths)} values. The channels of a series need the "
                "same time steps."
            )
        self._check_length(lengths.pop())
        self.series.append(np.array(rows))

    def _add_label(self, fields: list[str]) -> None:
        if len(fields) < 2:
            self.reader.refuse("the label is missing: it follows the last ':' of the line.")
        label = fields.pop().strip()
        if self.header.target_label:
            self.targets.append(self.reader.number_of(label, "the target", missing=False))
            return
        code = self._codes.get(label)
        if code is None:
            self.reader.refuse(
                f"the label {label[:40]!r} is none of the header's: {listing(self.header.classes)}."
            )
        self.codes.append(code)

    def _check_channels(self, count: int) -> None:
        if self.channels is None:
            self.channels = count
        if count != self.channels:
            says = (
                "the header says"
                if self.header.univariate or self.header.dimensions
                else ("the lines before it have")
            )
            self.reader.refuse(f"it has {count} channels, and {says} {self.channels}.")
        if count == 1 and self.header.univariate is False:
            self.reader.refuse("it has one channel, and the header says '@univariate false'.")

    def _check_length(self, length: int) -> None:
        if self.length is None:
            if self.header.equal_length:
                self.length = length
            return
        if length != self.length:
            says = "the header says" if self.header.series_length else "the lines before it have"
            self.reader.refuse(f"it has {length} values per channel, and {says} {self.length}.")

    def dataset(self) -> SeriesDataset:
        """Return what was read."""
        if not self.series:
            self.reader.refuse("no case follows '@data'.")
        header = self.header
        name = header.problem_name or self.reader.file.stem
        if header.class_label:
            return series_dataset(name, self.series, np.array(self.codes, np.intp), header.classes)
        y = np.array(self.targets, np.float64) if header.target_label else None
        return series_dataset(name, self.series, y, None)
