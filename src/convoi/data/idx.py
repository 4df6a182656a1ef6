"""The IDX format of MNIST and its relatives, raw or compressed with gzip.

A file is two zero bytes, a byte for the type of the elements, a byte for the number of
dimensions, the dimensions as big-endian 32-bit integers, and the elements, big-endian and in C
order.

References
----------
Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section
"The IDX file format".
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

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
from convoi.data.targets import encode_targets
from convoi.errors import DataError, DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.data.options import ReadOptions

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MAX_DIMENSIONS = 8  # a label, or a sample of up to 7 axes; NumPy's own limit is 32 or 64
_GZIP_MAGIC = b"\x1f\x8b"
_IMAGES_NAME = re.compile(
    r"(?P<prefix>.*?)train-images(?P<separator>[.-])idx(?P<rank>\d)-ubyte(\.gz)?"
)


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the header itself."""
        return 4 + 4 * len(self.shape)

    @property
    def content_size(self) -> int:
        """Bytes of the elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))} elements of {self.dtype.name}"


def read_idx(path: str | os.PathLike[str], *, map_above: int = MAP_ABOVE_BYTES) -> NDArray[Any]:
    """Read one IDX file.

    Parameters
    ----------
    path : path-like
        The file, raw or compressed with gzip; its content decides, not its name.
    map_above : int, default=2**28
        Size in bytes above which the elements of a raw file are mapped into memory (read-only)
        instead of being read.

    Returns
    -------
    ndarray
        The elements, in the shape that the file gives. Its dtype is uint8, int8, int16, int32,
        float32 or float64; in the file's byte order if it is mapped, in the machine's otherwise.

    Raises
    ------
    DataFileError
        If the file is missing, is no IDX file, holds fewer or more bytes than its header
        announces, or is damaged. Memory is never taken for more than the file really holds.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from convoi.data import read_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    file = Path(path)
    require_file(file)
    with reading(file), file.open("rb") as raw:
        stored_size = os.fstat(raw.fileno()).st_size
        compressed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        if compressed:
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read(file, cast("BinaryIO", stream), MAX_DEFLATE_RATIO * stored_size)
        header = _read_header(file, raw)
        if header.content_size > map_above and header.size + header.content_size == stored_size:
            return np.memmap(file, header.dtype, "r", offset=header.size, shape=header.shape)
        raw.seek(0)
        return _read(file, raw, stored_size)


def _read(file: Path, stream: ByteStream, largest_size: int) -> NDArray[Any]:
    """Read header and elements from a stream that cannot give more than ``largest_size`` bytes."""
    header = _read_header(file, stream)
    announced = header.size + header.content_size
    if announced > largest_size:
        raise DataFileError(
            f"{str(file)!r} is truncated: its header announces {header} ({announced} bytes), "
            f"and it cannot hold more than {largest_size}. Fetch or write it again."
        )
    content = read_up_to(stream, header.content_size)
    if len(content) < header.content_size:
        raise DataFileError(
            f"{str(file)!r} is truncated: its header announces {header} ({announced} bytes), "
            f"and it holds {header.size + len(content)}. Fetch or write it again."
        )
    if stream.read(1):
        raise DataFileError(
            f"{str(file)!r} is damaged: it goes on after the {header} that its header announces. "
            "Fetch or write it again."
        )
    array = np.ndarray(header.shape, header.dtype, buffer=content)
    native = header.dtype.newbyteorder("=")
    return array if header.dtype == native else array.byteswap(inplace=True).view(native)


def _read_header(file: Path, stream: ByteStream) -> _Header:
    magic = bytes(read_up_to(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise DataFileError(
            f"{str(file)!r} is not an IDX file: it starts with {magic!r} instead of two zero "
            "bytes, the code of a type and a number of dimensions."
        )
    rank = magic[3]
    if rank > _MAX_DIMENSIONS:
        raise DataFileError(
            f"{str(file)!r} is damaged: its header announces {rank} dimensions, "
            f"and arrays of samples have at most {_MAX_DIMENSIONS}."
        )
    dimensions = read_up_to(stream, 4 * rank)
    if len(dimensions) < 4 * rank:
        raise DataFileError(
            f"{str(file)!r} is truncated: it ends within its header. Fetch or write it again."
        )
    return _Header(_DTYPES[magic[2]], struct.unpack(f">{rank}I", dimensions))


def is_idx_folder(folder: Path) -> bool:
    """Tell whether a folder holds the images file of an IDX training set."""
    return any(_IMAGES_NAME.fullmatch(entry.name) for entry in folder.iterdir())


def open_idx_folder(folder: Path, options: ReadOptions) -> DatasetSplits:
    """Read ``train-images-idx3-ubyte`` and its companions, each of them raw or compressed."""
    matches = [m for entry in folder.iterdir() if (m := _IMAGES_NAME.fullmatch(entry.name))]
    prefixes = sorted({match["prefix"] for match in matches})
    if len(prefixes) > 1:
        raise DataError(
            f"{str(folder)!r} holds {len(prefixes)} sets of IDX files: "
            f"{', '.join(repr(prefix + 'train-images…') for prefix in prefixes)}. "
            "Give the path of one images file instead of the folder."
        )
    images = folder / min(match.string for match in matches)  # the raw file before its .gz
    train = open_idx_file(images, options).train
    test_images = None
    for name in ("t10k-images", "test-images"):
        test_images = test_images or _existing(
            images.with_name(images.name.replace("train-images", name))
        )
    if test_images is None:
        return DatasetSplits(train)
    if train.classes is not None:
        options = options.with_classes(train.classes)
    return DatasetSplits(train, open_idx_file(test_images, options).train)


def open_idx_file(images: Path, options: ReadOptions) -> DatasetSplits:
    """Read an images file and the labels file beside it."""
    array = read_idx(images)
    if array.ndim < 2:
        raise DataError(
            f"{str(images)!r} holds {array.ndim} dimension, as labels have, and no images. "
            "Give the path of the images file; its labels file is found beside it."
        )
    samples, value_range = to_samples(array, layout=options.layout, what=repr(str(images)))
    labels = _labels_file(images, required=options.labelled)
    y, classes = None, None
    if labels is not None:
        y, classes = encode_targets(
            read_idx(labels), samples=len(array), options=options, what=repr(str(labels))
        )
    name = images.resolve().parent.name or images.name
    return DatasetSplits(Dataset(name, samples, y, classes, value_range))


def _labels_file(images: Path, *, required: bool) -> Path | None:
    name = re.sub(r"images([.-])idx\d", r"labels\1idx1", images.name)
    if name == images.name:
        name = images.name.replace("images", "labels")
    found = None if name == images.name else _existing(images.with_name(name))
    if found is None and required:
        remedy = (
            "name both files as in 'train-images-idx3-ubyte' and 'train-labels-idx1-ubyte'"
            if name == images.name
            else f"put {name!r} beside it, raw or compressed with gzip"
        )
        raise DataFileError(f"No labels found for the images of {str(images)!r}: {remedy}.")
    return found


def _existing(file: Path) -> Path | None:
    """Return the file itself or the one that differs by ``.gz``, whichever exists."""
    other = file.with_suffix("") if file.suffix == ".gz" else file.with_name(file.name + ".gz")
    return next((candidate for candidate in (file, other) if candidate.is_file()), None)
