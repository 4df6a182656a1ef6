from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from convoi import nn, ops
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import run


def operation_of(layer, shape):
    """Return the one operation of a layer."""
    (node,) = nn.trace(layer, shape).nodes
    return node.op


def output_shape(layer, shape):
    graph = nn.trace(layer, shape)
    return graph.shape(graph.outputs[0])


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (
            nn.Conv(8, 3),
            (2, 9),
            ops.Conv(8, (3,), (1,), ((0, 0),), (1,)),
        ),
        (
            nn.Conv(8, 3, stride=2, padding="same", groups=2, flip=True, bias=False),
            (2, 9, 8),
            ops.Conv(8, (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1), 2, bias=False, flip=True),
        ),
        (
            nn.Conv(8, (1, 2, 3), padding=(1, (0, 2), 0), dilation=2),
            (2, 9, 9, 9),
            ops.Conv(8, (1, 2, 3), (1, 1, 1), ((1, 1), (0, 2), (0, 0)), (2, 2, 2)),
        ),
        (
            nn.DepthwiseConv((3, 2), multiplier=2, padding=1),
            (5, 9, 9),
            ops.Conv(10, (3, 2), (1, 1), ((1, 1), (1, 1)), (1, 1), groups=5),
        ),
        (nn.Dense(4, bias=False), (7,), ops.Dense(4, bias=False)),
        (nn.MaxPool(2), (3, 8, 8), ops.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)))),
        (
            nn.MaxPool(3, stride=2, padding="same"),
            (3, 8),
            ops.MaxPool((3,), (2,), ((0, 1),)),
        ),
        (
            nn.AveragePool(2, stride=1, padding=1, count_padding=True),
            (3, 8),
            ops.AveragePool((2,), (1,), ((1, 1),), count_padding=True),
        ),
        (nn.LpPool((2, 1), 3), (3, 8, 8), ops.LpPool((2, 1), (2, 1), ((0, 0), (0, 0)), p=3.0)),
        (nn.BlurPool(3), (3, 8), ops.BlurPool((3,), (2,), ((0, 1),))),
        (nn.StochasticPool(2), (3, 8), ops.StochasticPool((2,), (2,), ((0, 0),))),
        (nn.AdaptiveMaxPool(3), (3, 8, 4), ops.AdaptiveMaxPool((3, 3))),
        (nn.AdaptiveMaxPool(4), (3, 8), ops.MaxPool((2,), (2,), ((0, 0),))),
        (nn.AdaptiveAveragePool((3, 2)), (3, 8, 4), ops.AdaptiveAveragePool((3, 2))),
        (nn.AdaptiveAveragePool(4), (3, 8), ops.AveragePool((2,), (2,), ((0, 0),))),
        (nn.FractionalMaxPool(1.5), (3, 8, 1), ops.FractionalMaxPool((5, 1))),
        (
            nn.LocallyConnected(4, 3, padding="same", bias="shared"),
            (3, 8),
            ops.TiledConv(4, (3,), (1,), ((1, 1),), (1,), (8,), shared_bias=True),
        ),
        (
            nn.TiledConv(4, 3, tile=9, stride=2, bias=False),
            (3, 8),
            ops.TiledConv(4, (3,), (2,), ((0, 0),), (1,), (3,), bias=False),
        ),
        (nn.GlobalAveragePool(), (3, 8), ops.GlobalAveragePool()),
        (nn.GlobalMaxPool(), (3, 8), ops.GlobalMaxPool()),
        (nn.BatchNorm(0.2, 1e-3), (3, 8), ops.BatchNorm(0.2, 1e-3)),
        (nn.Dropout(0.5), (3,), ops.Dropout(0.5)),
        (nn.Standardize(), (3, 8), ops.Standardize()),
        (nn.ReLU(), (3, 8), ops.ReLU()),
        (nn.LeakyReLU(0.2), (3,), ops.LeakyReLU(0.2)),
        (nn.ELU(2.0), (3,), ops.ELU(2.0)),
        (nn.GELU(), (3,), ops.GELU()),
        (nn.SiLU(), (3,), ops.SiLU()),
        (nn.HardSwish(), (3,), ops.HardSwish()),
        (nn.HardSigmoid(), (3,), ops.HardSigmoid()),
        (nn.Sigmoid(), (3,), ops.Sigmoid()),
        (nn.Tanh(), (3,), ops.Tanh()),
        (nn.Softmax(), (3,), ops.Softmax()),
        (nn.Flatten(), (3, 4, 5), ops.Flatten()),
        (nn.ZeroPad((1, (0, 2))), (3, 4, 5), ops.ZeroPad(((1, 1), (0, 2)))),
        (nn.ZeroPad(2), (3, 4), ops.ZeroPad(((2, 2),))),
        (nn.Upsample((2, 3)), (3, 4, 5), ops.Upsample((2, 3))),
        (nn.Upsample(2), (3, 4), ops.Upsample((2,))),
    ],
)
def test_a_layer_is_the_operation_for_the_rank_and_channels_of_its_input(layer, shape, expected):
    assert operation_of(layer, shape) == expected


def test_names_are_paths_as_in_a_state_dict_of_pytorch():
    block = nn.Residual(
        nn.Sequential(nn.Conv(4, 3, padding=1, bias=False), nn.BatchNorm()), nn.Conv(4, 1)
    )
    layers = nn.Sequential(
        nn.Standardize(),
        block,
        nn.Parallel(nn.Conv(2, 1), nn.Sequential(nn.ReLU(), nn.Conv(3, 1))),
        nn.Flatten(),
        nn.Dense(2),
    )
    graph = nn.trace(layers, (1, 4, 4))
    assert list(graph.parameters) == [
        "0.mean",
        "0.std",
        "1.shortcut.weight",
        "1.shortcut.bias",
        "1.body.0.weight",
        "1.body.1.weight",
        "1.body.1.bias",
        "1.body.1.running_mean",
        "1.body.1.running_var",
        "2.branches.0.weight",
        "2.branches.0.bias",
        "2.branches.1.1.weight",
        "2.branches.1.1.bias",
        "4.weight",
        "4.bias",
    ]
    assert graph.node("1").op == ops.Add()
    assert graph.node("2").op == ops.Concatenate()
    assert graph.outputs == ("4",)


def test_a_network_of_one_layer_names_parameters_by_their_role():
    graph = nn.trace(nn.Conv(4, 3), (1, 8))
    assert list(graph.parameters) == ["weight", "bias"]
    assert graph.outputs == ("conv",)


def test_a_layer_that_stands_twice_has_parameters_at_each_place():
    dense = nn.Dense(3)
    graph = nn.trace(nn.Sequential(dense, dense), (3,))
    assert list(graph.parameters) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_residual_layer_adds_body_and_input():
    graph = nn.trace(nn.Residual(nn.Tanh()), (3,))
    x = np.array([[-1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(run(graph, {"input": x})["add"], np.tanh(x) + x)


def test_a_residual_layer_adds_body_and_shortcut():
    graph = nn.trace(nn.Residual(nn.Tanh(), nn.ReLU()), (3,))
    x = np.array([[-1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(run(graph, {"input": x})["add"], np.tanh(x) + np.maximum(x, 0))


def test_parallel_layers_are_concatenated_in_order():
    graph = nn.trace(nn.Parallel(nn.Tanh(), nn.Sequential()), (2, 3))
    x = np.arange(6.0).reshape(1, 2, 3)
    expected = np.concatenate([np.tanh(x), x], axis=1)
    np.testing.assert_array_equal(run(graph, {"input": x})["concatenate"], expected)


def test_parallel_layers_are_added():
    graph = nn.trace(nn.Parallel(nn.Tanh(), nn.Sequential(), nn.ReLU(), merge="add"), (2,))
    x = np.array([[-1.0, 2.0]])
    expected = np.tanh(x) + x + np.maximum(x, 0)
    np.testing.assert_array_equal(run(graph, {"input": x})["add"], expected)


def test_numpy_integers_are_an_input_shape():
    graph = nn.trace(nn.ReLU(), np.array([3, 4]))
    assert graph.inputs == {"input": (3, 4)}


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Sequential(nn.ReLU(), nn.Sequential(nn.Residual(nn.Conv(8, 5)))),
            (3, 4, 4),
            (
                "In layer '1.0.body': Conv: the kernel (5, 5) is larger than the padded input (4, "
                "4). Use padding='same' or a smaller kernel."
            ),
        ),
        (
            nn.Sequential(nn.Conv(8, (3, 3))),
            (3, 9),
            (
                "In layer '0': Conv: the input has one spatial axis, but kernel_size=(3, 3) is for "
                "2. Give one value, or one per axis."
            ),
        ),
        (
            nn.Sequential(nn.MaxPool(2, padding=((1, 0),))),
            (3, 9, 9),
            (
                "In layer '0': MaxPool: the input has 2 spatial axes, but padding=((1, 0),) is for "
                "1. Give one value, or one per axis."
            ),
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Conv(8, 3)),
            (3, 9),
            (
                "In layer '1': Conv: expected an input of shape (channels, *spatial), got (27,). "
                "Put the layer in front of Flatten, global pooling and Dense."
            ),
        ),
        (
            nn.Sequential(nn.Dense(3)),
            (3, 9),
            (
                "In layer '0': Dense: expected an input of shape (features,), got (3, 9). Put "
                "Flatten or a global pooling layer in front of it."
            ),
        ),
        (
            nn.Sequential(nn.ReLU(), nn.Residual(nn.Conv(8, 3))),
            (3, 9),
            (
                "In layer '1': Residual: the body gives (8, 7), and the input (3, 9): they cannot "
                "be added. Give a shortcut layer with the shape of the body's output, such as a "
                "Conv of size 1 with its filters and stride."
            ),
        ),
        (
            nn.Residual(nn.Conv(8, 3), nn.Conv(8, 1)),
            (3, 9),
            (
                "In the network: Residual: the body gives (8, 7), and the shortcut (8, 9): they "
                "cannot be added. Give a shortcut layer with the shape of the body's output, such "
                "as a Conv of size 1 with its filters and stride."
            ),
        ),
    ],
)
def test_an_error_of_shapes_names_the_layer_and_the_remedy(layer, shape, message):
    with pytest.raises(ShapeError) as error:
        nn.trace(layer, shape)
    assert str(error.value) == message
    assert type(error.value) is ShapeError


@pytest.mark.parametrize("shape", [(), (0,), (3, -1), (1, 2, 3, 4, 5), "abc"])
def test_a_wrong_input_shape_is_refused(shape):
    with pytest.raises((ArgumentError, ArgumentTypeError), match="'input_shape' parameter"):
        nn.trace(nn.ReLU(), shape)


@pytest.mark.parametrize("shape", [3, None, (3.0, 4), ("3",)])
def test_an_input_shape_of_another_type_is_refused(shape):
    with pytest.raises(ArgumentTypeError, match="'input_shape' parameter"):
        nn.trace(nn.ReLU(), shape)


def test_a_network_that_computes_nothing_is_refused():
    with pytest.raises(ArgumentError, match="at least one layer that computes something"):
        nn.trace(nn.Sequential(nn.Sequential()), (3,))


@dataclass(frozen=True)
class Twice(nn.Layer):
    """A layer of the user that uses another one twice, and an operation."""

    inner: nn.Layer
    names: tuple[str, str] = ("first", "second")

    def trace(self, tracer, value):
        first = tracer.layer(self.names[0], self.inner, value)
        second = tracer.layer(self.names[1], self.inner, first)
        return tracer.operation(ops.Add(), first, second, name="sum")


def test_a_layer_of_the_user_names_its_parts():
    graph = nn.trace(nn.Sequential(nn.ReLU(), Twice(nn.Dense(3))), (3,))
    assert [node.name for node in graph.nodes] == ["0", "1.first", "1.second", "1.sum"]
    assert next(iter(graph.parameters)) == "1.first.weight"


def test_a_layer_of_the_user_may_be_the_whole_network():
    graph = nn.trace(Twice(nn.Dense(3)), (3,))
    assert [node.name for node in graph.nodes] == ["first", "second", "sum"]


@pytest.mark.parametrize("names", [("same", "same"), ("first", "sum"), ("input", "second")])
def test_a_name_that_is_taken_or_reserved_is_refused(names):
    with pytest.raises(ArgumentError, match="is used twice in the network, or reserved"):
        nn.trace(Twice(nn.ReLU(), names), (3,))


@pytest.mark.parametrize("name", ["", "a..b", ".a", "a/b", 3])
def test_a_name_that_is_no_path_is_refused(name):
    with pytest.raises(ArgumentError, match="The name of a part of layer '0' must be"):
        nn.trace(nn.Sequential(Twice(nn.ReLU(), (name, "second"))), (3,))


def test_a_layer_of_the_user_must_return_a_value():
    class Forgetful(nn.Layer):
        def trace(self, tracer, value):
            tracer.operation(ops.ReLU(), value)

    with pytest.raises(ArgumentTypeError, match="trace method of Forgetful must return"):
        nn.trace(Forgetful(), (3,))


def test_a_tracer_knows_its_path():
    paths = []

    class Spy(nn.Layer):
        def trace(self, tracer, value):
            paths.append(tracer.path)
            return value

    nn.trace(nn.Sequential(nn.ReLU(), nn.Residual(Spy())), (3,))
    assert paths == ["1.body"]


def test_same_padding_keeps_the_extent_divided_by_the_stride():
    layer = nn.Conv(2, 4, stride=3, dilation=2, padding="same")
    assert [output_shape(layer, (1, extent))[1] for extent in range(1, 10)] == [
        -(-extent // 3) for extent in range(1, 10)
    ]
