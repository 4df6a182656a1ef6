"""Programs that compute a network's output."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from convoi.codegen.target import current_target
from convoi.compiler.boundary import GEOMETRY, SAMPLES, SOURCE
from convoi.compiler.host import sample_table, set_source, store_parameters, worker_pool
from convoi.compiler.pipeline import Precision, compile_inference
from convoi.compiler.sources import Source, open_source
from convoi.graph import INPUT, Graph
from convoi.runtime.program import Instance
from convoi.runtime.threads import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from convoi.ops import Array


class InferenceProgram:
    """A network, compiled to predict.

    Parameters
    ----------
    graph : Graph
        A network: the one input "input" and one output.
    dtype : {'float32', 'float64'}
        What it computes in.
    threads : int or None
        Threads per prediction; None: what the process may use.
    precision : {'default', 'high'}
        'default' lets convolutions use Winograd's forms where their error stays below 2e-5 of the
        largest output; 'high' never does.

    Notes
    -----
    A program may be called by several threads at once. Each then has activations of its own; the
    parameters are shared.
    """

    def __init__(
        self,
        graph: Graph,
        dtype: str = "float32",
        threads: int | None = None,
        *,
        precision: Precision = "default",
    ) -> None:
        self.graph = graph
        self.dtype = dtype
        self._threads = resolve_threads(threads, "InferenceProgram")
        self._target = current_target()
        self._compiled = compile_inference(
            graph, dtype, self._target, winograd=precision == "default"
        )
        self._pool = worker_pool(self._target)
        self._input_shape = graph.shape(INPUT)
        self._output_shape = graph.shape(graph.outputs[0])
        self._first = Instance(self._compiled.plan, self._threads)
        self._free = [self._first]
        self._lock = threading.Lock()
        self._table = sample_table(self._rank, None, 256, augment=False)

    @property
    def _rank(self) -> int:
        return len(self._input_shape) - 1

    @property
    def arena_bytes(self) -> int:
        """Bytes of activations that each thread holds."""
        return self._first.thread_bytes()

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Take over the values of the network's parameters, by name, in PyTorch's layouts."""
        store_parameters(self._first, self._compiled, parameters, self.dtype)

    def __call__(self, X: ArrayLike, indices: NDArray[np.int64] | None = None) -> Array:
        """Return the outputs ``(n, *output_shape)`` of samples ``(n, *input_shape)``.

        Parameters
        ----------
        X : array_like
            Any numeric dtype and strides; most are read in place.
        indices : array of int64, optional
            Rows of ``X`` to predict, instead of all.

        Raises
        ------
        ShapeError, ArgumentTypeError
            If ``X`` has another shape, or no numbers.
        """
        source = open_source(X, self._input_shape)
        samples = len(source.array) if indices is None else len(indices)
        output = np.empty((samples, *self._output_shape), self.dtype)
        if samples:
            instance = self._take()
            try:
                self._run(instance, source, indices, output)
            finally:
                self._free.append(instance)
        return output

    def _take(self) -> Instance:
        with self._lock:
            if self._free:
                return self._free.pop()
        return Instance(self._compiled.plan, self._threads, self._first.fixed_memory())

    def _run(
        self,
        instance: Instance,
        source: Source,
        indices: NDArray[np.int64] | None,
        output: Array,
    ) -> None:
        samples = len(output)
        if indices is not None:
            table = sample_table(self._rank, indices, samples, augment=False)
        else:
            # Another thread may put a shorter table in its place meanwhile.
            table = self._table
            if len(table) < samples:
                table = self._table = sample_table(self._rank, None, 2 * samples, augment=False)
        set_source(instance, self._compiled, source, self._target, augment=False)
        instance.prepare(samples)
        external = {
            SOURCE: source.address,
            GEOMETRY: source.geometry.ctypes.data,
            SAMPLES: table.ctypes.data,
            "output": output.ctypes.data,
        }
        instance.run(self._pool, external)
