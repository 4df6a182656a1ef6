from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convoi import Network, nn, ops
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import run
from convoi.nn import networks

SHAPES = [(2, 20), (2, 20, 17), (2, 12, 12, 12)]


def output_shape(layers, shape):
    graph = nn.trace(layers, shape)
    return graph.shape(graph.outputs[0])


def count(layers, shape, kind):
    return sum(isinstance(node.op, kind) for node in nn.trace(layers, shape).nodes)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", sorted(set(networks.NETWORKS) - {"auto", "tcn"}))
def test_every_network_takes_every_rank(name, shape):
    assert output_shape(networks.by_name(name, classes=7), shape) == (7,)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        (networks.lenet5(3), (2, 13, 12)),
        (networks.two_conv(3, width=5), (1, 7, 1)),
        (networks.vgg(3, width=4, stages=2, dropout=0.5), (1, 5, 3, 4)),
        (networks.resnet(3, depth=8, width=5), (3, 9, 8)),
        (networks.mobilenet(3, width=0.5), (3, 9, 8)),
        (networks.fcn(3, width=9), (2, 11)),
        (networks.inception_time(3, width=4, depth=3, kernel_size=9), (2, 11)),
        (networks.resnet_1d(3, width=4), (2, 11)),
        (networks.lite(3, width=4, kernel_size=9), (2, 11)),
        (networks.tcn(3, width=4, depth=3, dropout=0.5), (2, 11)),
        (networks.tcn(3, width=4, depth=3, per_step=True), (2, 11)),
    ],
)
def test_a_compiled_network_computes_what_its_graph_says(layers, shape):
    network = Network(layers, shape, dtype="float64", random_state=0)
    chance = np.random.default_rng(0)
    network.parameters = {
        name: array + chance.random(array.shape) for name, array in network.parameters.items()
    }
    X = chance.standard_normal((3, *shape))
    expected = run(network.graph, {"input": X}, network.parameters)[network.graph.outputs[0]]
    np.testing.assert_allclose(network(X), expected, rtol=1e-10)


def test_every_public_network_has_a_name():
    functions = {name for name in networks.__all__ if name.islower()} - {"by_name"}
    assert functions == set(networks.NETWORKS)


@pytest.mark.parametrize(
    ("shape", "samples"),
    [
        *product([(c, extent) for c in (1, 3) for extent in (1, 2, 5, 1000)], [0, 10**6]),
        *product([(1, h, w) for h in (1, 2, 8, 33, 65, 224) for w in (1, 3, 64)], [1, 5000]),
        *product([(1, 1, 1, 1), (1, 4, 2, 9)], [100]),
        ((1,), 10),
        ((64,), 10),
    ],
)
def test_auto_takes_every_shape(shape, samples):
    assert output_shape(networks.auto(shape, samples, 3), shape) == (3,)


@pytest.mark.parametrize(
    ("shape", "samples", "expected"),
    [
        ((1, 150), 100, networks.lite(3)),
        ((1, 16), 100, networks.lite(3, kernel_size=8)),
        ((1, 8, 8), 10**6, networks.two_conv(3)),
        ((1, 12, 3), 100, networks.two_conv(3)),
        ((1, 28, 28), 2_000, networks.vgg(3, 16, dropout=0.2)),
        ((1, 28, 28), 2_001, networks.vgg(3, 32, dropout=0.2)),
        ((3, 64, 13), 50_000, networks.vgg(3, 32, dropout=0.2)),
        ((3, 96, 96), 100, networks.resnet(3, stem_stride=2)),
        ((3, 224, 224), 100, networks.mobilenet(3, stem_stride=4, dropout=0.2)),
        ((1, 9, 9, 9), 100, networks.vgg(3, 16)),
        ((64,), 100, nn.Sequential(nn.Dense(128), nn.ReLU(), nn.Dense(3))),
    ],
)
def test_auto_follows_the_table_in_its_docstring(shape, samples, expected):
    assert networks.auto(shape, samples, 3) == expected


@pytest.mark.parametrize("depth", [8, 14, 20, 56])
def test_a_resnet_has_as_many_weighted_layers_as_its_depth(depth):
    # The shortcuts of the two blocks that change the shape are not counted, as in the paper.
    weighted = count(networks.resnet(10, depth), (3, 32, 32), (ops.Conv, ops.Dense))
    assert weighted - 2 == depth


@pytest.mark.parametrize("depth", [9, 10, 18])
def test_a_depth_that_no_resnet_has_is_refused(depth):
    with pytest.raises(ArgumentError, match=r"such as 8, 14, 20, 32, 44 or 56\. Got"):
        networks.resnet(10, depth)


def test_the_width_of_mobilenet_scales_its_filters_in_steps_of_eight():
    graph = nn.trace(networks.mobilenet(10, width=0.4), (3, 32, 32))
    filters = [node.op.filters for node in graph.nodes if isinstance(node.op, ops.Conv)]
    assert all(number % 8 == 0 for number in filters)
    assert filters[0] == 8


def test_mobilenet_adds_the_input_where_shape_and_stride_allow():
    layers = networks.mobilenet(10, blocks=[(4, 16, 3, 1), (4, 24, 2, 2)])
    assert count(layers, (3, 32, 32), ops.Add) == 3 + 1


@pytest.mark.parametrize("blocks", [[(1, 2, 3)], [3], [(1, 8, 0, 1)]])
def test_wrong_groups_of_mobilenet_are_refused(blocks):
    with pytest.raises(ArgumentError, match="'blocks' parameter of mobilenet"):
        networks.mobilenet(10, blocks=blocks)


def test_dropout_is_left_out_when_its_rate_is_zero():
    assert count(networks.vgg(10, dropout=0.0), (1, 8, 8), ops.Dropout) == 0
    assert count(networks.vgg(10, dropout=0.5), (1, 8, 8), ops.Dropout) == 1


def test_inception_has_no_bottleneck_for_one_channel():
    one = nn.trace(networks.InceptionModule(32, 40), (1, 100))
    several = nn.trace(networks.InceptionModule(32, 40), (2, 100))
    assert "bottleneck.weight" not in one.parameters
    assert several.parameters["bottleneck.weight"].shape == (32, 2, 1)


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ArgumentError, match=r"'auto', 'fcn', .* 'vgg'\. Got 'alexnet' instead"):
        networks.by_name("alexnet", classes=3)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"classes": 3, "deepness": 8}, "got an unexpected keyword argument 'deepness'"),
        ({"classes": 3, "samples": 8}, "got an unexpected keyword argument 'samples'"),
    ],
)
def test_an_unknown_option_lists_the_options(options, problem):
    with pytest.raises(ArgumentTypeError) as error:
        networks.by_name("fcn", **options)
    assert (
        str(error.value)
        == f"The network 'fcn' has the options classes, width, per_step: {problem}."
    )


def test_a_missing_option_is_named():
    with pytest.raises(ArgumentTypeError, match="missing a required argument: 'input_shape'"):
        networks.by_name("auto", classes=3, samples=100)


@pytest.mark.parametrize("name", sorted(set(networks.NETWORKS) - {"auto"}))
def test_a_wrong_number_of_classes_names_the_network(name):
    with pytest.raises(ArgumentError, match=f"'classes' parameter of {name}"):
        networks.by_name(name, classes=0)


@pytest.mark.parametrize("name", ["fcn", "inception_time", "lite", "resnet_1d", "tcn"])
def test_a_network_for_series_labels_time_steps_on_request(name):
    layers = networks.by_name(name, classes=3, width=4, per_step=True)
    assert output_shape(layers, (2, 20)) == (3, 20)


def test_a_tcn_does_not_look_ahead():
    layers = networks.tcn(2, width=4, depth=3, kernel_size=2, per_step=True)
    network = Network(layers, (1, 30), dtype="float64", random_state=0)
    x = np.random.default_rng(0).standard_normal((1, 1, 30))
    changed = x.copy()
    changed[..., 20] += 1
    differs = (network(x) != network(changed)).any(axis=(0, 1))
    # The receptive field is 1 + 2 (2 - 1) (2^3 - 1) = 15.
    assert np.flatnonzero(differs).min() == 20
    assert np.flatnonzero(differs).max() <= 29


def test_a_tcn_is_for_series():
    with pytest.raises(ShapeError, match="padding='causal' is for series"):
        output_shape(networks.tcn(2), (1, 8, 8))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_lite_sees_short_series(length):
    network = Network(networks.lite(2, width=4), (1, length), random_state=0)
    X = np.random.default_rng(0).standard_normal((2, 1, length))
    assert (network(X)[0] != network(X)[1]).all()
