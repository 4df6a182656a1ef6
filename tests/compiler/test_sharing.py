"""Layers whose work threads share: the same bits, however many threads there are."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi.compiler import (
    InferenceProgram,
    StepSettings,
    TrainingProgram,
    UpdateRule,
    choose,
    memory,
    select,
)
from convoi.graph import INPUT, TARGET, WEIGHT, run
from convoi.ops import (
    GELU,
    BatchNorm,
    Conv,
    Dense,
    GlobalAveragePool,
    MaxPool,
    MeanSquaredError,
    ReLU,
)
from tests.cases import pool
from tests.compiler.graphs import (
    CPUS,
    example,
    expected_training,
    network,
    on_cpu,
    program_gradients,
    relative_error,
    same_conv,
)
from tests.kernels.harness import ALL_TARGETS
from tests.strategies import graph_parameters

if TYPE_CHECKING:
    from convoi.config import Cpu
    from convoi.ops import Operation

LAYERS: dict[str, tuple[Operation, tuple[int, ...]]] = {
    "rows of small weights": (Conv(40, (3, 3), (1, 1), ((1, 1),) * 2, (1, 1)), (3, 34, 33)),
    "blocks of large weights": (Conv(150, (3, 3), (2, 2), ((1, 1),) * 2, (1, 1)), (40, 19, 19)),
    "1x1": (Conv(70, (1, 1), (1, 1), ((0, 0),) * 2, (1, 1)), (33, 15, 17)),
    "groups": (Conv(96, (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), groups=3), (48, 20, 20)),
    "depthwise": (Conv(70, (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), groups=70), (70, 33, 33)),
    "strided depthwise": (
        Conv(70, (3, 3), (2, 2), ((1, 1),) * 2, (1, 1), groups=70),
        (70, 65, 65),
    ),
    "one axis": (Conv(70, (5,), (2,), ((2, 2),), (1,)), (40, 301)),
    "three axes": (Conv(20, (3, 3, 3), (1, 1, 1), ((1, 1),) * 3, (1,) * 3), (5, 9, 8, 11)),
    "fast, rows of blocks": (Conv(40, (3, 3), (1, 1), ((1, 1),) * 2, (1, 1)), (24, 37, 35)),
    "fast, blocks of channels": (Conv(100, (3, 3), (1, 1), ((1, 1),) * 2, (1, 1)), (90, 7, 7)),
    "fast, one axis": (Conv(50, (3,), (1,), ((1, 1),), (1,)), (40, 333)),
    "fast, long": (Conv(40, (21,), (1,), ((10, 10),), (1,)), (32, 150)),
    "dense": (Dense(701), (512,)),
    "maxima": (pool(MaxPool, (3, 3), stride=(2, 2), padding=((1, 1), (1, 1))), (33, 65, 63)),
    "maxima along one axis": (pool(MaxPool, (40,), stride=(1,), padding=((19, 20),)), (30, 300)),
}


@CPUS
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same_however_its_units_are_divided(cpu: Cpu, name: str) -> None:
    op, shape = LAYERS[name]
    graph = network(shape, op)
    parameters = graph_parameters(graph, np.random.default_rng(0))
    X = np.random.default_rng(1).standard_normal((3, *shape)).astype("float32")
    want = run(graph, {INPUT: X.astype(float)}, parameters)[graph.outputs[0]]
    with on_cpu(cpu):
        found = {}
        for threads in (1, 2, 3, 7):
            program = InferenceProgram(graph, threads=threads)
            program.load(parameters)
            found[threads] = [program(X[:1]), program(X)]
            assert program._first._shared is (threads in {2, 7})
    assert relative_error(found[1][1], want) < 2e-5
    assert np.array_equal(found[1][0], found[1][1][:1])
    for outputs in found.values():
        assert all(map(np.array_equal, outputs, found[1]))


IN_TRAINING = [
    "rows of small weights", "blocks of large weights", "1x1", "groups", "depthwise", "one axis",
    "three axes", "fast, rows of blocks", "fast, blocks of channels", "fast, long",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "cpu"), list(zip(IN_TRAINING, itertools.cycle(ALL_TARGETS), strict=False))
)
def test_a_training_step_of_one_chunk_is_the_same_however_it_is_divided(
    name: str, cpu: Cpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two samples make a chunk here. Each kernel is divided on all targets in the test above."""
    monkeypatch.setattr(select, "SHARE_IN_TRAINING", 1)
    monkeypatch.setattr(choose, "chunk_samples", lambda *_: (2, 2))
    op, shape = LAYERS[name]
    graph = network(shape, op, GELU(), replace(op, bias=False), BatchNorm(), GlobalAveragePool())
    loss = MeanSquaredError()
    parameters, inputs = example(graph, loss, n=3)
    _, want, _ = expected_training(graph, loss, inputs, parameters)
    found: dict[int, list[np.ndarray]] = {}
    with on_cpu(cpu):
        for threads in (1, 2, 3):
            program = TrainingProgram(graph, loss, UpdateRule("sgd"), threads=threads)
            program.load(parameters)
            results = []
            for rows in ([0], [0, 1, 2], [2, 0], [1]):
                arrays = (inputs[name][rows] for name in (TARGET, WEIGHT))
                step = program.step(inputs[INPUT], rows, *arrays, StepSettings(0.01))
                assert program._instance._shared is (len(rows) <= 2 and threads > 1)
                results += [step.prediction, np.array(step.loss)]
            found[threads] = [*results, *program.parameters().values()]
        program.load(parameters)
        _, gradients, _ = program_gradients(program, inputs)
    for results in found.values():
        assert all(map(np.array_equal, results, found[1]))
    assert max(relative_error(gradients[n], want[n]) for n in want) < 1e-4


@CPUS
@pytest.mark.parametrize("apart", [0, 8 << 20])
def test_layers_in_a_row_find_what_all_threads_wrote(
    cpu: Cpu, apart: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST_APART", apart)
    graph = network(
        (3, 96, 80),
        same_conv(24, (3, 3)),
        ReLU(),
        same_conv(24, (3, 3), groups=24),
        same_conv(40, (1, 1)),
        ReLU(),
        same_conv(32, (3, 3)),
        GlobalAveragePool(),
        Dense(10),
    )
    parameters = graph_parameters(graph, np.random.default_rng(0))
    X = np.random.default_rng(1).standard_normal((2, 3, 96, 80)).astype("float32")
    with on_cpu(cpu):
        programs = [InferenceProgram(graph, threads=threads) for threads in (1, 2, 5)]
        for program in programs:
            program.load(parameters)
        units = {c.kernel: c.units for c in programs[1]._compiled.plan.calls if c.units > 1}
        assert {"Pack", "ClearHalo", "DepthwiseCorrelate"} <= units.keys()
        for x in (X[:1], X[1:], X[:1]):
            one, *others = [program(x) for program in programs]
            assert all(np.array_equal(one, other) for other in others)
    want = run(graph, {INPUT: X[:1].astype(float)}, parameters)[graph.outputs[0]]
    assert relative_error(one, want) < 2e-5
