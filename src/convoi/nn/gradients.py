"""The program behind :meth:`convoi.nn.Network.loss_and_gradients`."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convoi.compiler import TrainingProgram
    from convoi.graph import Graph
    from convoi.nn.setting import Setting
    from convoi.ops import Loss

__all__ = ["GradientProgram"]


class GradientProgram:
    """Compiles the gradient of a loss when it is first asked for; keeps that of the last one."""

    def __init__(self, graph: Graph, setting: Setting) -> None:
        self._graph = graph
        self._setting = setting
        self._lock = Lock()
        self._loss: Loss | None = None
        self._program: TrainingProgram | None = None
        self._loaded: Mapping[str, NDArray[Any]] | None = None

    def __call__(
        self,
        loss: Loss,
        parameters: Mapping[str, NDArray[Any]],
        samples: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
        seed: int,
    ) -> tuple[float, dict[str, NDArray[Any]]]:
        """Return loss and gradients for inputs, targets and normalised weights."""
        # Deferred, because compiling needs llvmlite and describing a network does not.
        from convoi.compiler import TrainingProgram  # noqa: PLC0415

        X, target, weight = samples
        with self._lock:
            if self._program is None or loss != self._loss:
                self._program = TrainingProgram(
                    self._graph,
                    loss,
                    None,
                    dtype=self._setting.dtype.name,
                    threads=self._setting.threads,
                    precision=self._setting.precision,
                )
                self._loss, self._loaded = loss, None
            if self._loaded is not parameters:
                self._program.load(dict(parameters))
                self._loaded = parameters
            rows = np.arange(len(X), dtype=np.int64)
            value, gradients, _ = self._program.gradients(X, rows, target, weight, seed=seed)
            return float(value), gradients
