"""The store of machine code on disk: what one process generated, others load.

A file holds a digest of its key and of the object code, and then the code, so that a truncated,
altered or renamed file counts as absent. A folder that cannot be written or read is no error: code
is then generated again.

The folder has a limit (``CONVOI_CACHE_SIZE``). A file's time of change is when it was last used.
How much was written since files were last deleted is the size of the file `JOURNAL`, to which all
processes append; the one that makes it reach a part of the limit deletes what was used longest ago.
So writing costs no look through the folder, and no process has to wait for another.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from convoi.config import settings

SUFFIX = ".o"
PARTIAL = ".part"
"""Ends the names of files that are being written."""
_DIGIT = "[0-9a-f]"
_NAMES = f"{_DIGIT * 2}/{_DIGIT * 40}"
"""Pattern of the files of this store: others may lie in the folder that the user names."""
DIGEST_BYTES = 16
JOURNAL = "convoi-written"
JOURNAL_UNIT = 4096
"""Bytes written that a byte of the journal stands for: blocks of the usual file systems."""
SLACK = 16
"""Which part of the limit is written between two looks through the folder, and is kept free."""
ABANDONED_SECONDS = 3600
"""Age from which a file that is being written has no writer any more."""


def read_object(key: str) -> bytes | None:
    """Return the object code of a key, or None."""
    path = _path(key)
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if digest != _digest(key, code):
        return None
    with contextlib.suppress(OSError):  # of another user, or on a disk that is read-only
        os.utime(path)
    return code


def write_object(key: str, code: bytes) -> None:
    """Keep the object code of a key, if the folder allows it.

    It is written under another name, and renamed, so that no process ever reads half a file.
    """
    path = _path(key)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(PARTIAL, f"{key}.", path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(key, code) + code)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _note_written(path.parents[1], DIGEST_BYTES + len(code))


def _path(key: str) -> Path | None:
    folder = settings().cache_dir
    return None if folder is None else Path(folder) / key[:2] / f"{key}{SUFFIX}"


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + code).digest()[:DIGEST_BYTES]


def _note_written(folder: Path, size: int) -> None:
    """Count what was written; make room if it is time to look."""
    limit = settings().cache_size
    if limit is None:
        return
    journal = folder / JOURNAL
    begun = not journal.exists()  # nobody has counted what is in the folder
    with journal.open("ab") as file:
        file.write(b"." * -(-size // JOURNAL_UNIT))
        written = file.tell() * JOURNAL_UNIT
    if begun or written * SLACK >= limit:
        _make_room(folder, limit - limit // SLACK)


@dataclass(frozen=True)
class StoreInfo:
    """What the folder of machine code holds."""

    folder: Path | None
    files: int
    bytes: int


@dataclass(frozen=True, order=True)
class _Entry:
    used: int
    path: Path
    size: int


def _entries(folder: Path, ending: str = SUFFIX) -> list[_Entry]:
    found = []
    for path in folder.glob(f"{_NAMES}{ending}"):
        with contextlib.suppress(OSError):  # another process has deleted it
            status = path.stat()
            found.append(_Entry(status.st_mtime_ns, path, status.st_size))
    return found


def _make_room(folder: Path, limit: int) -> StoreInfo:
    """Delete what was used longest ago until so many bytes are left; return what was deleted.

    Files that a process began and did not live to complete go, too. Several processes may do this
    at a time: together they may delete a little more than one would.
    """
    # Emptied first: what others write from here on counts for the next time.
    with contextlib.suppress(OSError):
        os.truncate(folder / JOURNAL, 0)
    before = time.time_ns() - ABANDONED_SECONDS * 10**9
    for entry in _entries(folder, f".*{PARTIAL}"):
        if entry.used < before:
            _delete(entry)
    entries = sorted(_entries(folder))
    total = sum(entry.size for entry in entries)
    files = removed = 0
    for entry in entries:
        if total - removed <= limit:
            break
        removed += entry.size
        files += _delete(entry)
    return StoreInfo(folder, files, removed)


def _delete(entry: _Entry) -> bool:
    """Delete a file; tell whether it was there."""
    with contextlib.suppress(OSError):
        entry.path.unlink()
        return True
    return False


def store_info() -> StoreInfo:
    """Return where machine code is kept on disk and how much of it there is."""
    folder = settings().cache_dir
    if folder is None:
        return StoreInfo(None, 0, 0)
    entries = _entries(folder)
    return StoreInfo(folder, len(entries), sum(entry.size for entry in entries))


def trim_store(size: int) -> StoreInfo:
    """Delete the machine code used longest ago until so many bytes are left.

    Return what was deleted.
    """
    folder = settings().cache_dir
    return StoreInfo(None, 0, 0) if folder is None else _make_room(folder, size)


def clear_store() -> StoreInfo:
    """Delete the machine code on disk, and return what was there."""
    info = store_info()
    if info.folder is not None:
        for entry in (*_entries(info.folder), *_entries(info.folder, f".*{PARTIAL}")):
            _delete(entry)
        with contextlib.suppress(OSError):
            (info.folder / JOURNAL).unlink()
    return info
