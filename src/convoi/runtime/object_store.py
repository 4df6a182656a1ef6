"""The store of machine code: on disk between processes, in memory within one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from convoi.config import settings

SUFFIX = ".o"
DIGEST_BYTES = 16
MEMORY_LIMIT = 64 * 2**20
"""Bytes of object code that a process keeps."""

_ELF_AND_OTHERS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\x64\x86", b"\x64\xaa")


class ObjectStore:
    """Object code by key: a folder on disk, and the most recently used in memory.

    A file holds the digest of the object code and then the code, so that a truncated or altered
    file counts as absent. A folder that cannot be written or read is no error: code is then
    generated again.
    """

    def __init__(self) -> None:
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Return the object code of a key, or None."""
        with self._lock:
            code = self._memory.get(key)
            if code is not None:
                self._memory.move_to_end(key)
                return code
        code = _read(key)
        if code is not None:
            self._remember(key, code)
        return code

    def put(self, key: str, code: bytes) -> None:
        """Keep the object code of a key."""
        self._remember(key, code)
        _write(key, code)

    def _remember(self, key: str, code: bytes) -> None:
        with self._lock:
            old = self._memory.pop(key, b"")
            self._memory[key] = code
            self._bytes += len(code) - len(old)
            while self._bytes > MEMORY_LIMIT and len(self._memory) > 1:
                self._bytes -= len(self._memory.popitem(last=False)[1])


def _path(key: str) -> Path | None:
    folder = settings().cache_dir
    return None if folder is None else Path(folder) / key[:2] / f"{key}{SUFFIX}"


def _read(key: str) -> bytes | None:
    path = _path(key)
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if _digest(code) != digest or not code.startswith(_ELF_AND_OTHERS):
        return None
    return code


def _write(key: str, code: bytes) -> None:
    """Write under another name and rename, so that no process ever reads half a file."""
    path = _path(key)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(code) + code)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)


def _digest(code: bytes) -> bytes:
    return hashlib.sha256(code).digest()[:DIGEST_BYTES]


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


OBJECTS = ObjectStore()
"""The process's store."""
