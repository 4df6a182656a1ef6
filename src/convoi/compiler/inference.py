"""Programs of networks that predict, and the one that computes their output."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from convoi.checks import check_choice
from convoi.codegen.target import current_target
from convoi.codegen.types import FLOATS
from convoi.compiler.batches import check_lengths, shortest
from convoi.compiler.boundary import GEOMETRY, PACK, SAMPLES, SOURCE
from convoi.compiler.host import (
    Packer,
    check_parameters,
    sample_table,
    store_parameters,
)
from convoi.compiler.pipeline import (
    OUTPUT,
    PRECISIONS,
    Compiled,
    Precision,
    compile_inference,
    output_name,
)
from convoi.compiler.sources import Source, open_source
from convoi.graph import INPUT, LENGTH, Graph
from convoi.kernels.workers import worker_pool
from convoi.runtime.buffers import address_of
from convoi.runtime.plan import Space
from convoi.runtime.program import Instance
from convoi.runtime.report import Report
from convoi.runtime.threads import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.codegen.target import Target
    from convoi.compiler.tasks import Task
    from convoi.ops import Array, Shape
    from convoi.runtime.threads import Pool

Result = TypeVar("Result")


class PredictionProgram(ABC):
    """A compiled network that predicts: several threads may call it, each on memory of its own.

    The parameters are those of :class:`InferenceProgram`. A subclass says how it is compiled, and
    what it is called with.
    """

    def __init__(
        self,
        graph: Graph,
        dtype: str = "float32",
        threads: int | None = None,
        *,
        precision: Precision = "default",
    ) -> None:
        owner = type(self).__name__
        self.graph = graph
        self.dtype = check_choice(dtype, "dtype", owner, tuple(FLOATS))
        check_choice(precision, "precision", owner, PRECISIONS)
        self._threads = resolve_threads(threads, owner)
        self._target = current_target()
        self._report = Report.on(owner)
        with self._report.compiling():
            self._compiled = self._compile(self._target, fast=precision == "default")
            self._pool = worker_pool(self._target)
        self._report.plan(self._compiled.plan)
        self._packer = Packer(self._compiled, self._target, augment=False)
        self._input_shape = graph.shape(INPUT)
        self._first = Instance(self._compiled.plan, self._threads)
        self._free = [self._first]
        self._table = self._table_of(256)

    def sibling(self, threads: int | None = None) -> Self:
        """Return a program of the same machine code, with memory of its own and no parameters."""
        other = copy.copy(self)
        other._become_independent(resolve_threads(threads, type(self).__name__))  # noqa: SLF001 - its own class
        return other

    def _become_independent(self, threads: int) -> None:
        self._threads = threads
        self._first = Instance(self._compiled.plan, threads)
        self._free = [self._first]

    @abstractmethod
    def _compile(self, target: Target, *, fast: bool) -> Compiled:
        """Return the compiled graph."""

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

    def _outputs(
        self, source: Source, shapes: Sequence[Shape], others: Mapping[str, Array] | None = None
    ) -> list[Array]:
        """Return the program's outputs of these shapes, given other arrays that it reads."""
        outputs = [np.empty((len(source), *shape), self.dtype) for shape in shapes]
        if len(source):
            arrays = dict(zip(map(output_name, range(len(outputs))), outputs, strict=True))
            instance = self._take()
            try:
                external, _held = self._prepare(instance, source, {**arrays, **(others or {})})
                self._report.run(instance, self._pool, external, len(source))
            finally:
                self._free.append(instance)
        return outputs

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

    def _prepare(
        self, instance: Instance, source: Source, arrays: Mapping[str, Array]
    ) -> tuple[dict[str, int], NDArray[np.void]]:
        """Make an instance ready for a batch.

        Return the addresses of the caller's arrays, and the table of samples among them; the
        caller holds all of them until the run is over.
        """
        samples = len(source)
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
            **{name: address_of(array) for name, array in arrays.items()},
        }
        return external, table


class InferenceProgram(PredictionProgram):
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
        'default' lets convolutions use the forms of Winograd and Fourier, whose error stays below
        1e-5 of the largest output; 'high' never does.
    masked : bool
        Whether samples are series of unequal length, padded with zeros, and calls are given the
        lengths.

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
        masked: bool = False,
    ) -> None:
        self.masked = masked
        self._shortest = shortest(graph) if masked else 1
        super().__init__(graph, dtype, threads, precision=precision)

    def _compile(self, target: Target, *, fast: bool) -> Compiled:
        return compile_inference(self.graph, self.dtype, target, fast=fast, masked=self.masked)

    @property
    def _output_shape(self) -> Shape:
        return self.graph.shape(self.graph.outputs[0])

    def __call__(
        self,
        X: ArrayLike,
        indices: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
    ) -> Array:
        """Return the outputs ``(n, *output_shape)`` of samples ``(n, *input_shape)``.

        Parameters
        ----------
        X : array_like
            Any numeric dtype and strides; most are read in place.
        indices : array of int64, optional
            Rows of ``X`` to predict, instead of all.
        lengths : array of int64 ``(n,)``, optional
            The length of each of the samples that are predicted; only for masked programs, which
            need it. Behind its length a sample is zero.

        Raises
        ------
        ShapeError, ArgumentTypeError
            If ``X`` has another shape, or no numbers.
        ArgumentError
            If an index leads outside of ``X``, or a length is too short or too long.
        """
        source = open_source(X, self._input_shape, indices)
        (output,) = self._outputs(source, [self._output_shape], self._ends(lengths, source))
        return output

    def _ends(self, lengths: ArrayLike | None, source: Source) -> dict[str, Array]:
        """Return the lengths of the samples as an array that a masked program reads."""
        if lengths is None and not self.masked:
            return {}
        bounds = (self._shortest, self._input_shape[-1])
        return {LENGTH: check_lengths(lengths, len(source), bounds, masked=self.masked)}

    def measure(
        self, X: ArrayLike, how: Callable[[Instance, Pool, Mapping[str, int]], Result]
    ) -> Result:
        """Return what a function finds out about the program that is prepared for samples.

        It is given what it may run.
        """
        source = open_source(X, self._input_shape, None)
        instance = self._take()
        try:
            output = np.empty((len(source), *self._output_shape), self.dtype)
            whole = np.full(len(source), self._input_shape[-1]) if self.masked else None
            ends = self._ends(whole, source)
            external, _held = self._prepare(instance, source, {OUTPUT: output, **ends})
            return how(instance, self._pool, external)
        finally:
            self._free.append(instance)

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
        timed = self.measure(X, Instance.run_calls)
        calls, seconds, waiting = self._compiled.plan.calls, dict[str, float](), 0.0
        known = {PACK, OUTPUT, *(task.output for task in self.tasks)}
        for call, (taken, samples) in zip(calls, timed, strict=True):
            waiting += taken / samples
            if call.label in known:  # what prepares memory counts for the call that needs it
                seconds[call.label] = seconds.get(call.label, 0.0) + waiting
                waiting = 0.0
        return seconds
