"""Programs that compute a network's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.checks import check_choice
from convoi.codegen.target import current_target
from convoi.codegen.types import FLOATS
from convoi.compiler.boundary import GEOMETRY, PACK, SAMPLES, SOURCE
from convoi.compiler.host import (
    Packer,
    check_parameters,
    sample_table,
    store_parameters,
    worker_pool,
)
from convoi.compiler.pipeline import OUTPUT, PRECISIONS, Precision, compile_inference
from convoi.compiler.sources import Source, open_source
from convoi.graph import INPUT, Graph
from convoi.runtime.buffers import address_of
from convoi.runtime.program import Instance, Space
from convoi.runtime.report import Report
from convoi.runtime.threads import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from convoi.compiler.tasks import Task
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
        'default' lets convolutions use Winograd's forms, whose error stays below 1e-5 of the
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
        self.dtype = check_choice(dtype, "dtype", "InferenceProgram", tuple(FLOATS))
        check_choice(precision, "precision", "InferenceProgram", PRECISIONS)
        self._threads = resolve_threads(threads, "InferenceProgram")
        self._target = current_target()
        self._report = Report.on("InferenceProgram")
        with self._report.compiling():
            self._compiled = compile_inference(
                graph, dtype, self._target, winograd=precision == "default"
            )
            self._pool = worker_pool(self._target)
        self._report.plan(self._compiled.plan)
        self._packer = Packer(self._compiled, self._target, augment=False)
        self._input_shape = graph.shape(INPUT)
        self._output_shape = graph.shape(graph.outputs[0])
        self._first = Instance(self._compiled.plan, self._threads)
        self._free = [self._first]
        self._table = self._table_of(256)

    @property
    def _rank(self) -> int:
        return len(self._input_shape) - 1

    @property
    def arena_bytes(self) -> int:
        """Bytes of activations that each thread holds."""
        return self._compiled.plan.bytes_of(Space.THREAD)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What is computed together, in order."""
        return self._compiled.tasks

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Take over the values of the network's parameters, by name, in PyTorch's layouts.

        Predictions that other threads make meanwhile may use some old and some new values.

        Raises
        ------
        ArgumentError, ShapeError
            If a parameter is missing or has another shape.
        """
        check_parameters(self.graph.parameters, parameters)
        store_parameters(self._first, self._compiled, parameters, self.dtype)

    def __call__(self, X: ArrayLike, indices: ArrayLike | None = None) -> Array:
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
        ArgumentError
            If an index leads outside of ``X``.
        """
        source = open_source(X, self._input_shape, indices)
        output = np.empty((len(source), *self._output_shape), self.dtype)
        if len(source):
            instance = self._take()
            try:
                self._run(instance, source, output)
            finally:
                self._free.append(instance)
        return output

    def time_tasks(self, X: ArrayLike) -> dict[str, float]:
        """Run samples through the program, one kernel at a time, on one thread.

        Parameters
        ----------
        X : array_like
            Samples, at least one. Those that pass through a segment together are measured.

        Returns
        -------
        dict of str to float
            Seconds per sample: of each task by its output, of "pack" and of "output".
        """
        source = open_source(X, self._input_shape, None)
        instance = self._take()
        try:
            output = np.empty((len(source), *self._output_shape), self.dtype)
            external, _held = self._prepare(instance, source, output)
            timed = instance.run_calls(self._pool, external)
        finally:
            self._free.append(instance)
        calls, seconds, waiting = self._compiled.plan.calls, dict[str, float](), 0.0
        known = {PACK, OUTPUT, *(task.output for task in self.tasks)}
        for call, (taken, samples) in zip(calls, timed, strict=True):
            waiting += taken / samples
            if call.label in known:  # what prepares memory counts for the call that needs it
                seconds[call.label] = seconds.get(call.label, 0.0) + waiting
                waiting = 0.0
        return seconds

    def _table_of(self, samples: int) -> tuple[NDArray[np.void], int]:
        """Return the table of samples in their order, and its address."""
        table = sample_table(self._rank, None, samples, augment=False)
        return table, address_of(table)

    def _take(self) -> Instance:
        """Return an instance that nobody else uses; lists are safe among threads."""
        try:
            return self._free.pop()
        except IndexError:
            return Instance(self._compiled.plan, self._threads, self._first.fixed_memory())

    def _run(self, instance: Instance, source: Source, output: Array) -> None:
        external, _held = self._prepare(instance, source, output)
        self._report.run(instance, self._pool, external, len(output))

    def _prepare(
        self, instance: Instance, source: Source, output: Array
    ) -> tuple[dict[str, int], NDArray[np.void]]:
        """Make an instance ready for a batch.

        Return the addresses of the caller's arrays, and the table of samples among them, which
        the caller holds until the run is over.
        """
        samples = len(output)
        if source.rows is not None:
            table = sample_table(self._rank, source.rows, samples, augment=False)
            address = address_of(table)
        else:
            # Another thread may put a shorter table in its place meanwhile.
            table, address = self._table
            if len(table) < samples:
                table, address = self._table = self._table_of(max(samples, 2 * len(table)))
        self._packer.set_source(instance, source)
        instance.prepare(samples)
        external = {
            SOURCE: source.address,
            GEOMETRY: source.geometry_address,
            SAMPLES: address,
            OUTPUT: address_of(output),
        }
        return external, table
