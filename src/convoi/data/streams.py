"""Reading bytes that a header announces, without trusting the header.

A damaged or hostile file may announce any size. Buffers here grow with what a stream really
gives, so a wrong announcement costs an error and no memory.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol
from zipfile import BadZipFile

from convoi.errors import ConvoiError, DataFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK_BYTES = 1 << 20

MAX_DEFLATE_RATIO = 1032
"""Most bytes that one byte of a DEFLATE stream can stand for (258 of them in 2 bits, at best)."""

MAP_ABOVE_BYTES = 1 << 28
"""Uncompressed arrays larger than this (256 MiB) are mapped into memory instead of being read."""


class ByteStream(Protocol):
    """The part of a binary file that the readers need."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end."""
        ...


@contextmanager
def accessing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an error that names the file or folder."""
    try:
        yield
    except ConvoiError:
        raise
    except OSError as error:
        raise DataFileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn whatever reading and decompressing can raise into an error that names the file."""
    try:
        with accessing(file):
            yield
    except ConvoiError:
        raise
    except EOFError as error:
        raise DataFileError(
            f"{str(file)!r} is truncated: its compressed data ends early. Fetch or write it again."
        ) from error
    # zipfile raises the last three for archives that are encrypted, or of kinds that it does not
    # read.
    except (zlib.error, BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataFileError(
            f"{str(file)!r} is damaged: {error}. Fetch or write it again."
        ) from error
    except MemoryError as error:
        raise DataFileError(f"{str(file)!r} holds more than fits into memory.") from error


def read_up_to(stream: ByteStream, size: int) -> bytearray:
    """Return the next ``size`` bytes, or fewer if the stream ends before."""
    content = bytearray()
    while len(content) < size:
        chunk = stream.read(min(CHUNK_BYTES, size - len(content)))
        if not chunk:
            break
        content += chunk
    return content


def require_file(file: Path) -> None:
    """Raise unless ``file`` is a regular file: opening a pipe would wait for ever."""
    if file.is_file():
        return
    state = "is not a regular file" if file.exists() else "does not exist"
    raise DataFileError(f"Cannot read {str(file)!r}: it {state}.")
