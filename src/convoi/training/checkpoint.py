"""Checkpoints: files from which a run resumes exactly.

A checkpoint is a safetensors file. Its tensors are the parameters, the optimiser's slots, the sums
of the current epoch and the parameters of the best epoch; its metadata hold the rest as JSON, and
a checksum over both. It is written beside its final place and moved there when it is complete and
on disk, so at every moment the file is either the previous checkpoint or the new one.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np

from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, CheckpointError
from convoi.nn.atomic_file import write_atomically
from convoi.training.early_stopping import Best
from convoi.training.history import EpochRecord, Reason
from convoi.training.state import RunState, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convoi.ops import Array

__all__ = ["Checkpoint", "as_checkpoint", "load_snapshot", "require_same_run", "save_snapshot"]

Tensors: TypeAlias = "dict[str, Array]"

_FORMAT = "convoi-checkpoint"
_VERSION = "1"


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a run is saved.

    Attributes
    ----------
    path : path-like
        The file. Its folder must exist.
    every : int, default=1
        Number of epochs from one checkpoint to the next; there is also one at the end and one
        when the run is interrupted.

    Examples
    --------
    >>> from convoi.training import Checkpoint
    >>> Checkpoint("run.checkpoint", every=5).every
    5
    """

    path: str | os.PathLike[str]
    every: int = 1

    def __post_init__(self) -> None:
        check_integer(self.every, "every", "Checkpoint", minimum=1)
        path: object = self.path
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentTypeError(refusal("path", "Checkpoint", "a path", path))

    @property
    def file(self) -> Path:
        """The file."""
        return Path(self.path)


def as_checkpoint(checkpoint: object, owner: str) -> Checkpoint | None:
    """Return the settings; a path stands for a checkpoint after each epoch."""
    if checkpoint is None:
        return None
    if isinstance(checkpoint, (str, os.PathLike)):
        checkpoint = Checkpoint(checkpoint)
    elif not isinstance(checkpoint, Checkpoint):
        expectation = "a path, a Checkpoint or None"
        raise ArgumentTypeError(refusal("checkpoint", owner, expectation, checkpoint))
    if not checkpoint.file.parent.is_dir():
        raise ArgumentError(
            f"The 'checkpoint' parameter of {owner} must be a file in a folder that exists. "
            f"Got {str(checkpoint.file)!r} instead. Make the folder first."
        )
    return checkpoint


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a checkpoint.

    Raises
    ------
    CheckpointError
        If that fails; the file that was there before is then as it was.
    """
    from safetensors.numpy import save  # noqa: PLC0415 - only runs with checkpoints need it

    tensors = _tensors(snapshot)
    description = json.dumps(_description(snapshot))
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "description": description,
        "checksum": _checksum(description, tensors),
    }
    try:
        write_atomically(path, save(tensors, metadata))
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint {str(path)!r} cannot be written: {error}. Check the space and the "
            "permissions of its folder, then resume from the last checkpoint."
        ) from error


def load_snapshot(path: Path) -> Snapshot:
    """Read a checkpoint.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is no checkpoint, or is damaged.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - as above

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise _unusable(path, "is not a checkpoint of Convoi")
            if metadata.get("version") != _VERSION:
                raise _unusable(path, "was written by another version of Convoi")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except SafetensorError as error:
        raise _unusable(path, f"is truncated or damaged ({error})") from error
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise _unusable(path, f"cannot be read ({error})") from error
    description = metadata.get("description", "")
    if metadata.get("checksum") != _checksum(description, tensors):
        raise _unusable(path, "is damaged: its checksum is wrong")
    try:
        return _snapshot(json.loads(description), tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unusable(path, "does not describe a run") from error


def require_same_run(path: Path, saved: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Raise unless the settings of a checkpoint are those of the run that is to resume from it.

    Raises
    ------
    CheckpointError
        Naming the first difference.
    """
    for name, value in given.items():
        if saved.get(name) != value:
            raise CheckpointError(
                f"The checkpoint {str(path)!r} belongs to another run: its {name} is "
                f"{saved.get(name)}, and here it is {value}. Resume with the network, data and "
                "settings of that run, or start a new one with resume=False."
            )


def _unusable(path: Path, problem: str) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint {str(path)!r} {problem}. Remove it or give another path, or start a new "
        "run with resume=False."
    )


def _tensors(snapshot: Snapshot) -> Tensors:
    """Return all arrays of a snapshot under one name each."""
    tensors: Tensors = {"sums": snapshot.state.sums}
    for name, array in snapshot.parameters.items():
        tensors[f"parameters/{name}"] = array
    for slot, arrays in snapshot.slots.items():
        for name, array in arrays.items():
            tensors[f"slots/{slot}/{name}"] = array
    if snapshot.state.best is not None:
        for name, array in snapshot.state.best.parameters.items():
            tensors[f"best/{name}"] = array
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def _description(snapshot: Snapshot) -> dict[str, Any]:
    """Return what a snapshot holds besides arrays, fit for JSON."""
    state = snapshot.state
    best = None if state.best is None else {"epoch": state.best.epoch, "value": state.best.value}
    return {
        "settings": dict(snapshot.settings),
        "slots": list(snapshot.slots),
        "seed": state.seed,
        "epoch": state.epoch,
        "step": state.step,
        "seconds": state.seconds,
        "records": [asdict(record) for record in state.records],
        "best": best,
        "reason": state.reason,
    }


def _snapshot(description: dict[str, Any], tensors: Tensors) -> Snapshot:
    """Return the snapshot; KeyError, TypeError or ValueError if something is missing or wrong."""
    best = description["best"]
    reason = description["reason"]
    if reason is not None and reason not in get_args(Reason):
        raise ValueError(reason)
    state = RunState(
        seed=description["seed"],
        sums=tensors["sums"],
        epoch=description["epoch"],
        step=description["step"],
        seconds=description["seconds"],
        records=[EpochRecord(**record) for record in description["records"]],
        best=None if best is None else Best(**best, parameters=_under("best/", tensors)),
        reason=reason,
    )
    slots = {slot: _under(f"slots/{slot}/", tensors) for slot in description["slots"]}
    return Snapshot(dict(description["settings"]), state, _under("parameters/", tensors), slots)


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }


def _checksum(description: str, tensors: Tensors) -> str:
    """Return the CRC-32 of all that a checkpoint holds."""
    value = zlib.crc32(description.encode())
    for name in sorted(tensors):
        array = tensors[name]
        value = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"
