"""From a network to its training step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.errors import ArgumentError
from convoi.graph import (
    INPUT,
    OUTPUT_GRADIENT,
    SEED,
    TARGET,
    WEIGHT,
    Builder,
    Graph,
    Node,
    differentiate,
    run,
    vector_jacobian,
)
from convoi.ops import Domain, ParameterKind, ParameterSpec
from tests.cases import conv
from tests.strategies import graph_parameters, losses, random_graphs, training_inputs

MSE = ops.MeanSquaredError()


def chain(shape, *layers):
    build = Builder.for_network(shape)
    value = INPUT
    for index, op in enumerate(layers):
        value = build.layer(str(index), op, value)
    return build.finish(value)


def relative_error(graph, loss, seed):
    """Compare gradients with central differences along a random direction of everything."""
    rng = np.random.default_rng(seed)
    training = differentiate(graph, loss, input_gradient=True)
    start = graph_parameters(graph, rng)
    arrays = training_inputs(graph, loss, rng, n=3)
    values = run(training.graph, arrays, start)
    gradients = {name: values[value] for name, value in training.gradients.items()}
    if training.input_gradient is not None:
        gradients[INPUT] = values[training.input_gradient]
    direction = {name: rng.standard_normal(g.shape) for name, g in gradients.items()}

    def total(step):
        moved = {
            name: array + step * direction.get(name, 0.0)
            for name, array in {**start, INPUT: arrays[INPUT]}.items()
        }
        given = {**arrays, INPUT: moved.pop(INPUT)}
        return run(training.graph, given, moved)[training.loss].sum()

    slope = sum((gradients[name] * direction[name]).sum() for name in gradients)
    # A kink between the two points spoils one step size, cancellation another.
    differences = [(total(step) - total(-step)) / (2 * step) for step in (1e-4, 1e-6, 1e-8)]
    scale = max(abs(slope), 1e-3 * max(np.linalg.norm(g) for g in gradients.values()), 1e-6)
    return min(abs(difference - slope) for difference in differences) / scale


OTHERWISE_IN_TRAINING = (
    ops.BatchNorm,
    ops.Dropout,
    ops.FractionalMaxPool,
    ops.StochasticPool,
)


@settings(max_examples=150)
@given(random_graphs(), losses(), st.integers(0, 9))
def test_gradients_of_random_networks_agree_with_differences(graph, loss, seed):
    assert relative_error(graph, loss, seed) < 1e-4


@given(random_graphs(), losses())
def test_gradients_have_the_shapes_of_what_they_change(graph, loss):
    training = differentiate(graph, loss, input_gradient=True)
    for name, value in training.gradients.items():
        assert training.graph.shape(value) == graph.parameters[name].shape
        assert training.graph.domain(value) is Domain.BATCH
    trainable = [name for name, spec in graph.parameters.items() if spec.kind.trainable]
    assert list(training.gradients) == trainable
    assert training.graph.shape(training.input_gradient) == graph.shape(INPUT)
    assert training.graph.domain(training.input_gradient) is Domain.SAMPLE


@given(random_graphs(accept=lambda op: not isinstance(op, OTHERWISE_IN_TRAINING)))
def test_without_randomness_and_batch_norm_the_prediction_is_the_networks(graph):
    rng = np.random.default_rng(0)
    parameters, arrays = graph_parameters(graph, rng), training_inputs(graph, MSE, rng, n=2)
    training = differentiate(graph, MSE)
    np.testing.assert_allclose(
        run(training.graph, arrays, parameters)[training.prediction],
        run(graph, arrays, parameters)[graph.outputs[0]],
        rtol=1e-12,
    )


@given(random_graphs(), losses(), st.booleans())
def test_nothing_is_computed_in_vain(graph, loss, input_gradient):
    training = differentiate(graph, loss, input_gradient=input_gradient).graph
    needed = set(training.outputs)
    for node in reversed(training.nodes):
        assert node.name in needed
        needed.update(node.inputs)


def test_the_first_layer_has_no_gradient_of_its_input():
    training = differentiate(chain((2, 9), conv(3, (3,)), ops.ReLU(), conv(2, (3,))), MSE)
    backward = [node.name for node in training.graph.nodes if "backward_data" in node.name]
    assert backward == ["2/conv_backward_data"]
    assert training.input_gradient is None


def test_layers_in_front_of_the_first_parameter_have_no_gradient():
    layers = (ops.Standardize(), ops.MaxPool((2,), (2,), ((0, 0),)), conv(3, (3,)))
    training = differentiate(chain((2, 9), *layers), MSE)
    assert not any("max_pool_backward" in node.name for node in training.graph.nodes)


def test_the_input_gradient_is_computed_when_asked_for():
    training = differentiate(chain((2, 9), conv(3, (3,))), MSE, input_gradient=True)
    assert training.input_gradient == "0/conv_backward_data"
    assert training.input_gradient in training.graph.outputs


def test_batch_norm_reports_its_running_statistics():
    training = differentiate(chain((2, 9), conv(3, (3,)), ops.BatchNorm(momentum=0.25)), MSE)
    (statistics,) = training.statistics
    assert (statistics.mean, statistics.variance) == ("1.running_mean", "1.running_var")
    assert statistics.momentum == 0.25
    assert training.graph.shape(statistics.moments) == (2, 3)
    assert statistics.moments in training.graph.outputs


def test_dropout_asks_for_a_seed_and_every_layer_has_its_own_stream():
    layers = (ops.Dense(3), ops.Dropout(0.5), ops.Dense(3), ops.Dropout(0.5))
    training = differentiate(chain((2,), *layers), MSE)
    masks = [node.op.stream for node in training.graph.nodes if "dropout" in node.op.name]
    assert list(training.graph.inputs) == [INPUT, TARGET, WEIGHT, SEED]
    assert sorted(set(masks)) == [0, 1]


def test_without_dropout_there_is_no_seed():
    training = differentiate(chain((2,), ops.Dense(3)), MSE)
    assert list(training.graph.inputs) == [INPUT, TARGET, WEIGHT]


def test_gradients_of_several_consumers_are_added():
    build = Builder.for_network((4,))
    shared = build.layer("shared", ops.Dense(3), INPUT)
    branch = build.layer("branch", ops.Tanh(), shared)
    graph = build.finish(build.layer("sum", ops.Add(), shared, branch, shared))
    training = differentiate(graph, MSE)
    slope = "loss/mean_squared_error/loss_backward"
    gradient = training.graph.node("shared/add")
    assert gradient.inputs == (slope, slope, "branch/pointwise_backward")


def test_a_network_without_parameters_has_no_gradients():
    training = differentiate(chain((4,), ops.Softmax()), MSE)
    assert training.gradients == {}
    assert set(training.graph.outputs) == {training.prediction, training.loss}


def test_refuses_a_parameter_without_effect():
    build = Builder.for_network((4,))
    build.layer("idle", ops.Dense(3), INPUT)
    graph = build.finish(build.layer("used", ops.Dense(3), INPUT))
    with pytest.raises(ArgumentError, match=r"'idle\.weight' has no effect on the output"):
        differentiate(graph, MSE)


def test_refuses_a_parameter_of_two_nodes():
    spec = ParameterSpec("weight", (4, 4), ParameterKind.WEIGHT)
    dense = ops.Dense(4, bias=False)
    nodes = (Node("a", dense, (INPUT,), ("w",)), Node("b", dense, ("a",), ("w",)))
    graph = Graph({INPUT: (4,)}, nodes, ("b",), {"w": spec})
    with pytest.raises(ArgumentError, match=r"'w' belongs to 'a' and to 'b'\. Give each its own"):
        differentiate(graph, MSE)


def test_refuses_what_is_no_network():
    build = Builder({"left": (3,), "right": (3,)})
    graph = build.finish(build(ops.Add(), ["left", "right"]))
    with pytest.raises(ArgumentError, match="A network has the one input 'input'"):
        differentiate(graph, MSE)


def test_a_gradient_of_the_output_computes_nothing_in_vain():
    graph = chain((2, 9), conv(3, (3,)), ops.Tanh(), conv(2, (3,)), ops.ReLU())
    backward = vector_jacobian(graph, "1")
    assert [node.name for node in backward.nodes] == [
        "0", "1", "2", "3", "3/pointwise_backward", "2/conv_backward_data",
    ]  # fmt: skip
    assert list(vector_jacobian(chain((4,), ops.Dense(3))).parameters) == ["0.weight"]


def test_gradients_of_the_output_from_several_consumers_are_added():
    build = Builder.for_network((4,))
    shared = build.layer("shared", ops.Dense(3), INPUT)
    branch = build.layer("branch", ops.Tanh(), shared)
    graph = build.finish(build.layer("sum", ops.Add(), shared, branch))
    backward = vector_jacobian(graph, "shared")
    assert backward.node(backward.outputs[0]).inputs == (
        OUTPUT_GRADIENT,
        "branch/pointwise_backward",
    )
