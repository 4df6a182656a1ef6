"""Programs of values and gradients against the NumPy definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.compiler import InferenceProgram, ValuesProgram, VectorJacobianProgram
from convoi.errors import ArgumentError, ShapeError
from convoi.graph import INPUT, TARGET, Builder, differentiate, run
from tests.cases import conv, pool
from tests.compiler.graphs import CPUS, network, on_cpu, relative_error, same_conv
from tests.strategies import graph_parameters, random_graphs, training_inputs

MSE = ops.MeanSquaredError()
OTHERWISE_IN_TRAINING = (ops.BatchNorm, ops.Dropout, ops.StochasticPool, ops.FractionalMaxPool)


def smooth(shape=(2, 9, 8)):
    """Return a network that can be differentiated everywhere, with statistics and dropout."""
    build = Builder.for_network(shape)
    value = build.layer("dropout", ops.Dropout(0.5), INPUT)
    value = build.layer("standard", ops.Standardize(), value)
    value = first = build.layer("conv", same_conv(6, (3, 3)), value)
    value = build.layer("norm", ops.BatchNorm(), value)
    value = build.layer("tanh", ops.Tanh(), value)
    value = build.layer("sum", ops.Add(), value, first)
    value = build.layer("alone", ops.BatchNorm(), value)
    value = build.layer("pool", pool(ops.AveragePool, (2, 2)), value)
    value = build.layer("flat", ops.Flatten(), value)
    value = build.layer("silu", ops.SiLU(), value)
    return build.finish(build.layer("dense", ops.Dense(3), value))


def loaded(program, parameters):
    program.load(parameters)
    return program


@CPUS
@settings(max_examples=2)
@given(graph=random_graphs(max_depth=5), dtype=st.sampled_from(["float32", "float64"]))
def test_all_values_of_a_network_are_those_of_its_definition(cpu, graph, dtype):
    names = [node.name for node in graph.nodes]
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    X = rng.standard_normal((5, *graph.shape(INPUT)))
    want = run(graph, {INPUT: X}, parameters)
    with on_cpu(cpu):
        found = loaded(ValuesProgram(graph, names, dtype, threads=1), parameters)(X)
    assert list(found) == names
    for name in names:
        assert relative_error(found[name], want[name]) < {"float32": 3e-5, "float64": 1e-11}[dtype]


@CPUS
@settings(max_examples=2)
@given(
    graph=random_graphs(max_depth=5, accept=lambda op: not isinstance(op, OTHERWISE_IN_TRAINING))
)
def test_gradients_of_random_networks_are_those_of_their_definition(cpu, graph):
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    inputs = training_inputs(graph, MSE, rng, n=4)
    weights = rng.standard_normal((4, *graph.shape(graph.outputs[0])))
    # The gradient of the squared error is that of the output times twice the error.
    prediction = run(graph, {INPUT: inputs[INPUT]}, parameters)[graph.outputs[0]]
    inputs[TARGET] = prediction - weights * 4 * weights[0].size / 2
    training = differentiate(graph, MSE, input_gradient=True)
    want = run(training.graph, inputs, parameters)[training.input_gradient]
    with on_cpu(cpu):
        program = loaded(VectorJacobianProgram(graph, dtype="float64", threads=1), parameters)
        found = program(inputs[INPUT], weights)
    assert relative_error(found, want) < 1e-10


@pytest.mark.parametrize("value", [INPUT, "dropout", "standard"])
def test_statistics_and_dropout_are_those_of_predictions(value):
    graph = smooth()
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    X = rng.standard_normal((3, *graph.shape(INPUT)))
    weights, direction = rng.standard_normal((3, 3)), rng.standard_normal(X.shape)
    std = parameters["standard.std"].reshape(1, -1, 1, 1) if value == "standard" else 1.0

    def total(step):
        return (run(graph, {INPUT: X + step * direction}, parameters)["dense"] * weights).sum()

    program = VectorJacobianProgram(graph, value, "float64", threads=1)
    found = (loaded(program, parameters)(X, weights) * direction / std).sum()
    assert found == pytest.approx((total(1e-6) - total(-1e-6)) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("value", ["conv", "tanh", "sum", "flat", "silu"])
def test_the_gradient_by_a_layer_continues_to_that_by_the_input(value):
    """A change of the layer's values that follows from one of the input has the same effect."""
    graph = smooth()
    rng = np.random.default_rng(1)
    parameters = graph_parameters(graph, rng)
    X = rng.standard_normal((3, *graph.shape(INPUT)))
    weights, direction = rng.standard_normal((3, 3)), rng.standard_normal(X.shape)
    programs = [VectorJacobianProgram(graph, v, "float64", threads=1) for v in (INPUT, value)]
    by_input, by_value = (loaded(p, parameters)(X, weights) for p in programs)
    moved, back = (
        run(graph, {INPUT: X + step * direction}, parameters)[value] for step in (1e-6, -1e-6)
    )
    slope = (by_value * (moved - back) / 2e-6).sum()
    # The sum also reads the convolution directly: behind it only do its values say all.
    if value == "tanh":
        assert slope != pytest.approx((by_input * direction).sum(), rel=1e-6)
    else:
        assert slope == pytest.approx((by_input * direction).sum(), rel=1e-6)


@pytest.mark.parametrize("precision", ["default", "high"])
def test_gradients_through_forms_are_as_near_as_predictions(precision):
    graph = network((32, 12, 12), same_conv(48, (3, 3)), ops.Tanh(), same_conv(32, (3, 3)))
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    X = rng.standard_normal((2, 32, 12, 12))
    weights = rng.standard_normal((2, *graph.shape(graph.outputs[0])))
    exact = loaded(VectorJacobianProgram(graph, dtype="float64"), parameters)(X, weights)
    program = loaded(VectorJacobianProgram(graph, precision=precision), parameters)
    assert relative_error(program(X, weights), exact) < {"default": 3e-5, "high": 3e-6}[precision]


def test_the_values_of_the_output_are_the_prediction():
    graph = smooth()
    parameters = graph_parameters(graph, np.random.default_rng(0), np.float32)
    X = np.random.default_rng(1).integers(0, 256, (4, 2, 9, 8), np.uint8)
    values = loaded(ValuesProgram(graph, ["dropout", "dense"]), parameters)(X)
    prediction = loaded(InferenceProgram(graph), parameters)(X)
    np.testing.assert_allclose(values["dense"], prediction, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(values["dropout"], X.astype(np.float32))


def test_no_samples_have_no_values_and_no_gradients():
    graph = smooth()
    parameters = graph_parameters(graph, np.random.default_rng(0))
    X = np.zeros((0, 2, 9, 8))
    assert loaded(ValuesProgram(graph, ["tanh"]), parameters)(X)["tanh"].shape == (0, 6, 9, 8)
    program = loaded(VectorJacobianProgram(graph, "pool"), parameters)
    assert program(X, np.zeros((0, 3))).shape == (0, 6, 4, 4)


def test_the_gradient_by_the_output_is_what_was_given():
    graph = network((2, 5), conv(3, (3,)))
    program = VectorJacobianProgram(graph, "0")
    program.load(graph_parameters(graph, np.random.default_rng(0)))
    weights = np.random.default_rng(1).standard_normal((2, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(program(np.ones((2, 2, 5)), weights), weights)


def test_refuses_a_gradient_of_another_shape_and_a_value_without_effect():
    graph = network((2, 5), conv(3, (3,)))
    with pytest.raises(ShapeError, match=r"'output_gradient' .* must have the shape \(1, 3, 3\)"):
        VectorJacobianProgram(graph)(np.ones((1, 2, 5)), np.ones((1, 3)))
    build = Builder.for_network((4,))
    build.layer("idle", ops.Dense(3), INPUT)
    with pytest.raises(ArgumentError, match="does not depend on a value 'idle'"):
        VectorJacobianProgram(build.finish(build.layer("used", ops.Dense(3), INPUT)), "idle")
    pooled = network((1, 6, 6), ops.FractionalMaxPool((3, 3)))
    with pytest.raises(ArgumentError, match=r"through '0': a FractionalMaxPool has a gradient in"):
        VectorJacobianProgram(pooled)
