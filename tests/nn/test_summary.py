from __future__ import annotations

import io
import json
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings

from convoi import Network, nn, ops
from convoi.compiler import InferenceProgram, StepSettings, TrainingProgram, UpdateRule
from convoi.errors import ArgumentError, ArgumentTypeError
from tests.strategies import random_graphs

MOST_INPUTS = 300
"""Largest input whose dependences are counted one by one."""

LAYERS = nn.Sequential(
    nn.Conv(8, (3, 2), stride=2, groups=2),
    nn.BatchNorm(),
    nn.MaxPool(3, stride=1),
    nn.Flatten(),
    nn.Dense(10, bias=False),
)


@pytest.fixture(scope="module")
def network():
    return Network(LAYERS, input_shape=(4, 9, 10), random_state=0)


def test_a_record_has_the_counts_of_its_layer(network):
    conv, norm, pool, flatten, dense = network.summary(show=False)
    assert (conv.name, conv.layer) == ("0", "Conv 3x2, stride 2x2, 2 groups")
    assert (conv.output_shape, conv.parameters) == ((8, 4, 5), 8 * 12 + 8)
    assert conv.multiply_adds == conv.connections == 96 * 20
    assert (conv.activation_bytes, conv.weight_bytes) == (4 * 160, 4 * 104)
    assert conv.arithmetic_intensity == 2 * 96 * 20 / (4 * (360 + 160 + 104))
    assert conv.receptive_field.size == (3, 2)
    assert (norm.layer, norm.parameters, norm.connections) == ("BatchNorm", 32, 0)
    assert (pool.layer, pool.connections) == ("MaxPool 3x3, stride 1x1", 48 * 9)
    assert (pool.multiply_adds, pool.arithmetic_intensity) == (0, 0)
    assert (pool.receptive_field.size, pool.receptive_field.stride) == ((7, 6), (2, 2))
    assert (flatten.output_shape, flatten.connections) == ((48,), 0)
    assert dense.multiply_adds == dense.connections == 480


def test_the_totals_are_those_of_the_records(network):
    summary = network.summary(show=False)
    assert summary.parameters == sum(layer.parameters for layer in summary) == 616
    assert summary.trainable == summary.parameters - 16
    for name in ("multiply_adds", "connections", "activation_bytes", "weight_bytes"):
        assert getattr(summary, name) == sum(getattr(layer, name) for layer in summary)
    assert summary.parameter_bytes == summary.weight_bytes == 4 * summary.parameters
    assert len(summary) == 5


@settings(max_examples=30)
@given(random_graphs(ranks=(0, 1, 2), max_depth=4))
def test_counts_agree_with_the_definitions(graph):
    for node in graph.nodes:
        shapes = [graph.shape(value) for value in node.inputs]
        if isinstance(node.op, ops.Conv | ops.Dense | ops.TiledConv):
            assert node.op.multiply_adds(*shapes) == products_of(node.op, *shapes)
        joins = isinstance(
            node.op, ops.Conv | ops.Dense | ops.TiledConv | ops.Pool | ops.GlobalPool
        )
        if joins and prod(shapes[0]) <= MOST_INPUTS:
            assert node.op.connections(*shapes) == dependences_of(node.op, *shapes)


def products_of(op, shape):
    """Return the products that each output sums up, counted one by one: inputs are all ones."""
    plain = replace(op, bias=False)
    if isinstance(op, ops.Conv | ops.TiledConv):
        # Padding is multiplied, too: put there what is counted.
        padding = plain.padding
        shape = (shape[0], *(x + sum(p) for x, p in zip(shape[1:], padding, strict=True)))
        plain = replace(plain, padding=((0, 0),) * len(padding))
    arrays = [np.ones((1, *shape)), *(np.ones(spec.shape) for spec in plain.parameters(shape))]
    return plain.reference(*arrays).sum()


def dependences_of(op, shape):
    """Return how many outputs change with each input, in total; NaN stands for any change."""
    size = prod(shape)
    x = np.ones((size, size))
    np.fill_diagonal(x, np.nan)
    parameters = [np.ones(spec.shape) for spec in op.parameters(shape)]
    with np.errstate(all="ignore"):
        return np.isnan(op.reference(x.reshape(size, *shape), *parameters)).sum()


@pytest.mark.parametrize("batch_size", [1, 100])
def test_planned_memory_is_what_programs_hold(network, batch_size):
    summary = network.summary(show=False, batch_size=batch_size)
    prediction = InferenceProgram(network.graph, threads=2)
    prediction.load(network.parameters)
    X = np.zeros((batch_size, *network.input_shape), np.float32)
    prediction(X)
    training = TrainingProgram(network.graph, nn.CrossEntropy(), UpdateRule("adamw"), threads=2)
    training.load(network.parameters)
    rows, weight = np.arange(batch_size), np.full(batch_size, 1 / batch_size)
    training.step(X, rows, np.zeros(batch_size, np.int64), weight, StepSettings(0.1))
    for planned, instance in (
        (summary.prediction_memory, prediction._first),
        (summary.training_memory, training._instance),
    ):
        used = [b.name for b in instance.plan.buffers if b.bytes and b.name in instance._memory]
        held = sum(instance.memory(name).nbytes for name in used)
        assert replace(planned, threads=2).total_bytes == held
        assert planned.batch_size == batch_size


def test_times_are_measured_if_asked():
    layers = nn.Sequential(nn.Conv(16, 3), nn.BatchNorm(), nn.ReLU())
    network = Network(layers, (16, 32, 32), random_state=0)
    assert network.summary(show=False).seconds is None
    summary = network.summary(show=False, batch_size=3, measure=True)
    assert summary.seconds >= sum(layer.seconds for layer in summary) > 0
    assert summary["0"].fraction_of_peak > 0
    assert (summary["1"].seconds, summary["1"].fraction_of_peak) == (0, None)
    assert summary.peak > 1e6


def test_a_layer_is_found_by_its_name(network):
    summary = network.summary(show=False)
    assert summary["4"] is summary.layers[4]
    with pytest.raises(KeyError):
        summary["5"]


def test_the_table_shows_every_layer_and_the_totals(network):
    text = io.StringIO()
    network.summary(show=False, batch_size=7, measure=True).show(text)
    lines = text.getvalue().splitlines()
    assert any("Conv 3x2" in line and "8x4x5" in line and "104" in line for line in lines)
    assert any("Total" in line and "616" in line for line in lines)
    assert "% of peak" in lines[1]
    assert "600 trainable parameters, 2.5 kB" in lines[-2]
    assert "Memory for batches of 7" in lines[-1]


def test_plain_data_can_be_written_as_json():
    layers = nn.Sequential(nn.Upsample(2), nn.Conv(1, 3))
    plain = Network(layers, (1, 8)).summary(show=False, batch_size=4).as_dict()
    assert json.loads(json.dumps(plain))["layers"][1]["receptive_field"]["stride"] == [0.5]
    assert plain["memory"]["training"]["batch_size"] == 4
    assert plain["memory"]["training"]["total_bytes"] > plain["memory"]["prediction"]["total_bytes"]


def test_what_cannot_be_is_refused(network):
    with pytest.raises(ArgumentError, match="'batch_size' parameter of summary"):
        network.summary(batch_size=0)
    with pytest.raises(ArgumentTypeError, match="'measure' parameter of summary"):
        network.summary(measure=1)


def test_summary_prints_the_table(network, capsys):
    network.summary()
    assert "Total" in capsys.readouterr().out


def test_summary_is_silent_if_asked(network, capsys):
    network.summary(show=False)
    assert capsys.readouterr().out == ""


def test_the_repr_is_one_line(network):
    assert repr(network.summary(show=False)).startswith("<NetworkSummary: 5 layers, 616 parameters")
