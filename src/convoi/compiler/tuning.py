"""Measuring which candidates compute a network quickest on this machine.

Each convolution is compiled alone, once with each candidate, and the candidates take turns. The
gradient with respect to an input is measured as the convolution that it is, of the gradient with
the kernel turned. Then, in whole programs, come the gradients of weights and the convoys.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from convoi.codegen.target import current_target
from convoi.compiler import choose
from convoi.compiler.choose_fast import DIRECT, form_costs, form_signature
from convoi.compiler.inference import InferenceProgram
from convoi.compiler.layouts import conv_of, is_depthwise
from convoi.compiler.measured import Tuned
from convoi.compiler.pipeline import compile_inference
from convoi.compiler.tuned import forced
from convoi.compiler.tuning_programs import WholePrograms
from convoi.graph import INPUT, Builder
from convoi.kernels.correlate import Correlate
from convoi.ops import Conv, Dense

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convoi.graph import Graph
    from convoi.ops import Array

ROUNDS = 7
"""How often the candidates of a layer take turns; the quickest turn of each counts."""
TURN_SECONDS = 0.004
"""How long a turn takes, at least."""
SAMPLES = 64
"""The most samples of a turn."""
SAMPLE_BYTES = 32 << 20
"""Bytes of input that they may take."""
TILES = 3
"""How many tiles of the direct kernel are measured: the cheapest by the cost model."""


@dataclass(frozen=True)
class _Problem:
    """A convolution to measure."""

    layer: str
    part: str
    conv: Conv
    input_shape: tuple[int, ...]


def tune(graph: Graph, dtype: str = "float32", *, training: bool = False) -> Iterator[Tuned]:
    """Measure the candidates of each choice in a network; yield what was found.

    The forms and tiles of each convolution come first, then (with `training`) the gradients of
    weights, then whether segments are cut and the samples that pass through each together.

    Parameters
    ----------
    graph : Graph
        The network.
    dtype : {'float32', 'float64'}
        What it computes in.
    training : bool
        Whether gradients, and a step of training with cross-entropy, are measured, too.

    Notes
    -----
    Nothing is stored: see :func:`convoi.compiler.tuned.store_choices`.
    """
    known: dict[str, str] = {}
    seen: set[tuple[object, ...]] = set()
    for problem in _problems(graph, training=training):
        key = (problem.conv, problem.input_shape)
        if key in seen:
            continue
        seen.add(key)
        for choices in (_forms(problem, dtype), _tiles(problem, dtype, known)):
            signature, candidates = choices
            if len(candidates) < 2 or signature in known:
                continue
            found = _measure(problem, dtype, signature, candidates, known)
            known[signature] = found.best
            yield found
    whole = WholePrograms(graph, dtype, ROUNDS)
    measures = [whole.gradients] if training else []
    for kind in (False, True)[: 1 + training]:
        measures += [partial(whole.cuts, training=kind), partial(whole.convoys, training=kind)]
    for measure in measures:
        with forced(known):
            results = list(measure())
        known |= {result.signature: result.best for result in results}
        yield from results


def _problems(graph: Graph, *, training: bool) -> Iterator[_Problem]:
    for node in graph.nodes:
        conv = conv_of(node)
        if conv is None or not isinstance(node.op, (Conv, Dense)) or not conv.kernel:
            continue
        shape = graph.shape(node.inputs[0])
        if is_depthwise(conv, shape[0]):
            continue
        yield _Problem(node.name, "forward", replace(conv, bias=True), shape)
        if training and node.inputs[0] != INPUT and _invertible(conv):
            yield _Problem(node.name, "backward", _turned(conv, shape), graph.shape(node.name))


def _invertible(conv: Conv) -> bool:
    """Tell whether the gradient is an ordinary convolution."""
    ones = (1,) * len(conv.kernel)
    fits = all(end < k for k, p in zip(conv.kernel, conv.padding, strict=True) for end in p)
    return conv.stride == ones and conv.dilation == ones and conv.groups == 1 and fits


def _turned(conv: Conv, input_shape: tuple[int, ...]) -> Conv:
    """Return the convolution that the gradient with respect to the input is."""
    padding = tuple(
        (k - 1 - low, k - 1 - high)
        for k, (low, high) in zip(conv.kernel, conv.padding, strict=True)
    )
    return replace(conv, filters=input_shape[0], padding=padding, bias=False)


def _forms(problem: _Problem, dtype: str) -> tuple[str, list[str]]:
    """Return the signature of the choice of a form, and the forms that serve."""
    conv, shape = problem.conv, problem.input_shape
    outputs = conv.infer_shape(shape)
    offset = tuple(-low for low, _ in conv.padding)
    costs = form_costs(conv, shape[0], outputs, offset, dtype, current_target())
    return form_signature(conv, shape[0], outputs, offset), list(costs or ())


def _tiles(problem: _Problem, dtype: str, known: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the signature of the choice of a tile, and the cheapest ones; none otherwise."""
    with forced(known):
        kernel = _kernel(problem, dtype)
    if not isinstance(kernel, Correlate) or kernel.weights.groups > 1:
        return "", []
    target = current_target()
    candidates = choose.correlate_candidates(kernel.y, kernel.axes, target)
    words = [str(choice) for _, choice in sorted(candidates, key=lambda found: found[0])]
    return choose.correlate_signature(kernel.y, kernel.axes), words[:TILES]


def _graph(problem: _Problem) -> Graph:
    build = Builder.for_network(problem.input_shape)
    return build.finish(build.layer("conv", problem.conv, INPUT))


def _kernel(problem: _Problem, dtype: str) -> object:
    """Return the kernel that the convolution is computed by."""
    compiled = compile_inference(_graph(problem), dtype, current_target(), link=False)
    steps = [step for segment in compiled.memory.steps for step in segment.steps]
    return next(step.kernel for step in steps if step.label == "conv")


def _chosen(problem: _Problem, dtype: str) -> str:
    """Return the candidate that is chosen, in the words of the choice."""
    kernel = _kernel(problem, dtype)
    if isinstance(kernel, Correlate):
        return str(choose.CorrelateChoice(kernel.weights.blocks, kernel.tile))
    tiling = getattr(kernel, "tiling", None)
    return DIRECT if tiling is None else str(tiling.form)


def _measure(
    problem: _Problem, dtype: str, signature: str, candidates: list[str], known: Mapping[str, str]
) -> Tuned:
    """Let the candidates take turns."""
    with forced({**known, signature: ""}):
        chosen = _chosen(problem, dtype)
    model = chosen if chosen in candidates else DIRECT if DIRECT in candidates else candidates[0]
    graph = _graph(problem)
    rng = np.random.default_rng(0)
    parameters = {name: rng.standard_normal(spec.shape) for name, spec in graph.parameters.items()}
    bytes_per_sample = 4 * int(np.prod(problem.input_shape))
    samples = max(1, min(SAMPLES, SAMPLE_BYTES // bytes_per_sample))
    X = rng.standard_normal((samples, *problem.input_shape), np.float32)
    programs = {}
    for candidate in candidates:
        with forced({**known, signature: candidate}):
            programs[candidate] = InferenceProgram(graph, dtype, threads=1)
        programs[candidate].load(parameters)
        programs[candidate](X)
    seconds = dict.fromkeys(candidates, float("inf"))
    for _ in range(ROUNDS):
        for candidate, program in programs.items():
            seconds[candidate] = min(seconds[candidate], _turn(program, X) / samples)
    return Tuned.decided(problem.layer, problem.part, signature, model, seconds)


def _turn(program: InferenceProgram, X: Array) -> float:
    """Return the processor's seconds of a run, over as many as make up a turn."""
    runs, start = 0, time.thread_time()
    while True:
        program(X)
        runs += 1
        taken = time.thread_time() - start
        if taken >= TURN_SECONDS:
            return taken / runs
