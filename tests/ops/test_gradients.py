"""Gradients of every operation against central differences in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.graph import INPUT, TARGET, Builder, Graph, differentiate, mask, run
from convoi.ops import Loss
from tests.cases import CASES, cases
from tests.strategies import graph_parameters, training_inputs

STEP = 1e-6
SMOOTH = ops.MeanSquaredError()


def network_of(case) -> Graph:
    """Return a network of one operation; several inputs are slices of the network's one."""
    if len(case.inputs) == 1:
        build = Builder.for_network(case.inputs[0])
        return build.finish(build.layer("op", case.op, INPUT))
    ends = np.cumsum([shape[0] for shape in case.inputs]).tolist()
    build = Builder.for_network((ends[-1], *case.inputs[0][1:]))
    slices = [
        build.layer(f"part{end}", ops.ChannelSlice(end - shape[0], end), INPUT)
        for shape, end in zip(case.inputs, ends, strict=True)
    ]
    return build.finish(build.layer("op", case.op, *slices))


def central_differences(function, array):
    """Return the derivative of a function with respect to every element of an array."""
    slopes = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + STEP
        above = function()
        array[index] = value - STEP
        below = function()
        array[index] = value
        slopes[index] = (above - below) / (2 * STEP)
    return slopes


def check_all_gradients(graph, loss, rng):
    training = differentiate(graph, loss, input_gradient=True)
    parameters = graph_parameters(graph, rng)
    arrays = training_inputs(graph, loss, rng, n=2)

    def total():
        return run(training.graph, arrays, parameters)[training.loss].sum()

    values = run(training.graph, arrays, parameters)
    computed = {name: values[value] for name, value in training.gradients.items()}
    computed[INPUT] = values[training.input_gradient]
    for name, gradient in computed.items():
        expected = central_differences(total, arrays[name] if name == INPUT else parameters[name])
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("case", cases(lambda op: op.is_layer()))
def test_layer(case, rng):
    check_all_gradients(network_of(case), SMOOTH, rng)


@pytest.mark.parametrize("case", cases(lambda op: isinstance(op, Loss)))
def test_loss(case, rng):
    build = Builder.for_network(case.inputs[0])
    graph = build.finish(build.layer("prediction", ops.Tanh(), INPUT))
    assert differentiate(graph, case.op).graph.shape(TARGET) == case.inputs[1]
    check_all_gradients(graph, case.op, rng)


def masked_network() -> Graph:
    """Return a network with all that a mask can put into it."""
    build = Builder.for_network((2, 9))
    value = build.layer("conv", ops.Conv(3, (2,), (1,), ((0, 0),), (1,)), INPUT)
    value = build.layer("norm", ops.BatchNorm(eps=0.1), value)
    value = build.layer("average", ops.AveragePool((3,), (2,), ((1, 1),)), value)
    return mask(build.finish(build.layer("mean", ops.GlobalAveragePool(), value)), training=True)


def test_every_gradient_operation_is_reached_from_a_layer_or_loss():
    reached = set()
    for case in CASES:
        if case.op.is_layer():
            graph, loss = network_of(case), SMOOTH
        elif isinstance(case.op, Loss):
            build = Builder.for_network(case.inputs[0])
            graph, loss = build.finish(build.layer("prediction", ops.Tanh(), INPUT)), case.op
        else:
            continue
        training = differentiate(graph, loss, input_gradient=True)
        reached |= {type(node.op) for node in training.graph.nodes}
    masked = masked_network()
    reached |= {
        type(node.op) for node in (*masked.nodes, *differentiate(masked, SMOOTH).graph.nodes)
    }
    unreached = {cls for _, cls in ops.registered() if not cls.is_layer()} - reached
    assert not unreached
