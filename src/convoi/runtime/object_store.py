"""The store of machine code on disk: what one process generated, others load.

A file holds a digest of its key and of the object code, and then the code, so that a truncated,
altered or renamed file counts as absent. A folder that cannot be written or read is no error: code
is then generated again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from convoi.config import settings

SUFFIX = ".o"
DIGEST_BYTES = 16


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
    return code if digest == _digest(key, code) else None


def write_object(key: str, code: bytes) -> None:
    """Keep the object code of a key, if the folder allows it.

    It is written under another name, and renamed, so that no process ever reads half a file.
    """
    path = _path(key)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(key, code) + code)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _path(key: str) -> Path | None:
    folder = settings().cache_dir
    return None if folder is None else Path(folder) / key[:2] / f"{key}{SUFFIX}"


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + code).digest()[:DIGEST_BYTES]


@dataclass(frozen=True)
class StoreInfo:
    """What the folder of machine code holds."""

    folder: Path | None
    files: int
    bytes: int


def store_info() -> StoreInfo:
    """Return where machine code is kept on disk and how much of it there is."""
    folder = settings().cache_dir
    if folder is None:
        return StoreInfo(None, 0, 0)
    sizes = []
    for path in Path(folder).glob(f"??/*{SUFFIX}"):
        with contextlib.suppress(OSError):
            sizes.append(path.stat().st_size)
    return StoreInfo(Path(folder), len(sizes), sum(sizes))


def clear_store() -> StoreInfo:
    """Delete the machine code on disk, and return what was there."""
    info = store_info()
    if info.folder is not None:
        for pattern in (f"??/*{SUFFIX}", "??/*.part"):
            for path in info.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    path.unlink()
    return info
