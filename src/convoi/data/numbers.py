"""Numbers in text files of series: strict, and quick where the text is plain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from convoi.checks import describe
from convoi.errors import DataFileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# What Python's float takes besides, such as 1_000, is no number of these formats.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MISSING = {"?", "nan"}


class Lines:
    """Where in a text file a reader is, for its messages."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.number = 0

    def refuse(self, problem: str) -> NoReturn:
        """Raise the error of a file that cannot be used; it names the file and the line."""
        raise DataFileError(f"{str(self.file)!r}, line {self.number}: {problem}")

    def decoded(self, raw: bytes) -> str:
        """Return the text of the next line."""
        self.number += 1
        try:
            return raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            self.refuse(f"it is no text in UTF-8 ({error.reason}).")

    def numbers(self, parts: Sequence[str], where: str, *, missing: bool = True) -> list[float]:
        """Return numbers, NaN for those that are missing.

        Parameters
        ----------
        parts : sequence of str
            Their texts.
        where : str
            What the message adds to the number of the value, such as ``" of channel 2"``.
        missing : bool
            Whether a value may be missing.
        """
        # Quick; the words of the format are looked at where that does not give plain numbers.
        try:
            values = list(map(float, parts))
        except ValueError:
            values = []
        if values and np.isfinite(values).all() and all(map(_plain, parts)):
            return values
        return [
            self.number_of(part.strip(), f"value {i}{where}", missing=missing)
            for i, part in enumerate(parts)
        ]

    def number_of(self, text: str, what: str, *, missing: bool = True) -> float:
        """Return one number, or NaN if it is missing and may be."""
        if text.lower() in _MISSING:
            if missing:
                return float("nan")
            self.refuse(f"{what} is missing ({text!r}), which the file or its header rules out.")
        if not _NUMBER.fullmatch(text):
            hint = " Time stamps are not supported." if "(" in text else ""
            self.refuse(f"{what} is no number: {describe(text)}.{hint}")
        number = float(text)
        if not np.isfinite(number):
            self.refuse(f"{what} is beyond the largest number: {describe(text)}.")
        return number


def is_number(text: str) -> bool:
    """Tell whether a text is a number, or stands for one that is missing."""
    text = text.strip()
    return bool(_NUMBER.fullmatch(text)) or text.lower() in _MISSING


def _plain(text: str) -> bool:
    return text.isascii() and "_" not in text
