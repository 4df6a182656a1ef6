"""Writing a file as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["remove_remains", "write_atomically"]

_TOKEN_BYTES = 8
_SUFFIX = ".part"


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that readers find the old content or the new, never a part.

    The content goes to a new file in the same folder, which then takes the name. A symbolic link
    stays one: the file that it points to is replaced.

    Parameters
    ----------
    path : str or PathLike
        The file.
    data : bytes
        Its content.

    Raises
    ------
    OSError
        If the file cannot be written; the old one is untouched.
    """
    target = _target(path)
    part = target.with_name(f"{_prefix(target)}{secrets.token_hex(_TOKEN_BYTES)}{_SUFFIX}")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def remove_remains(path: str | os.PathLike[str]) -> None:
    """Remove what writers of this file left behind when they were killed.

    Parameters
    ----------
    path : str or PathLike
        The file, which nobody else may be writing.
    """
    target = _target(path)
    prefix = _prefix(target)
    length = len(prefix) + 2 * _TOKEN_BYTES + len(_SUFFIX)
    with suppress(OSError):
        for entry in target.parent.iterdir():
            name = entry.name
            if name.startswith(prefix) and name.endswith(_SUFFIX) and len(name) == length:
                entry.unlink()


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path leads to."""
    return Path(os.path.realpath(path))


def _prefix(target: Path) -> str:
    """Return how the names of unfinished versions of a file begin."""
    return f".{target.name[:200]}."
