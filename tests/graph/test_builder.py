"""Building graphs."""

from __future__ import annotations

import pytest

from convoi import ops
from convoi.errors import ArgumentError, ShapeError
from convoi.graph import INPUT, Builder, Node
from tests.cases import conv


def test_layers_own_parameters_under_their_name():
    build = Builder.for_network((3, 8))
    build.layer("0.conv", conv(4, (3,)), INPUT)
    graph = build.finish(build.layer("0.norm", ops.BatchNorm(), "0.conv"))
    assert list(graph.parameters) == [
        "0.conv.weight",
        "0.conv.bias",
        "0.norm.weight",
        "0.norm.bias",
        "0.norm.running_mean",
        "0.norm.running_var",
    ]
    assert graph.parameters["0.conv.weight"].shape == (4, 3, 3)


def test_names_are_unique_and_say_where_a_node_comes_from():
    build = Builder({INPUT: (3,)})
    relu = ops.ReLU()
    with build.scope("layer", relu):
        names = [build(op, [INPUT]) for op in (relu, ops.Tanh(), ops.Tanh(), relu)]
    assert names == ["layer", "layer/tanh", "layer/tanh_2", "layer_2"]
    assert build(relu, [INPUT]) == "relu"


def test_gradients_are_needed_behind_trainable_parameters_only():
    build = Builder.for_network((3,))
    build.layer("relu", ops.ReLU(), INPUT)
    build.layer("scaled", ops.Standardize(), "relu")
    build.layer("dense", ops.Dense(2), "scaled")
    build.layer("tanh", ops.Tanh(), "dense")
    needed = {
        name: build.needs_gradient(name) for name in (INPUT, *[node.name for node in build.nodes])
    }
    assert needed == {INPUT: False, "relu": False, "scaled": False, "dense": True, "tanh": True}
    assert build.needs_gradient("dense.weight")
    assert not build.needs_gradient("scaled.std")


def test_gradients_are_needed_behind_inputs_that_ask_for_them():
    build = Builder({INPUT: (3,), "other": (3,)}, wanted={INPUT})
    build.layer("one", ops.ReLU(), INPUT)
    build.layer("two", ops.ReLU(), "other")
    assert build.needs_gradient("one")
    assert not build.needs_gradient("two")


def test_streams_are_not_given_twice():
    build = Builder.for_network((3,))
    assert [build.new_stream() for _ in range(3)] == [0, 1, 2]


def test_inputs_that_nobody_takes_can_be_left_out():
    build = Builder({INPUT: (3,), "one": (), "two": ()})
    build.layer("relu", ops.ReLU(), INPUT)
    assert list(build.finish("relu", unused=("one",)).inputs) == [INPUT, "two"]


@pytest.mark.parametrize(
    ("node", "error", "message"),
    [
        (Node("a", ops.ReLU(), ("nothing",)), ArgumentError, "'nothing' is not computed before"),
        (Node(INPUT, ops.ReLU(), (INPUT,)), ArgumentError, "Two values are called 'input'"),
        (Node("a", ops.Upsample((2,)), (INPUT,)), ShapeError, "In 'a': Upsample: expected an"),
    ],
)
def test_refuses_a_node_that_does_not_fit(node, error, message):
    with pytest.raises(error, match=message):
        Builder.for_network((3,)).add(node)
