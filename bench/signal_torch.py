"""PyTorch on the grid of the operator: ``python -m bench.signal_torch`` is its worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.clock import slice_seconds
from bench.signal_cells import Cell
from bench.worker import answer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Commands:
    """What the worker can be asked."""

    def describe(self) -> dict[str, str]:
        """Return PyTorch's version."""
        return {"torch": torch.__version__}

    def prepare(self, cell: dict[str, Any], threads: int) -> dict[str, Any]:
        """Make the arrays of a cell."""
        torch.set_num_threads(threads)
        self._threads = threads
        shapes = {name: tuple(cell[name]) for name in ("shape", "kernel")}
        self._cell = Cell(**{**cell, **shapes})
        x, k = self._cell.arrays()
        self._data = torch.from_numpy(x if self._cell.batch else x[None])[:, None]
        self._weight = torch.from_numpy(np.ascontiguousarray(np.flip(k)))[None, None]
        return {}

    def _run(self) -> NDArray[Any]:
        functions = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)
        with torch.inference_mode():
            y = functions[len(self._cell.shape) - 1](self._data, self._weight, padding="same")
        result = y[:, 0].numpy()
        return result if self._cell.batch else result[0]

    def result(self, into: str) -> dict[str, Any]:
        """Write the result to a file."""
        np.save(into, self._run())
        return {}

    def time(self, budget: float) -> dict[str, float]:
        """Return the seconds of a call."""
        return {"seconds": slice_seconds(self._run, budget, self._threads)}


if __name__ == "__main__":
    answer(_Commands())
