"""The optimisers' rules through whole steps, against their formulas in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import StepSettings, TrainingProgram, UpdateRule
from convoi.compiler.memory import PARAMETERS, TRANSPOSED
from convoi.compiler.pipeline import compile_training
from convoi.compiler.update import Frame
from convoi.errors import CompilationError
from convoi.graph import INPUT, TARGET, WEIGHT
from convoi.runtime.plan import Buffer, Space
from tests.cases import conv
from tests.compiler.graphs import example, network, program_gradients

if TYPE_CHECKING:
    from convoi.graph import Graph

LOSS = ops.CrossEntropy()
STEPS = [
    StepSettings(0.1, 1, 0.02, momentum=0.9, beta1=0.8, beta2=0.95, eps=1e-3, clip_norm=0.7),
    StepSettings(0.05, 2, 0.02, momentum=0.9, beta1=0.8, beta2=0.95, eps=1e-3, clip_norm=0.01),
    StepSettings(0.2, 3, 0.0, momentum=0.5, beta1=0.9, beta2=0.99, eps=1e-8, clip_norm=0.0),
]


def small() -> Graph:
    return network(
        (3, 9),
        conv(20, (3,), bias=True),
        ops.BatchNorm(),
        ops.SiLU(),
        conv(20, (3,), groups=20),
        conv(6, (2,), groups=2),
        ops.Flatten(),
        ops.Dense(4),
    )


class Reference:
    """The rules as PyTorch's documentation writes them."""

    def __init__(self, rule: UpdateRule, parameters, decayed: set[str]) -> None:
        self.rule = rule
        self.parameters = {name: array.copy() for name, array in parameters.items()}
        self.decayed = decayed
        self.slots = {
            slot: {name: np.zeros_like(array) for name, array in parameters.items()}
            for slot in rule.slots
        }
        self.norm = 0.0

    def step(self, gradients, n: StepSettings) -> None:
        self.norm = float(np.sqrt(sum((g**2).sum() for g in gradients.values())))
        scale = 1.0
        if self.rule.clip and n.clip_norm:
            scale = min(1.0, n.clip_norm / (self.norm + 1e-6))
        for name, gradient in gradients.items():
            decay = n.weight_decay if name in self.decayed else 0.0
            update = self.sgd if self.rule.kind == "sgd" else self.adam
            self.parameters[name] = update(name, gradient * scale, decay, n)

    def sgd(self, name: str, g, decay: float, n: StepSettings):
        p = self.parameters[name]
        g = g + decay * p
        if not self.rule.momentum:
            return p - n.learning_rate * g
        v = self.slots["momentum"][name] = n.momentum * self.slots["momentum"][name] + g
        return p - n.learning_rate * (g + n.momentum * v if self.rule.nesterov else v)

    def adam(self, name: str, g, decay: float, n: StepSettings):
        p = self.parameters[name]
        if self.rule.kind == "adamw":
            p = p - n.learning_rate * decay * p
        else:
            g = g + decay * p
        m = n.beta1 * self.slots["mean"][name] + (1 - n.beta1) * g
        v = n.beta2 * self.slots["square"][name] + (1 - n.beta2) * g**2
        self.slots["mean"][name], self.slots["square"][name] = m, v
        m_hat, v_hat = m / (1 - n.beta1**n.step), v / (1 - n.beta2**n.step)
        return p - n.learning_rate * m_hat / (np.sqrt(v_hat) + n.eps)


RULES = [
    UpdateRule("sgd"),
    UpdateRule("sgd", clip=True),
    UpdateRule("sgd", momentum=True),
    UpdateRule("sgd", momentum=True, nesterov=True, clip=True),
    UpdateRule("adam"),
    UpdateRule("adamw"),
    UpdateRule("adamw", clip=True),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_follow_the_formulas(rule: UpdateRule, dtype: str) -> None:
    graph = small()
    parameters, inputs = example(graph, LOSS, 40)
    program = TrainingProgram(graph, LOSS, rule, dtype=dtype, threads=2)
    program.load(parameters)
    trainable = [name for name, spec in graph.parameters.items() if spec.kind.trainable]
    weights = {n for n in trainable if graph.parameters[n].kind is ops.ParameterKind.WEIGHT}
    reference = Reference(rule, {name: parameters[name] for name in trainable}, weights)
    tolerance = 1e-11 if dtype == "float64" else 2e-5
    for numbers in STEPS:
        gradients = program_gradients(program, inputs)[1]
        rows = np.arange(40)
        result = program.step(inputs[INPUT], rows, inputs[TARGET], inputs[WEIGHT], numbers)
        reference.step({k: g.astype(np.float64) for k, g in gradients.items()}, numbers)
        held, slots = program.parameters(), program.slots()
        for name in trainable:
            want = reference.parameters[name]
            np.testing.assert_allclose(held[name], want, rtol=tolerance, atol=tolerance)
            for slot in rule.slots:
                want = reference.slots[slot][name]
                np.testing.assert_allclose(slots[slot][name], want, rtol=tolerance, atol=tolerance)
        if rule.clip:
            assert result.gradient_norm == pytest.approx(reference.norm, rel=1e-5)
        else:
            assert result.gradient_norm is None


@pytest.mark.parametrize(
    ("rule", "slots"),
    [
        (UpdateRule("sgd"), ()),
        (UpdateRule("sgd", momentum=True), ("momentum",)),
        (UpdateRule("adam"), ("mean", "square")),
        (UpdateRule("adamw"), ("mean", "square")),
    ],
    ids=str,
)
def test_a_rule_names_what_it_remembers(rule: UpdateRule, slots: tuple[str, ...]) -> None:
    assert rule.slots == slots


def frame_of(graph: Graph, dtype: str = "float32") -> Frame:
    target = current_target()
    compiled = compile_training(graph, LOSS, dtype, target, augment=False)
    return Frame(compiled.plan, compiled.memory, dtype, target)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_are_packed_anew_from_the_parameters(dtype: str) -> None:
    graph = small()
    frame = frame_of(graph, dtype)
    parameters, _ = example(graph, LOSS, 1)
    places = frame.memory.places.values()
    held = np.zeros(frame._bytes(PARAMETERS) // frame.itemsize, dtype)
    for place in places:
        if place.buffer == PARAMETERS:
            packed = place.packing.pack(parameters[place.packing.parameter], dtype)
            held[place.offset : place.offset + packed.size] = packed
    turned = held[frame.gather_index()]
    anew = [place for place in places if place.buffer == TRANSPOSED]
    assert {place.packing.parameter for place in anew} == {"4.weight", "6.weight"}
    for place in anew:
        want = place.packing.pack(parameters[place.packing.parameter], dtype)
        np.testing.assert_array_equal(turned[place.offset : place.offset + want.size], want)


def test_only_weights_decay() -> None:
    graph = small()
    frame = frame_of(graph)
    factors = frame.decay_factors()
    per_granule = 64 // frame.itemsize
    for place in frame.memory.places.values():
        if place.buffer == PARAMETERS:
            first, last = place.offset, place.offset + place.packing.size - 1
            decays = {factors[first // per_granule], factors[last // per_granule]}
            is_weight = place.packing.kind is ops.ParameterKind.WEIGHT
            assert decays == {float(is_weight)}
    assert factors[0] == 0


def test_more_parameters_than_int32_counts_are_refused() -> None:
    frame = frame_of(small())
    huge = [
        Buffer(b.name, b.space, 2**34) if b.name == PARAMETERS else b for b in frame.plan.buffers
    ]
    assert any(buffer.space is Space.FIXED and buffer.bytes == 2**34 for buffer in huge)
    plan = type(frame.plan)(frame.plan.segments, tuple(huge), frame.plan.chunking)
    with pytest.raises(CompilationError, match=r"has 4294967296 parameters, .* at most 2147483647"):
        Frame(plan, frame.memory, "float32", frame.target).gather_index()
