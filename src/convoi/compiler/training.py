"""Programs that train a network: one native call per step."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from convoi.checks import check_choice
from convoi.codegen.target import current_target
from convoi.codegen.types import FLOATS
from convoi.compiler.batches import (
    Transforms,
    check_lengths,
    check_targets,
    check_weights,
    shortest,
    source_table,
)
from convoi.compiler.boundary import PACK
from convoi.compiler.host import (
    Packer,
    check_parameters,
    read_parameter,
    store_parameters,
    typed_memory,
)
from convoi.compiler.memory import PARAMETERS, STATISTICS, ParameterPlace
from convoi.compiler.pipeline import PRECISIONS, Precision, compile_training
from convoi.compiler.prepared import PreparedStep
from convoi.compiler.rules_loss import SEED_BLOCK
from convoi.compiler.sources import open_source
from convoi.compiler.step_record import StepRecord
from convoi.compiler.update import (
    HYPER_BLOCK,
    REDUCED,
    Frame,
    UpdateRule,
    slot_buffer,
)
from convoi.errors import ArgumentError
from convoi.graph import INPUT, Graph
from convoi.kernels.workers import worker_pool
from convoi.runtime.program import Instance
from convoi.runtime.report import Report
from convoi.runtime.threads import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike

    from convoi.ops import Array, Loss
    from convoi.runtime.threads import Pool

Result = TypeVar("Result")


@dataclass(frozen=True)
class StepSettings:
    """The numbers of one step of an optimiser.

    Weight decay acts on the weights of convolutions and dense layers, and not on biases and the
    parameters of normalisations.
    """

    learning_rate: float
    step: int = 1
    """Number of the step, from 1: corrects the bias of Adam's averages."""
    weight_decay: float = 0.0
    momentum: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    clip_norm: float = 0.0
    """The most that the norm of the gradient may be; 0: no limit."""


@dataclass(frozen=True)
class StepResult:
    """What a training step found."""

    loss: float
    prediction: Array
    """``(b, *output_shape)``."""
    gradient_norm: float | None
    """The norm of the gradient before it was limited; None without a limit."""


class TrainingProgram:
    """A network and a loss, compiled to train.

    Parameters
    ----------
    graph : Graph
        A network: the one input "input" and one output.
    loss : Loss
        What is to become small.
    rule : UpdateRule or None
        The optimiser; None computes gradients only.
    augment : bool
        Whether steps are given transforms.
    dtype : {'float32', 'float64'}
        What it computes in.
    threads : int or None
        Threads per step; None: what the process may use. Results do not depend on it.
    precision : {'default', 'high'}
        'default' lets convolutions use the forms of Winograd and Fourier, whose error stays below
        1e-5 of the largest output; 'high' never does.
    masked : bool
        Whether samples are series of unequal length, padded with zeros, and steps are given the
        lengths.
    """

    def __init__(
        self,
        graph: Graph,
        loss: Loss,
        rule: UpdateRule | None,
        *,
        augment: bool = False,
        dtype: str = "float32",
        threads: int | None = None,
        precision: Precision = "default",
        masked: bool = False,
    ) -> None:
        self.graph = graph
        self.masked = masked
        self._shortest = shortest(graph) if masked else 1
        self.loss = loss
        self.rule = rule
        self.augment = augment
        self.dtype = check_choice(dtype, "dtype", "TrainingProgram", tuple(FLOATS))
        check_choice(precision, "precision", "TrainingProgram", PRECISIONS)
        # With a smaller one, the step would be 0 / 0 where gradients were always zero.
        self._least_eps = float(np.finfo(self.dtype).tiny)
        self._threads = resolve_threads(threads, "TrainingProgram")
        self._target = current_target()
        self._report = Report.on("TrainingProgram")
        with self._report.compiling():
            self._compiled = compile_training(
                graph,
                loss,
                dtype,
                self._target,
                augment=augment,
                fast=precision == "default",
                masked=masked,
            )
            self._pool = worker_pool(self._target)
            self._frame = Frame(self._compiled.plan, self._compiled.memory, dtype, self._target)
            plan = self._frame.with_reduction() if rule is None else self._frame.with_update(rule)
        self._report.plan(plan)
        self._packer = Packer(self._compiled, self._target, augment=augment)
        self._instance = Instance(plan, self._threads)
        self._gradient_instance = self._instance if rule is None else None
        self._fill_tables()
        self._other: dict[str, Array] = {}
        self._lock = threading.Lock()

    def sibling(self, threads: int | None = None) -> TrainingProgram:
        """Return a program of the same machine code, with memory of its own and no parameters.

        Both may be used at the same time, by two threads.
        """
        other = copy.copy(self)
        other._become_independent(resolve_threads(threads, "TrainingProgram"))  # noqa: SLF001 - its own class
        return other

    def _become_independent(self, threads: int) -> None:
        self._threads = threads
        self._instance = Instance(self._instance.plan, threads)
        self._gradient_instance = self._instance if self.rule is None else None
        self._fill_tables()
        self._other = {}
        self._lock = threading.Lock()

    # Parameters -------------------------------------------------------------------------------

    def _fill_tables(self) -> None:
        for buffer, table in self._frame.tables().items():
            typed_memory(self._instance, buffer, table.dtype.name)[: table.size] = table
        fixed = self._instance.fixed_memory()
        self._record = StepRecord(fixed[HYPER_BLOCK])
        self._record.set_integer("chunk_bytes", self._frame.chunk_bytes)
        seed = fixed.get(SEED_BLOCK.name)
        self._seed = None if seed is None else seed.view(np.uint64).data

    def load(
        self,
        parameters: Mapping[str, Array],
        slots: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> None:
        """Take over parameters, and what the optimiser remembers (zeros if not given).

        Raises
        ------
        ArgumentError, ShapeError
            If a parameter, or a slot's array for one, is missing or has another shape.
        """
        check_parameters(self.graph.parameters, parameters)
        if slots is not None:
            specs = self.graph.parameters
            trainable = {name: spec for name, spec in specs.items() if spec.kind.trainable}
            for slot in self._slots:
                check_parameters(trainable, slots.get(slot, {}), f"slot {slot!r}")
        with self._lock:
            self._other = {name: np.array(value) for name, value in parameters.items()}
            store_parameters(self._instance, self._compiled, parameters, self.dtype)
            for slot in self._slots:
                memory = typed_memory(self._instance, slot_buffer(slot), self.dtype)
                memory[:] = 0
                if slots is None:
                    continue
                for place in self._trainable():
                    packed = place.packing.pack(slots[slot][place.packing.parameter], self.dtype)
                    memory[place.offset : place.offset + packed.size] = packed

    def parameters(self) -> dict[str, Array]:
        """Return the parameters as they are after the last step."""
        with self._lock:
            found = dict(self._other)
            for place in self._compiled.memory.places.values():
                packing = place.packing
                if packing.transposed or packing.parameter not in self.graph.parameters:
                    continue
                shape = self.graph.parameters[packing.parameter].shape
                found[packing.parameter] = read_parameter(self._instance, place, shape, self.dtype)
        return {name: found[name] for name in self.graph.parameters}

    def slots(self) -> dict[str, dict[str, Array]]:
        """Return what the optimiser remembers, by slot and parameter."""
        with self._lock:
            return {slot: self._read_all(slot_buffer(slot)) for slot in self._slots}

    @property
    def _slots(self) -> tuple[str, ...]:
        return self.rule.slots if self.rule else ()

    def _trainable(self) -> list[ParameterPlace]:
        return [p for p in self._compiled.memory.places.values() if p.buffer == PARAMETERS]

    def _read_all(self, buffer: str) -> dict[str, Array]:
        memory = typed_memory(self._instance, buffer, self.dtype)
        found = {}
        for place in self._trainable():
            name = place.packing.parameter
            packed = memory[place.offset : place.offset + place.packing.size]
            found[name] = place.packing.unpack(packed, self.graph.parameters[name].shape)
        return {name: found[name] for name in self.graph.parameters if name in found}

    # Steps ------------------------------------------------------------------------------------

    @property
    def is_random(self) -> bool:
        """Whether steps depend on their seed."""
        return self._seed is not None

    def step(
        self,
        X: ArrayLike,
        indices: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike,
        settings: StepSettings,
        *,
        seed: int = 0,
        transforms: Transforms | None = None,
        lengths: ArrayLike | None = None,
    ) -> StepResult:
        """Train on some rows of ``X``; change the parameters.

        Parameters
        ----------
        X : array_like ``(n, *input_shape)``
            Any numeric dtype and strides; most are read in place.
        indices : array of int64 ``(b,)``
            The rows.
        target : array_like
            Their classes ``(b, *S)`` (int64), or values ``(b, *output_shape)``.
        weight : array_like ``(b,)``
            Their weights, whose sum is usually 1.
        settings : StepSettings
            The optimiser's numbers.
        seed : int
            Of the random numbers of dropout.
        transforms : Transforms or None
            Only for programs made with ``augment``.
        lengths : array of int64 ``(b,)``, optional
            The length of each of the samples; only for masked programs, which need it.

        Raises
        ------
        ShapeError, ArgumentTypeError
            If an array has another shape or dtype.
        ArgumentError
            If there are no samples, an index leads outside of ``X``, a target is no class, ``eps``
            vanishes in the program's dtype, or the program has no rule.
        """
        step = self.prepare(X, indices, target, weight, transforms=transforms, lengths=lengths)
        norm = self.take(step, settings, seed=seed)
        return StepResult(step.loss, step.prediction, norm)

    def prepare(
        self,
        X: ArrayLike,
        indices: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike,
        *,
        transforms: Transforms | None = None,
        lengths: ArrayLike | None = None,
    ) -> PreparedStep:
        """Return a step for :meth:`take`; the parameters are those of :meth:`step`.

        Raises
        ------
        ShapeError, ArgumentTypeError, ArgumentError
            As :meth:`step`.
        """
        source = open_source(X, self.graph.shape(INPUT), indices)
        table = source_table(source, transforms, augment=self.augment)
        samples = len(source)
        output = (samples, *self.graph.shape(self.graph.outputs[0]))
        bounds = (self._shortest, self.graph.shape(INPUT)[-1])
        return PreparedStep(
            source,
            table,
            self._packer.address(source),
            check_targets(target, self.loss, output, self.dtype),
            check_weights(weight, samples, self.dtype),
            check_lengths(lengths, samples, bounds, masked=self.masked),
            losses=np.empty(samples, self.dtype),
            prediction=np.empty(output, self.dtype),
        )

    def take(self, step: PreparedStep, settings: StepSettings, *, seed: int = 0) -> float | None:
        """Take a step that this program has prepared; change the parameters.

        Returns
        -------
        float or None
            The norm of the gradient before it was limited; None without a limit.

        Raises
        ------
        ArgumentError
            If ``eps`` vanishes in the program's dtype, or the program has no rule.
        """
        if self.rule is None:
            message = "This TrainingProgram was made without an optimiser. Give it a rule."
            raise ArgumentError(message)
        with self._lock:
            self._set_numbers(settings, self.rule)
            self._run(self._instance, step, seed)
            return self._record.number("norm") if self.rule.clip else None

    def gradients(
        self,
        X: ArrayLike,
        indices: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike,
        *,
        seed: int = 0,
        transforms: Transforms | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[float, dict[str, Array], Array]:
        """Return loss, gradients of all trainable parameters, and predictions; change nothing."""
        step = self.prepare(X, indices, target, weight, transforms=transforms, lengths=lengths)
        with self._lock:
            if self._gradient_instance is None:
                plan, shared = self._frame.with_reduction(), self._instance.fixed_memory()
                self._gradient_instance = Instance(plan, self._threads, shared)
            statistics = self._instance.memory(STATISTICS)
            before = statistics.copy()
            try:
                self._run(self._gradient_instance, step, seed)
            finally:
                statistics[:] = before
            return step.loss, self._read_all(REDUCED), step.prediction

    def _set_numbers(self, settings: StepSettings, rule: UpdateRule) -> None:
        if rule.kind != "sgd" and settings.eps < self._least_eps:
            message = (
                f"The 'eps' parameter of StepSettings must be at least {self._least_eps} for "
                f"{self.dtype}, got {settings.eps}. Give a larger one."
            )
            raise ArgumentError(message)
        record = self._record
        record.set_number("gradient_scale", 1.0)
        record.set_number("learning_rate", settings.learning_rate)
        record.set_number("weight_decay", settings.weight_decay)
        record.set_number("momentum", settings.momentum)
        if rule.kind != "sgd":
            record.set_number("beta1", settings.beta1)
            record.set_number("beta2", settings.beta2)
            record.set_number("epsilon", settings.eps)
            record.set_number("correction1", 1 - settings.beta1**settings.step)
            record.set_number("correction2", 1 - settings.beta2**settings.step)
        if rule.clip:
            record.set_integer("partials", self._frame.norm_chunks())
            record.set_number("max_norm", settings.clip_norm or np.inf)

    def measure(
        self,
        X: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike,
        how: Callable[[Instance, Pool, Mapping[str, int]], Result],
    ) -> Result:
        """Return what a function finds out about the program that is prepared for a batch.

        It is given what it may run; parameters and running statistics may change.
        """
        step = self.prepare(X, np.arange(len(np.asarray(X))), target, weight)
        with self._lock:
            self._make_ready(self._instance, step, 0)
            return how(self._instance, self._pool, step.addresses)

    def _run(self, instance: Instance, step: PreparedStep, seed: int) -> None:
        self._make_ready(instance, step, seed)
        self._report.run(instance, self._pool, step.addresses, len(step))

    def _make_ready(self, instance: Instance, step: PreparedStep, seed: int) -> None:
        """Let an instance run a step next."""
        self._record.set_integer("chunks", instance.prepare(len(step)))
        if self._seed is not None:
            self._seed[0] = seed % 2**64
        instance.set_kernel(PACK, step.packing)
