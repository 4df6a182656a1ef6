"""Graphs verify themselves."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
from hypothesis import given, settings

from convoi import ops
from convoi.errors import ArgumentError, ShapeError
from convoi.graph import SEED, Graph, Node
from convoi.ops import Domain, ParameterKind, ParameterSpec
from tests.cases import conv
from tests.strategies import random_graphs

RELU = Node("relu", ops.ReLU(), ("input",))
WEIGHT = ParameterSpec("weight", (2, 4), ParameterKind.WEIGHT, 4)
DENSE = Node("fc", ops.Dense(2, bias=False), ("input",), ("fc.weight",))
MOMENTS = Node("moments", ops.BatchMoments(), ("input",))


def test_knows_shapes_domains_nodes_and_consumers():
    add = Node("add", ops.Add(), ("relu", "relu"))
    seeded = Node("drop", ops.DropoutMasked(0.5, 0), ("add", SEED))
    graph = Graph({"input": (4, 3), SEED: ()}, (RELU, add, seeded, MOMENTS), ("drop",))
    assert graph.shape("drop") == (4, 3)
    assert graph.shape("moments") == (2, 4)
    assert graph.domain("input") is graph.domain("drop") is Domain.SAMPLE
    assert graph.domain(SEED) is graph.domain("moments") is Domain.BATCH
    assert graph.node("add") is add
    assert graph.consumers("relu") == (add,)
    assert graph.consumers("input") == (RELU, MOMENTS)
    assert graph.consumers("drop") == ()


@pytest.mark.parametrize(
    ("nodes", "outputs", "parameters", "error", "message"),
    [
        ((RELU, RELU), ("relu",), {}, ArgumentError, "Two values are called 'relu'"),
        (
            (Node("input", ops.ReLU(), ("input",)),),
            ("input",),
            {},
            ArgumentError,
            "Two values are called 'input'",
        ),
        ((RELU,), ("tanh",), {}, ArgumentError, "The output 'tanh' is computed by no node"),
        (
            (Node("a", ops.ReLU(), ("relu",)), RELU),
            ("a",),
            {},
            ArgumentError,
            "In 'a': the input 'relu' is not computed before it",
        ),
        (
            (Node("a", ops.ReLU(), ("input", "input")),),
            ("a",),
            {},
            ArgumentError,
            "In 'a': ReLU takes 1 inputs, got 2",
        ),
        (
            (Node("a", ops.Add(), ("input",)),),
            ("a",),
            {},
            ArgumentError,
            "In 'a': Add takes two or more inputs, got 1",
        ),
        (
            (MOMENTS, Node("a", ops.ReLU(), ("moments",))),
            ("a",),
            {},
            ArgumentError,
            "In 'a': ReLU takes a sample value as input 0; 'moments' is a batch value",
        ),
        (
            (Node("a", ops.Row(0), ("input",)),),
            ("a",),
            {},
            ArgumentError,
            "In 'a': Row takes a batch value as input 0; 'input' is a sample value",
        ),
        ((DENSE,), ("fc",), {}, ArgumentError, "In 'fc': the graph has no parameter 'fc.weight'"),
        (
            (dataclasses.replace(DENSE, parameters=()),),
            ("fc",),
            {},
            ArgumentError,
            "In 'fc': Dense takes 1 parameters, got 0",
        ),
        (
            (DENSE,),
            ("fc",),
            {"fc.weight": dataclasses.replace(WEIGHT, shape=(2, 5))},
            ShapeError,
            r"In 'fc': the weight must have the shape \(2, 4\), but 'fc.weight' has \(2, 5\)",
        ),
        ((RELU,), ("relu",), {"relu": WEIGHT}, ArgumentError, "A node and a parameter are called"),
        ((RELU,), ("relu",), {"input": WEIGHT}, ArgumentError, r"The names \['input'\] stand for"),
        (
            (Node("a", conv(1, (3,)), ("input",), ("w", "b")),),
            ("a",),
            {},
            ShapeError,
            r"In 'a': Conv: expected an input of shape \(channels, time\), got \(4,\)",
        ),
    ],
)
def test_refuses_what_is_no_computation(nodes, outputs, parameters, error, message):
    with pytest.raises(error, match=message):
        Graph({"input": (4,)}, nodes, outputs, parameters)


def test_does_not_follow_changes_of_the_dictionaries_that_it_was_made_of():
    inputs = {"input": (4,)}
    graph = Graph(inputs, (RELU,), ("relu",))
    inputs["input"] = (5,)
    assert graph.inputs == {"input": (4,)}


@settings(max_examples=25)
@given(random_graphs())
def test_survives_pickling(graph):
    copy = pickle.loads(pickle.dumps(graph))
    assert copy == graph
    assert all(copy.shape(node.name) == graph.shape(node.name) for node in graph.nodes)
