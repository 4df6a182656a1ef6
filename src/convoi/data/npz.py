"""NumPy archives (``.npz``), read without NumPy's loader.

``numpy.load`` allocates what the header of an array announces before it looks at the data. Here
the header is checked against the size of the archive's member, and nothing in the file is ever
evaluated or unpickled.

References
----------
NEP 1, "A Simple File Format for NumPy Arrays".
"""

from __future__ import annotations

import math
import re
import struct
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convoi.data.dataset import Dataset, DatasetSplits
from convoi.data.layout import to_samples
from convoi.data.streams import (
    MAP_ABOVE_BYTES,
    MAX_DEFLATE_RATIO,
    ByteStream,
    read_up_to,
    reading,
    require_file,
)
from convoi.data.targets import encode_targets, listing
from convoi.errors import DataError, DataFileError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convoi.data.options import ReadOptions

_ZIP_MAGIC = b"PK"
_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 4096  # a header of one dtype and its shape takes about 100
_LOCAL_HEADER = struct.Struct("<26xHH")  # ends in the lengths of the name and the extra field
# The literal of a dictionary, its keys in any order; (3,) is a shape, and (3) is not.
_HEADER = re.compile(
    r"""\{[ ]*(?:(?:
        'descr':[ ]*'(?P<descr>[^']*)'
        | 'fortran_order':[ ]*(?P<fortran_order>True|False)
        | 'shape':[ ]*\((?P<shape>|(?:[0-9]+,[ ]*)+(?:[0-9]+)?)\)
    )[ ]*(?:,[ ]*|(?=\}))){3}\}[ \n]*""",
    re.VERBOSE,
)
_READABLE_DESCR = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[US][1-9]\d{0,5})")

# Names of the arrays: (training samples, labels, test samples, labels), compared in lower case.
_CONVENTIONS = (
    ("x", "y", "", ""),
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    size: int
    """Bytes of the header itself."""

    @property
    def content_size(self) -> int:
        """Bytes of the elements."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npz(
    path: str | os.PathLike[str],
    names: tuple[str, ...] | None = None,
    *,
    map_above: int = MAP_ABOVE_BYTES,
) -> dict[str, NDArray[Any]]:
    """Read arrays of a NumPy archive.

    Parameters
    ----------
    path : path-like
        A file written by ``numpy.savez`` or ``numpy.savez_compressed``.
    names : tuple of str, optional
        Names of the arrays to read; by default all. Other arrays of the archive are not touched.
    map_above : int, default=2**28
        Size in bytes above which an array that is stored without compression is mapped into
        memory (read-only) instead of being read. Its checksum is then not verified.

    Returns
    -------
    dict of str to ndarray
        Booleans, integers, floats, strings or bytes, in the machine's byte order.

    Raises
    ------
    DataFileError
        If the file is missing, is no such archive, or is damaged; or if an array that is asked
        for holds Python objects or records. Memory is never taken for more than the file really
        holds.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from convoi.data import read_npz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.npz")
    ...     np.savez(path, X=np.zeros((2, 8, 8)), y=np.array([0, 1]))
    ...     {name: array.shape for name, array in read_npz(path).items()}
    {'X': (2, 8, 8), 'y': (2,)}
    """
    file = Path(path)
    with _archive(file) as members:
        chosen = [name for name in members if names is None or name in names]
        return {name: members[name].read(map_above) for name in chosen}


def open_npz(file: Path, options: ReadOptions) -> DatasetSplits:
    """Read the training set of an archive, and its test set if there is one."""
    with _archive(file) as members:
        by_lower_case = {name.lower(): member for name, member in members.items()}
        found = [names for names in _CONVENTIONS if names[0] in by_lower_case]
        if len(found) != 1:
            problem = (
                f"it holds both {found[0][0]!r} and {found[1][0]!r}"
                if found
                else f"it holds {listing(list(members)) or 'no arrays'}"
            )
            raise DataError(
                f"{str(file)!r} must hold the arrays X and y, or x_train and y_train with or "
                f"without x_test and y_test, and {problem}. Save it again with these names."
            )
        X_name, y_name, test_X_name, test_y_name = found[0]
        train = _dataset(file, by_lower_case, X_name, y_name, options)
        if test_X_name not in by_lower_case:
            return DatasetSplits(train)
        if train.classes is not None:
            options = options.with_classes(train.classes)
        return DatasetSplits(
            train, _dataset(file, by_lower_case, test_X_name, test_y_name, options)
        )


def _dataset(
    file: Path, members: dict[str, _Member], X_name: str, y_name: str, options: ReadOptions
) -> Dataset:
    samples, labels = members[X_name], members.get(y_name)
    array = samples.read(MAP_ABOVE_BYTES)
    X, value_range = to_samples(array, layout=options.layout, what=str(samples))
    if labels is None and options.labelled:
        raise DataError(
            f"{samples} has no labels: {str(file)!r} holds no array {y_name!r}. "
            f"Save the labels in it under this name."
        )
    y, classes = None, None
    if labels is not None:
        y, classes = encode_targets(
            labels.read(MAP_ABOVE_BYTES), samples=len(array), options=options, what=str(labels)
        )
    return Dataset(file.stem, X, y, classes, value_range)


@contextmanager
def _archive(file: Path) -> Iterator[dict[str, _Member]]:
    """Open an archive; give its arrays by name."""
    require_file(file)
    with reading(file):
        with file.open("rb") as raw:
            start = raw.read(len(_ZIP_MAGIC))
        if start != _ZIP_MAGIC or not zipfile.is_zipfile(file):
            raise DataFileError(
                f"{str(file)!r} is not a NumPy archive, or it is truncated. "
                "Write it with numpy.savez or numpy.savez_compressed."
            )
        with zipfile.ZipFile(file) as archive:
            yield {
                info.filename.removesuffix(".npy"): _Member(file, archive, info)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }


@dataclass(frozen=True)
class _Member:
    """One array of an archive, not yet read."""

    file: Path
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def __str__(self) -> str:
        return f"{self.info.filename.removesuffix('.npy')!r} in {str(self.file)!r}"

    def read(self, map_above: int) -> NDArray[Any]:
        """Return the array, in the machine's byte order unless it is mapped."""
        self._check_size()
        with self.archive.open(self.info) as stream:
            header = self._read_header(stream)
            announced = header.size + header.content_size
            if announced != self.info.file_size:
                raise DataFileError(
                    f"{self} is damaged: its header announces shape {header.shape} of "
                    f"{header.dtype} ({announced} bytes), and {self.info.file_size} bytes are "
                    "stored. Write it again."
                )
            if self.info.compress_type == zipfile.ZIP_STORED and header.content_size > map_above:
                return self._mapped(header)
            content = read_up_to(stream, header.content_size)
            # At the end the archive's checksum is verified.
            if len(content) < header.content_size or stream.read(1):
                raise DataFileError(
                    f"{self} is truncated: {header.content_size} bytes are announced, and "
                    f"{len(content)} are there. Write it again."
                )
        order: Literal["F", "C"] = "F" if header.fortran_order else "C"
        array = np.ndarray(header.shape, header.dtype, buffer=content, order=order)
        native = header.dtype.newbyteorder("=")
        if header.dtype != native:
            array = array.byteswap(inplace=True).view(native)
        if native.kind == "U" and array.size and _largest_code(array) > sys.maxunicode:
            raise DataFileError(f"{self} is damaged: it holds characters that do not exist.")
        return array

    def _check_size(self) -> None:
        """Raise if the member claims more bytes than its part of the file can stand for."""
        info = self.info
        ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: MAX_DEFLATE_RATIO}
        if info.compress_type not in ratio:
            raise DataFileError(
                f"{self} is compressed in a way that numpy.savez_compressed does not use. "
                "Write it again with that function."
            )
        stored = min(info.compress_size, self.file.stat().st_size)
        if info.file_size > ratio[info.compress_type] * stored:
            raise DataFileError(
                f"{self} is damaged: the archive announces {info.file_size} bytes, which "
                f"{stored} stored bytes cannot hold. Write it again."
            )

    def _read_header(self, stream: ByteStream) -> _Header:
        start = bytes(read_up_to(stream, 8))
        width = {b"\1\0": 2, b"\2\0": 4, b"\3\0": 4}.get(start[6:])
        if start[:6] != _MAGIC or width is None:
            raise DataFileError(f"{self} is damaged: it does not start as NumPy's arrays do.")
        length = int.from_bytes(read_up_to(stream, width), "little")
        # The header must be all there: a shorter text could still look like one.
        text = bytes(read_up_to(stream, min(length, _MAX_HEADER_BYTES + 1)))
        if len(text) < length:
            raise DataFileError(f"{self} is damaged: its header cannot be {length} bytes long.")
        return self._parse_header(text.decode("latin-1"), 8 + width + length)

    def _parse_header(self, text: str, size: int) -> _Header:
        found = _HEADER.fullmatch(text)
        descr, fortran_order, shape = (
            found.group("descr", "fortran_order", "shape") if found else (None, None, None)
        )
        if descr is not None and "O" in descr:
            raise DataFileError(
                f"{self} holds Python objects, which are never loaded from a file. "
                "Save numbers or strings, for example with y.astype(str)."
            )
        if (
            descr is None
            or fortran_order is None
            or shape is None
            or not _READABLE_DESCR.fullmatch(descr)
        ):
            raise DataFileError(
                f"{self} is damaged, or of a dtype other than booleans, integers, floats and "
                f"strings: its header is {text.strip()[:120]!r}."
            )
        lengths = tuple(int(length) for length in shape.replace(",", " ").split())
        return _Header(np.dtype(descr), lengths, fortran_order == "True", size)

    def _mapped(self, header: _Header) -> NDArray[Any]:
        with self.file.open("rb") as raw:
            raw.seek(self.info.header_offset)
            local = raw.read(_LOCAL_HEADER.size)
            name_length, extra_length = _LOCAL_HEADER.unpack(local)
        offset = self.info.header_offset + len(local) + name_length + extra_length + header.size
        order: Literal["F", "C"] = "F" if header.fortran_order else "C"
        return np.memmap(self.file, header.dtype, "r", offset, header.shape, order)


def _largest_code(text: NDArray[np.str_]) -> int:
    """Return the largest code point of an array of strings, valid or not."""
    return int(np.ascontiguousarray(text).view(np.uint32).max())
