"""Programs of tiled and locally connected convolutions, at every vector width."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import InferenceProgram, StepSettings, TrainingProgram, UpdateRule
from convoi.compiler.choose_tiled import tiled_choice
from convoi.compiler.simplify import simplify_inference
from convoi.graph import INPUT, TARGET, WEIGHT
from convoi.kernels.layout import Layout
from tests.cases import conv, tiled
from tests.compiler.graphs import (
    CPUS,
    example,
    expected_training,
    network,
    on_cpu,
    program_gradients,
    relative_error,
)

CASES = {
    "local 1-D": ((3, 17), tiled(16, (3,), (15,))),
    "local 2-D padded": ((5, 6, 7), tiled(17, (3, 2), (6, 8), padding=1, shared_bias=True)),
    "local strided, dilated": ((16, 9, 8), tiled(4, (3, 2), (4, 3), stride=2, dilation=(1, 3))),
    "local grouped": ((6, 5, 5), tiled(9, (3, 3), (5, 5), padding=1, groups=3)),
    "local depthwise": ((33, 5, 4), tiled(33, (2, 2), (4, 3), groups=33, flip=True)),
    "local 3-D": ((4, 3, 4, 3), tiled(15, (2, 2, 2), (2, 3, 2), bias=False)),
    "tile 2 of 7": ((15, 7, 7), tiled(33, (3, 3), (2, 3), padding=1, flip=True)),
    "tile 3, stride 2": ((1, 31), tiled(5, (4,), (3,), stride=2, padding=((1, 2),))),
    "gaps between windows": ((3, 11), tiled(8, (2,), (2,), stride=4)),
    "depthwise tile": ((5, 9, 8), tiled(5, (3, 3), (2, 2), padding=1, groups=5, stride=2)),
}  # fmt: skip
EACH_CASE = pytest.mark.parametrize(("shape", "op"), CASES.values(), ids=CASES)
DTYPES = {"float32": 3e-6, "float64": 1e-13}
SAMPLES = 11
"""More than a tile of samples, and no multiple of it."""


def surrounded(shape, op):
    """Return a network in which the operation also has a gradient to pass on and an epilogue."""
    channels, rank = shape[0], len(shape) - 1
    return network(shape, conv(channels, (1,) * rank), op, ops.Tanh())


@CPUS
@EACH_CASE
def test_outputs_and_gradients_are_those_of_the_definition(cpu, shape, op):
    graph, loss = surrounded(shape, op), ops.MeanSquaredError()
    parameters, inputs = example(graph, loss, SAMPLES)
    dtype = "float64" if list(CASES.values()).index((shape, op)) % 3 == 2 else "float32"
    value, gradients, prediction = expected_training(graph, loss, inputs, parameters)
    with on_cpu(cpu):
        program = TrainingProgram(graph, loss, None, dtype=dtype, threads=1)
        program.load(parameters)
        found = program_gradients(program, inputs)
        inference = InferenceProgram(graph, dtype=dtype, threads=1)
        inference.load(parameters)
        output = inference(inputs[INPUT])
    tolerance = 10 * DTYPES[dtype]
    assert found[0] == pytest.approx(value, rel=tolerance)
    assert relative_error(found[2], prediction) < tolerance
    assert relative_error(output, prediction) < tolerance
    for name, expected in gradients.items():
        assert relative_error(found[1][name], expected) < tolerance, name


def test_unshared_weights_that_never_meet_the_input_have_no_gradient():
    op = tiled(4, (3,), (5,), padding=1, bias=False)
    graph, loss = surrounded((2, 5), op), ops.MeanSquaredError()
    parameters, inputs = example(graph, loss, 3)
    program = TrainingProgram(graph, loss, None, dtype="float64", threads=1)
    program.load(parameters)
    gradient = program_gradients(program, inputs)[1]["1.weight"]
    assert np.all(gradient[:, :, 0, 0] == 0)
    assert np.all(gradient[:, :, 2, 4] == 0)
    assert np.all(gradient[:, :, 1] != 0)


def test_a_batch_norm_is_folded_into_local_weights():
    shape = (3, 6, 5)
    for op in (
        tiled(8, (3, 3), (4, 3)),
        tiled(8, (3, 3), (4, 3), bias=False),
        tiled(8, (3, 3), (4, 3), shared_bias=True),
    ):
        graph = network(shape, op, ops.BatchNorm(eps=0.1), ops.ReLU())
        parameters, inputs = example(graph, ops.MeanSquaredError(), 4)
        program = InferenceProgram(graph, dtype="float64", threads=1)
        program.load(parameters)
        expected = inputs[INPUT]
        for node in graph.nodes:
            weights = [parameters[name] for name in node.parameters]
            expected = node.op.reference(expected, *weights)
        assert relative_error(program(inputs[INPUT]), expected) < 1e-13
        assert [type(node.op) for node in simplify_inference(graph).graph.nodes] == [
            ops.TiledConv,
            ops.ReLU,
        ]


def test_an_optimiser_step_moves_every_weight_against_its_gradient():
    graph, loss = surrounded((3, 6, 5), tiled(8, (3, 3), (4, 3))), ops.MeanSquaredError()
    parameters, inputs = example(graph, loss, SAMPLES)
    gradients = expected_training(graph, loss, inputs, parameters)[1]
    program = TrainingProgram(graph, loss, UpdateRule("sgd"), dtype="float64", threads=1)
    program.load(parameters)
    rows = np.arange(SAMPLES)
    settings = StepSettings(learning_rate=0.1, step=1)
    program.step(inputs[INPUT], rows, inputs[TARGET], inputs[WEIGHT], settings)
    for name, moved in program.parameters().items():
        expected = parameters[name] - 0.1 * gradients[name]
        assert relative_error(moved, expected) < 1e-13, name


def test_threads_do_not_change_a_bit():
    graph = surrounded((5, 8, 7), tiled(17, (3, 3), (3, 8), padding=((1, 1), (2, 1))))
    loss = ops.MeanSquaredError()
    parameters, inputs = example(graph, loss, 70)
    results = []
    for threads in (1, 2):
        program = TrainingProgram(graph, loss, None, dtype="float32", threads=threads)
        program.load(parameters)
        results.append(program_gradients(program, inputs)[1])
    for name, one in results[0].items():
        np.testing.assert_array_equal(one, results[1][name])


def test_the_tile_spans_samples_only_where_few_positions_share_weights():
    y = Layout(16, (16, 16), 4)
    assert tiled_choice(y, (1, 1), current_target()).tile.samples > 1
    assert tiled_choice(y, (16, 16), current_target()).tile.samples == 1
