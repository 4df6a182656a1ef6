"""A compiled program that several threads may predict with while parameters change."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from convoi.compiler import InferenceProgram
    from convoi.graph import Graph
    from convoi.nn.setting import Setting

__all__ = ["Predictor"]


class Predictor:
    """Compiles a network when it is first used, and packs parameters when they are new.

    A program that predictions are running on keeps its parameters: new ones go into another
    program then. So every prediction sees one set of parameters, and none waits for another.
    """

    def __init__(
        self,
        graph: Graph,
        setting: Setting,
        *,
        masked: bool = False,
    ) -> None:
        self._graph = graph
        self._setting = setting
        self._masked = masked
        self._lock = Lock()
        self._program: InferenceProgram | None = None
        self._loaded: Mapping[str, NDArray[Any]] | None = None
        self._running = 0

    def __call__(
        self,
        X: NDArray[Any],
        parameters: Mapping[str, NDArray[Any]],
        lengths: NDArray[np.int64] | None = None,
    ) -> NDArray[Any]:
        """Return the network's output for samples; `parameters` are never modified in place."""
        with self._lock:
            program = self._ready(parameters)
            self._running += 1
        try:
            return program(X, lengths=lengths)
        finally:
            with self._lock:
                if program is self._program:
                    self._running -= 1

    def _ready(self, parameters: Mapping[str, NDArray[Any]]) -> InferenceProgram:
        if self._program is not None and self._loaded is parameters:
            return self._program
        # Deferred, because compiling needs llvmlite and describing a network does not.
        from convoi.compiler import InferenceProgram  # noqa: PLC0415

        if self._program is None or self._running:
            self._program = InferenceProgram(
                self._graph,
                dtype=self._setting.dtype.name,
                threads=self._setting.threads,
                precision=self._setting.precision,
                masked=self._masked,
            )
            self._loaded, self._running = None, 0
        self._program.load(dict(parameters))
        self._loaded = parameters
        return self._program
