"""Measuring what only shows in a whole program: convoys, cuts, and the gradients of weights.

The candidates of all segments are measured together, in programs whose convoys are so many times
as large as those of the cost model; so are the gradients of all layers, by fast forms in one
program and directly in the other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from convoi.codegen.target import current_target
from convoi.compiler.choose import MOST_CONVOY
from convoi.compiler.choose_fast import (
    DIRECT,
    forward_choice,
    gradient_choice,
    gradient_signature,
)
from convoi.compiler.convoys import CUT, UNCUT, convoy_signature, cut_signature
from convoi.compiler.inference import InferenceProgram
from convoi.compiler.measured import Tuned
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.compiler.rules_fast import SUMS
from convoi.compiler.training import TrainingProgram
from convoi.compiler.tuned import forced
from convoi.graph import INPUT
from convoi.ops import Conv, ConvBackwardWeight, CrossEntropy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from convoi.compiler.pipeline import Compiled
    from convoi.graph import Graph
    from convoi.runtime.plan import Segment
    from convoi.runtime.program import Instance
    from convoi.runtime.threads import Pool

    Times: TypeAlias = dict[str, float]
    Measure: TypeAlias = Callable[[Instance, Pool, Mapping[str, int]], Times]

Key = TypeVar("Key")

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""How many times as large as the model's a convoy is tried."""
BATCH = 128
"""The most samples of a batch: as many as a training step usually has."""
BATCH_BYTES = 64 << 20
"""Bytes of input that they may take."""


@dataclass(frozen=True)
class WholePrograms:
    """The programs of a network that are measured.

    Attributes
    ----------
    graph : Graph
        The network.
    dtype : {'float32', 'float64'}
        What it computes in.
    rounds : int
        How often the candidates take turns; the quickest turn of each counts.
    """

    graph: Graph
    dtype: str
    rounds: int

    def convoys(self, *, training: bool) -> Iterator[Tuned]:
        """Measure the samples that pass through each segment together."""
        segments = list(self._segments(training=training))
        sizes = {
            scale: {s.signature: str(_scaled(s.convoy, scale)) for s in segments}
            for scale in SCALES
        }
        programs = {}
        for scale, convoys in sizes.items():
            with forced(convoys):
                programs[scale] = self._program(training=training)
        times = self._take_turns(programs, _segment_times)
        for segment in segments:
            seconds: Times = {}
            for scale in SCALES:
                size = sizes[scale][segment.signature]
                taken = times[scale][segment.labels] / self._samples
                seconds[size] = min(taken, seconds.get(size, taken))
            part = "train" if training else "predict"
            model = str(segment.convoy)
            yield Tuned.decided(segment.name, part, segment.signature, model, seconds)

    def cuts(self, *, training: bool) -> Iterator[Tuned]:
        """Measure whether cutting segments at heavy layers pays."""
        runs = self._cut_segments(training=training)
        if not runs:
            return
        programs = {}
        for candidate in (CUT, UNCUT):
            with forced(dict.fromkeys(runs, candidate)):
                programs[candidate] = self._program(training=training)
        times = self._take_turns(programs, _segment_times)
        for signature, segments in runs.items():
            whole = "\n".join(_labels(segment) for segment in segments)
            if whole not in times[UNCUT]:
                continue
            seconds = {
                CUT: sum(times[CUT][_labels(segment)] for segment in segments) / self._samples,
                UNCUT: times[UNCUT][whole] / self._samples,
            }
            lines = whole.splitlines()
            name = f"{lines[0]} to {lines[-1]}"
            part = "train" if training else "predict"
            yield Tuned.decided(name, part, signature, CUT, seconds)

    def _cut_segments(self, *, training: bool) -> dict[str, list[Segment]]:
        """Return the parts of the segments that are cut, by the signatures of the whole ones."""
        compiled = self._compiled(training=training)
        pairs = zip(compiled.memory.steps, compiled.plan.segments, strict=True)
        found: dict[str, list[Segment]] = {}
        for whole, group in itertools.groupby(pairs, key=lambda pair: pair[0].whole):
            run = list(group)
            if not whole and len(run) > 1:
                steps = [step for steps, _ in run for step in steps.steps]
                found.setdefault(cut_signature(steps), [segment for _, segment in run])
        return found

    def gradients(self) -> Iterator[Tuned]:
        """Measure the gradients of weights that fast forms may compute."""
        layers = self._fast_gradients()
        if not layers:
            return
        programs = {}
        for candidate in ("", DIRECT):
            with forced(dict.fromkeys(layers, candidate)):
                programs[candidate] = self._program(training=True)
        times = self._take_turns(programs, partial(_task_times, self._samples))
        for signature, (layer, form) in layers.items():
            label = f"{layer}/{ConvBackwardWeight.name}"
            seconds = {form: times[""][label], DIRECT: times[DIRECT][label]}
            yield Tuned.decided(layer, "weights", signature, form, seconds)

    @property
    def _samples(self) -> int:
        per_sample = 4 * int(np.prod(self.graph.shape(INPUT)))
        return max(1, min(BATCH, BATCH_BYTES // per_sample))

    def _segments(self, *, training: bool) -> Iterator[_Segment]:
        """Yield the segments that convoys pass, each kind once, with the model's convoys."""
        kinds = [convoy_signature(s.steps) for s in self._compiled(training=training).memory.steps]
        with forced(dict.fromkeys(kinds, "")):
            compiled = self._compiled(training=training)
        seen: set[str] = set()
        plan = compiled.plan
        for steps, segment, kind in zip(compiled.memory.steps, plan.segments, kinds, strict=True):
            if steps.whole or kind in seen:
                continue
            seen.add(kind)
            first, last = steps.steps[0].label, steps.steps[-1].label
            name = first if first == last else f"{first} to {last}"
            yield _Segment(name, kind, segment.convoy, _labels(segment))

    def _compiled(self, *, training: bool) -> Compiled:
        target = current_target()
        if not training:
            return compile_inference(self.graph, self.dtype, target, link=False)
        loss = CrossEntropy()
        return compile_training(self.graph, loss, self.dtype, target, augment=False, link=False)

    def _fast_gradients(self) -> dict[str, tuple[str, str]]:
        """Return for each kind of weight gradient that has a form a layer, and the form."""
        target = current_target()
        found: dict[str, tuple[str, str]] = {}
        for node in self.graph.nodes:
            if not isinstance(node.op, Conv):
                continue
            shape = self.graph.shape(node.inputs[0])
            forward = forward_choice(node.op, shape, self.dtype, target)
            if forward is None:
                continue
            form = forward.tiling.form
            signature = gradient_signature(node.op, shape, form)
            with forced({signature: ""}):
                if gradient_choice(node.op, shape, self.dtype, target) is not None:
                    found.setdefault(signature, (node.name, form))
        return found

    def _program(self, *, training: bool) -> Callable[[Measure], Times]:
        """Return a function that measures a program with a batch of its own."""
        rng = np.random.default_rng(0)
        n = self._samples
        X = rng.standard_normal((n, *self.graph.shape(INPUT)), np.float32)
        specs = self.graph.parameters
        # Variances have to be positive.
        parameters = {name: np.abs(rng.normal(0, 0.1, spec.shape)) for name, spec in specs.items()}
        if not training:
            program = InferenceProgram(self.graph, self.dtype, threads=1)
            program.load(parameters)
            return partial(program.measure, X)
        _, *positions = self.graph.shape(self.graph.outputs[0])
        step = TrainingProgram(self.graph, CrossEntropy(), None, dtype=self.dtype, threads=1)
        step.load(parameters)
        return partial(step.measure, X, np.zeros((n, *positions), np.int64), np.full(n, 1 / n))

    def _take_turns(
        self, programs: Mapping[Key, Callable[[Measure], Times]], measure: Measure
    ) -> dict[Key, Times]:
        """Return the shortest times of each program."""
        times: dict[Key, Times] = {}
        for _ in range(1 + self.rounds):
            for key, run in programs.items():
                turn = run(measure)
                known = times.get(key, turn)
                times[key] = {label: min(turn[label], known[label]) for label in turn}
        return times


@dataclass(frozen=True)
class _Segment:
    name: str
    signature: str
    convoy: int
    labels: str


def _scaled(convoy: int, scale: float) -> int:
    return max(1, min(round(convoy * scale), MOST_CONVOY))


def _labels(segment: Segment) -> str:
    """Return what a segment computes: the same for any convoy."""
    return "\n".join(call.label for call in segment.calls if not call.clears)


def _segment_times(instance: Instance, pool: Pool, external: Mapping[str, int]) -> Times:
    """Return the seconds of each segment."""
    seconds = instance.run_timed(pool, external)
    return {
        _labels(segment): taken
        for segment, taken in zip(instance.plan.segments, seconds, strict=True)
    }


def _task_times(batch: int, instance: Instance, pool: Pool, external: Mapping[str, int]) -> Times:
    """Return the seconds per sample of each task."""
    timed = iter(instance.run_calls(pool, external))
    found: Times = {}
    for segment in instance.plan.segments:
        for call in segment.calls:
            taken, units = next(timed)
            # What runs once for a batch counts for each sample in part.
            share = segment.units / batch if segment.is_fixed else 1.0
            label = call.label.removesuffix(SUMS)
            found[label] = found.get(label, 0.0) + taken / units * share
    return found
