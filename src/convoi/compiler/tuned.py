"""Choices that were measured on this machine: kept in a file, used in place of the cost model.

The file is JSON in the cache folder, one for each processor and version. One that is missing,
unreadable or damaged holds no choices, and an entry that names no candidate of a layer is passed
over: programs are then those of the cost model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from convoi.codegen.target import current_target
from convoi.config import settings
from convoi.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["chosen", "clear_choices", "forced", "store_choices", "stored_choices", "tuning_file"]

FORMAT = 1
MOST_BYTES = 16 << 20
"""A larger file is none of ours."""

_FORCED: ContextVar[Mapping[str, str]] = ContextVar(
    "convoi.compiler.tuned", default=MappingProxyType({})
)


def chosen(signature: str) -> str | None:
    """Return the candidate that was measured to be the best for a signature, if any was."""
    forced = _FORCED.get()
    return forced[signature] if signature in forced else stored_choices().get(signature)


@contextmanager
def forced(choices: Mapping[str, str]) -> Iterator[None]:
    """Let programs that are compiled in this block use certain candidates.

    An empty name stands for the choice of the cost model.
    """
    token = _FORCED.set({**_FORCED.get(), **choices})
    try:
        yield
    finally:
        _FORCED.reset(token)


def tuning_file() -> Path | None:
    """Return the file of this processor and version; None if nothing is kept on disk."""
    folder = settings().cache_dir
    if folder is None:
        return None
    target = current_target()
    key = hashlib.sha256(f"{target.cpu} {target.features} {__version__}".encode()).hexdigest()
    return Path(folder) / f"tuning-{target.cpu}-{key[:12]}.json"


def stored_choices() -> Mapping[str, str]:
    """Return the stored choices, by signature; none where tuning is switched off."""
    path = tuning_file() if settings().tune else None
    if path is None:
        return {}
    try:
        status = path.stat()
    except OSError:
        return {}
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, size: int) -> Mapping[str, str]:
    """Return what a file holds; when it was changed and its size are part of the key."""
    del changed
    if size > MOST_BYTES:
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, dict) or content.get("format") != FORMAT:
        return {}
    return {k: v for k, v in choices.items() if isinstance(v, str)}


def store_choices(choices: Mapping[str, str]) -> Path | None:
    """Add choices to the file; return it, or None if nothing is kept on disk.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = tuning_file()
    if path is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        status = path.stat()
        known = _read(path, status.st_mtime_ns, status.st_size)
    except OSError:
        known = {}
    content = {"format": FORMAT, "convoi": __version__, "choices": {**known, **choices}}
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, sort_keys=True)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    # A file system may not tell two changes within one tick of its clock apart.
    _read.cache_clear()
    return path


def clear_choices() -> int:
    """Delete the file of this processor and version; return how many choices it held."""
    path = tuning_file()
    if path is None:
        return 0
    with contextlib.suppress(OSError):
        status = path.stat()
        count = len(_read(path, status.st_mtime_ns, status.st_size))
        path.unlink()
        return count
    return 0
