"""What a worker is asked to do, as it travels from one process to the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Mode: TypeAlias = Literal["training", "inference"]
PARAMETER = "parameter/"
"""What the names of parameters begin with in a file of arrays."""


@dataclass(frozen=True)
class Task:
    """A network and a batch; the arrays are in a file."""

    mode: Mode
    graph: dict[str, Any]
    """The network, as Convoi's model files describe it."""
    arrays: str
    """The file that :func:`write_batch` wrote."""
    threads: int
    learning_rate: float = 1e-3
    momentum: float = 0.9


@dataclass(frozen=True)
class Batch:
    """The arrays of a task."""

    X: NDArray[np.float32]
    """``(n, *input_shape)``."""
    y: NDArray[np.int64]
    """Classes, ``(n,)``."""
    parameters: dict[str, NDArray[np.float32]]
    """In PyTorch's names and layouts."""


def write_batch(path: Path, batch: Batch) -> None:
    """Write the arrays of a task to a file."""
    named = {PARAMETER + name: array for name, array in batch.parameters.items()}
    write_arrays(path, {"X": batch.X, "y": batch.y, **named})


def read_batch(path: str) -> Batch:
    """Read the arrays of a task."""
    arrays = read_arrays(path)
    parameters = {
        name.removeprefix(PARAMETER): array
        for name, array in arrays.items()
        if name.startswith(PARAMETER)
    }
    return Batch(arrays["X"], arrays["y"], parameters)


def write_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name."""
    np.savez(path, allow_pickle=False, **arrays)


def read_arrays(path: Path | str) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
