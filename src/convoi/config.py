"""Settings, and the one table of the environment variables that they are read from.

``VARIABLES`` is that table. ``settings`` gives the settings in force; ``override``
changes them for one block of code. The environment is read and never modified.
"""

from __future__ import annotations

import operator
import os
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from convoi.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "VARIABLES",
    "Cpu",
    "Debug",
    "Settings",
    "Variable",
    "cpu",
    "overridden",
    "override",
    "settings",
]

Cpu: TypeAlias = Literal["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
"""Processor to compile for: the one that runs, or a level of the x86-64 psABI."""


DEFAULT_CACHE_SIZE = 10**9
"""Bytes: machine code for some thousand networks."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?", re.IGNORECASE)


class Debug(IntEnum):
    """What is reported while programs are compiled and run; each step includes the ones before."""

    OFF = 0
    TIMING = 1
    PLAN = 2
    IR = 3
    ASSEMBLY = 4


@dataclass(frozen=True)
class Settings:
    """The settings in force; see ``VARIABLES`` for the meaning of each.

    Attributes
    ----------
    cpu : {'native', 'x86-64-v2', 'x86-64-v3', 'x86-64-v4'}
        Processor to compile for.
    debug : Debug
        What is reported.
    cache_dir : Path or None
        Folder of the compiled code; None keeps it in memory only.
    cache_size : int or None
        The most bytes of compiled code in that folder; None: no limit.
    threads : int or None
        Number of threads; None leaves it to the affinity and the limits of the process.
    data_dir : Path or None
        Folder of the named data sets; None where the user has no home folder.
    tune : bool
        Whether what ``convoi tune`` has measured is used.
    """

    cpu: Cpu
    debug: Debug
    cache_dir: Path | None
    cache_size: int | None
    threads: int | None
    data_dir: Path | None
    tune: bool


@dataclass(frozen=True)
class Variable:
    """One row of ``VARIABLES``.

    Attributes
    ----------
    name : str
        The environment variable. Unset and empty are the same.
    field : str
        The attribute of ``Settings`` and the parameter of ``override``.
    accepts : str
        The values that it may have, as error messages word it.
    default : str
        What holds when it is unset, in words.
    meaning : str
        What it decides.
    parse : callable
        From the text of the variable to the value of the setting; raises ValueError.
    unset : callable
        Gives the value of the setting when the variable is unset.
    """

    name: str
    field: str
    accepts: str
    default: str
    meaning: str
    parse: Callable[[str], Any]
    unset: Callable[[], Any]


def settings() -> Settings:
    """Return the settings in force, from ``override`` and the environment.

    The environment is read at each call, and parsed only when something in it has changed.

    Returns
    -------
    Settings
        Immutable.

    Raises
    ------
    ArgumentError
        If an environment variable has a value that it may not have.

    Examples
    --------
    >>> with override(cpu="x86-64-v3", debug=2):
    ...     settings().cpu, settings().debug
    ('x86-64-v3', <Debug.PLAN: 2>)
    """
    overrides = _OVERRIDES.get()
    environment = os.environ
    texts = tuple(overrides.get(name) or environment.get(name) for name in _NAMES)
    return _parse(texts, tuple(environment.get(name) for name in _DIRECTORY_NAMES))


def cpu() -> Cpu:
    """Return the setting ``cpu`` alone; where nothing sets it, at the cost of one look-up.

    Returns
    -------
    {'native', 'x86-64-v2', 'x86-64-v3', 'x86-64-v4'}
        As `Settings.cpu`.

    Raises
    ------
    ArgumentError
        If an environment variable has a value that it may not have.

    Examples
    --------
    >>> with override(cpu="x86-64-v3"):
    ...     cpu()
    'x86-64-v3'
    """
    if _OVERRIDES.get().get(_CPU) or os.environ.get(_CPU):
        return settings().cpu
    return "native"


def overridden() -> bool:
    """Tell whether ``override`` is in force here: what was decided elsewhere may not hold then."""
    return bool(_OVERRIDES.get())


@contextmanager
def override(
    *,
    cpu: Cpu | None = None,
    debug: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_size: int | str | None = None,
    threads: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    tune: str | None = None,
) -> Iterator[Settings]:
    """Change settings for one block of code.

    The change holds in the current thread or asynchronous task only: a new thread starts with
    the environment's settings. Blocks can be nested.

    Parameters
    ----------
    cpu, debug, cache_dir, cache_size, threads, data_dir, tune : optional
        New values, as the environment variables accept them; None leaves a setting as it is.
        ``cache_dir="off"`` keeps compiled code in memory only; ``cache_size`` may be a number of
        bytes; ``tune`` is "on" or "off".

    Yields
    ------
    Settings
        The settings in force in the block.

    Raises
    ------
    ArgumentError
        If a value is one that the setting may not have.
    ArgumentTypeError
        If a value has a type that the setting may not have.

    Examples
    --------
    >>> with override(threads=1) as changed:
    ...     changed.threads
    1
    """
    given = {
        "cpu": cpu,
        "debug": debug,
        "cache_dir": cache_dir,
        "cache_size": cache_size,
        "threads": threads,
        "data_dir": data_dir,
        "tune": tune,
    }
    changes = {
        variable.name: _checked_text(variable, given[variable.field])
        for variable in VARIABLES
        if given[variable.field] is not None
    }
    token = _OVERRIDES.set({**_OVERRIDES.get(), **changes})
    try:
        yield settings()
    finally:
        _OVERRIDES.reset(token)


def _checked_text(variable: Variable, value: object) -> str:
    """Return the text that stands for a parameter of ``override`` in the table."""
    subject = f"The {variable.field!r} parameter of override"
    try:
        if isinstance(value, (str, os.PathLike)):
            text = os.fsdecode(value)
        elif isinstance(value, bool):
            raise TypeError  # noqa: TRY301 (True is an index to Python, never a count to a user)
        else:
            text = str(operator.index(value))  # type: ignore[arg-type]  # raises TypeError
    except TypeError:
        raise ArgumentTypeError(_refusal(subject, variable, value)) from None
    try:
        variable.parse(text)
    except ValueError:
        raise ArgumentError(_refusal(subject, variable, value)) from None
    return text


def _refusal(subject: str, variable: Variable, value: object) -> str:
    return f"{subject} must be {variable.accepts}. Got {value!r} instead."


@lru_cache(maxsize=32)
def _parse(texts: tuple[str | None, ...], directories: tuple[str | None, ...]) -> Settings:
    """Return the settings for the texts of the variables, in the order of the table.

    ``directories`` is only part of the key: the variables that the default folders depend on.
    """
    del directories
    values = {}
    for variable, text in zip(VARIABLES, texts, strict=True):
        if not text:
            values[variable.field] = variable.unset()
            continue
        try:
            values[variable.field] = variable.parse(text)
        except ValueError:
            subject = f"The environment variable {variable.name}"
            raise ArgumentError(_refusal(subject, variable, text)) from None
    return Settings(**values)


def _parse_cpu(text: str) -> Cpu:
    for cpu in get_args(Cpu):
        if text == cpu:
            return cpu  # type: ignore[no-any-return]  # get_args is typed as Any
    raise ValueError(text)


def _parse_debug(text: str) -> Debug:
    return Debug(int(text))


def _parse_threads(text: str) -> int:
    threads = int(text)
    if threads < 1:
        raise ValueError(text)
    return threads


def _parse_folder(text: str) -> Path:
    if not text:
        raise ValueError(text)
    # Unlike Path.expanduser, this keeps a "~" that stands for no known home folder.
    return Path(os.path.expanduser(text))  # noqa: PTH111


def _parse_cache_folder(text: str) -> Path | None:
    return None if text.lower() == "off" else _parse_folder(text)


def parse_size(text: str) -> int | None:
    """Return the bytes that a text such as '500 MB', '2 GB' or '4096' means; None: 'unlimited'.

    Raises
    ------
    ValueError
        If it is no such text.
    """
    if text.strip().lower() == "unlimited":
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit.lower() or " "))


def _parse_switch(text: str) -> bool:
    if text.lower() not in {"on", "off"}:
        raise ValueError(text)
    return text.lower() == "on"


def _default_cache_dir() -> Path | None:
    return _user_folder("XDG_CACHE_HOME", ".cache", "Library/Caches", "Cache")


def _default_data_dir() -> Path | None:
    return _user_folder("XDG_DATA_HOME", ".local/share", "Library/Application Support", "Data")


def _user_folder(variable: str, unix: str, macos: str, windows: str) -> Path | None:
    """Return the folder of this package where the platform keeps files of this kind.

    The platforms' rules: the XDG Base Directory Specification, Apple's File System Programming
    Guide, and LOCALAPPDATA. None if the user has no home folder.
    """
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "convoi" / windows
    if sys.platform == "darwin":
        return home / macos / "convoi"
    # The specification has relative paths ignored.
    given = Path(os.environ.get(variable, ""))
    return (given if given.is_absolute() else home / unix) / "convoi"


VARIABLES: tuple[Variable, ...] = (
    Variable(
        name="CONVOI_CPU",
        field="cpu",
        accepts="one of " + ", ".join(repr(cpu) for cpu in get_args(Cpu)),
        default="native",
        meaning="Processor to compile for. The levels give 4, 8 and 16 float32 lanes.",
        parse=_parse_cpu,
        unset=lambda: "native",
    ),
    Variable(
        name="CONVOI_DEBUG",
        field="debug",
        accepts="an integer from 0 to 4",
        default="0",
        meaning="What is reported: 0 nothing, 1 timing, 2 also the plan, 3 also the LLVM IR, "
        "4 also the assembly.",
        parse=_parse_debug,
        unset=lambda: Debug.OFF,
    ),
    Variable(
        name="CONVOI_CACHE_DIR",
        field="cache_dir",
        accepts="a folder, or 'off'",
        default="the platform's cache folder, such as ~/.cache/convoi",
        meaning="Folder of the compiled code. With 'off' it is kept in memory only.",
        parse=_parse_cache_folder,
        unset=_default_cache_dir,
    ),
    Variable(
        name="CONVOI_CACHE_SIZE",
        field="cache_size",
        accepts="a size such as '500 MB' or '2 GB', or 'unlimited'",
        default="1 GB",
        meaning="The most compiled code in that folder. What was used longest ago is deleted "
        "first.",
        parse=parse_size,
        unset=lambda: DEFAULT_CACHE_SIZE,
    ),
    Variable(
        name="CONVOI_THREADS",
        field="threads",
        accepts="an integer greater than or equal to 1",
        default="the processors that the process may use",
        meaning="Number of threads where no threads parameter is given.",
        parse=_parse_threads,
        unset=lambda: None,
    ),
    Variable(
        name="CONVOI_DATA_DIR",
        field="data_dir",
        accepts="a folder",
        default="the platform's data folder, such as ~/.local/share/convoi",
        meaning="Folder in which named data sets are looked for.",
        parse=_parse_folder,
        unset=_default_data_dir,
    ),
    Variable(
        name="CONVOI_TUNE",
        field="tune",
        accepts="'on' or 'off'",
        default="on",
        meaning="Whether kernels that 'convoi tune' has measured to be the quickest are used.",
        parse=_parse_switch,
        unset=lambda: True,
    ),
)
"""The environment variables, one row each."""

_NAMES = tuple(variable.name for variable in VARIABLES)
_CPU = "CONVOI_CPU"
_DIRECTORY_NAMES = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA", "USERPROFILE")

_OVERRIDES: ContextVar[Mapping[str, str]] = ContextVar(
    "convoi.config.overrides", default=MappingProxyType({})
)
