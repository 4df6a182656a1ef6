"""The graph of a network as JSON, written and read back, sound and hostile."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.errors import ArgumentError, ModelFileError
from convoi.graph import (
    INPUT,
    Builder,
    Graph,
    differentiate,
    graph_from_dict,
    graph_from_json,
    graph_to_dict,
    graph_to_json,
)
from tests.cases import CASES, conv
from tests.strategies import random_graphs


def network():
    build = Builder.for_network((4, 9, 8))
    build.layer("0", conv(6, (3, 2), stride=2, padding=1, groups=2), INPUT)
    build.layer("1", ops.BatchNorm(), "0")
    build.layer("2", ops.LeakyReLU(0.2), "1")
    build.layer("3", ops.Add(), "2", "1")
    build.layer("4", ops.GlobalAveragePool(), "3")
    return build.finish(build.layer("5", ops.Dense(3), "4"))


@given(random_graphs())
def test_a_network_is_read_back_as_it_was(graph):
    assert graph_from_json(graph_to_json(graph)) == graph


LAYERS = [case for case in CASES if case.op.is_layer() and len(case.inputs) == 1]


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_every_layer_is_read_back_as_it_was(case):
    build = Builder.for_network(case.inputs[0])
    graph = build.finish(build.layer("layer", case.op, INPUT))
    (node,) = graph_from_json(graph_to_json(graph)).nodes
    assert node.op == case.op


def test_the_text_is_stable():
    build = Builder.for_network((2, 3))
    build.layer("0", ops.MaxPool((2,), (1,), ((1, 0),)), INPUT)
    graph = build.finish(build.layer("1", ops.Flatten(), "0"))
    assert graph_to_dict(graph) == {
        "version": 1,
        "inputs": {"input": [2, 3]},
        "outputs": ["1"],
        "nodes": [
            {
                "name": "0",
                "op": "max_pool",
                "attributes": {"size": [2], "stride": [1], "padding": [[1, 0]]},
                "inputs": ["input"],
                "parameters": [],
            },
            {"name": "1", "op": "flatten", "attributes": {}, "inputs": ["0"], "parameters": []},
        ],
    }


def test_operations_of_training_are_not_written():
    training = differentiate(network(), ops.CrossEntropy()).graph
    with pytest.raises(ArgumentError, match="Only the graph of a network can be written"):
        graph_to_dict(training)
    build = Builder.for_network((3,))
    graph = build.finish(build(ops.BatchMoments(), [INPUT]))
    with pytest.raises(ArgumentError, match=r"Got BatchMoments\(\) in 'batch_moments'"):
        graph_to_dict(graph)


def changed(*path_and_value):
    """Return the description of a network with one part replaced."""
    *path, key, value = path_and_value
    data = graph_to_dict(network())
    part = data
    for step in path:
        part = part[step]
    part[key] = value
    return data


CONV = ("nodes", 0, "attributes")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, r"the graph must be an object with the keys .* Got None instead"),
        ({}, r"the graph must be an object with the keys"),
        (changed("more", 1), r"the graph must be an object with the keys"),
        (changed("version", 2), r"version must be 1 .* Got 2 instead"),
        (changed("version", True), r"version must be 1"),
        (changed("inputs", {"x": [3]}), r"inputs must be an object with the keys \['input'\]"),
        (changed("inputs", "input", []), r"inputs.input must be a shape"),
        (changed("inputs", "input", [4, 0, 8]), r"inputs.input must be a shape"),
        (changed("inputs", "input", [4, -1, 8]), r"inputs.input must be an integer from 0"),
        (changed("inputs", "input", [2**31] * 3), r"inputs.input must be an integer from 0"),
        (changed("inputs", "input", [2**20] * 3), r"inputs.input must be a value of at most"),
        (changed("outputs", []), r"outputs must be at least one name"),
        (changed("outputs", ["9"]), r"not valid: The output '9' is computed by no node"),
        (changed("outputs", [["5"]]), r"outputs must be 1 to 200 printable characters"),
        (changed("nodes", {}), r"nodes must be a list of at most 10000 items"),
        (changed("nodes", [{}] * 10_001), r"nodes must be a list of at most 10000 items"),
        (changed("nodes", 0, "name", "1"), r"nodes\[1\] .* Two values are called '1'"),
        (changed("nodes", 0, "name", "a\nb"), r"nodes\[0\].name must be 1 to 200 printable"),
        (changed("nodes", 0, "name", "a" * 201), r"nodes\[0\].name must be 1 to 200 printable"),
        (changed("nodes", 0, "op", "exec"), r"nodes\[0\].op must be an operation of a network"),
        (changed("nodes", 0, "op", "row"), r"nodes\[0\].op must be an operation of a network"),
        (changed("nodes", 0, "op", "huber"), r"nodes\[0\].op must be an operation of a network"),
        (changed("nodes", 0, "op", "conv_backward_data"), r"must be an operation of a network"),
        (changed("nodes", 0, "op", ["conv"]), r"nodes\[0\].op must be 1 to 200 printable"),
        (changed("nodes", 0, "inputs", ["5"]), r"'5' is not computed before it"),
        (changed("nodes", 0, "inputs", ["input"] * 2), r"Conv takes 1 inputs, got 2"),
        (changed("nodes", 0, "inputs", []), r"Conv takes 1 inputs, got 0"),
        (changed("nodes", 0, "parameters", ["w"]), r"Conv takes 2 parameters, got 1"),
        (changed("nodes", 0, "parameters", list("abc")), r"Conv takes 2 parameters, got 3"),
        (changed("nodes", 0, "parameters", ["w", "w"]), r"must have the shape \(6,\), but 'w'"),
        (changed("nodes", 5, "parameters", ["0.weight", "b"]), r"must be parameters of its own"),
        (changed("nodes", 0, "parameters", ["input", "b"]), r"stand for inputs and for parameters"),
        (changed(*CONV, {}), r"nodes\[0\].attributes must be an object with the keys"),
        (changed(*CONV, "filters", 0), r"nodes\[0\] .* 'filters' parameter of Conv must be"),
        (changed(*CONV, "filters", 6.0), r"attributes.filters must be an integer from 0"),
        (changed(*CONV, "filters", True), r"attributes.filters must be an integer from 0"),
        (changed(*CONV, "filters", 10**400), r"attributes.filters must be an integer from 0"),
        (changed(*CONV, "filters", 2**30), r"nodes\[0\] must be a value of at most"),
        (changed(*CONV, "bias", 1), r"attributes.bias must be true or false"),
        (changed(*CONV, "kernel", [9, 99]), r"Conv: the kernel \(9, 99\) is larger than"),
        (changed(*CONV, "kernel", [1] * 9), r"attributes.kernel must be a list of at most 8"),
        (changed(*CONV, "kernel", "33"), r"attributes.kernel must be a list of at most 8"),
        (changed(*CONV, "stride", [0, 1]), r"'stride' parameter of Conv must be a tuple of 2"),
        (changed(*CONV, "stride", [1]), r"'stride' parameter of Conv must be a tuple of 2"),
        (changed(*CONV, "padding", [[1, 1, 1]] * 2), r"attributes.padding must be a list of pairs"),
        (changed(*CONV, "padding", [1, 1]), r"attributes.padding must be a list of at most 8"),
        (changed("nodes", 2, "attributes", "slope", "0.1"), r"slope must be a finite number"),
        (
            changed("nodes", 2, "attributes", "slope", float("nan")),
            r"slope must be a finite number",
        ),
        (changed("nodes", 2, "attributes", "slope", 10**400), r"slope must be a finite number"),
        (changed("nodes", 2, "attributes", "slope", -1), r"'slope' parameter of LeakyReLU must"),
    ],
)
def test_refuses_what_describes_no_network(data, message):
    with pytest.raises(ModelFileError, match=message):
        graph_from_dict(data)


def test_padding_that_a_stride_hides_is_bounded():
    data = changed(*CONV, "padding", [[2**30, 2**30]] * 2)
    data["nodes"][0]["attributes"]["stride"] = [2**30] * 2
    with pytest.raises(ModelFileError, match=r"attributes.padding must be a value of at most"):
        graph_from_dict(data)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"version": ' + "9" * 5000 + "}"])
def test_refuses_text_that_is_no_json(text):
    with pytest.raises(ModelFileError):
        graph_from_json(text)


def test_refuses_a_text_that_is_too_long():
    with pytest.raises(ModelFileError, match="the graph must be at most 16777216 characters"):
        graph_from_json(" " * (2**24 + 1))


def places(data):
    """List the paths to every part of a description."""
    found = [()]
    children = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in children:
        inner = places(value) if isinstance(value, (dict, list)) else [()]
        found += [(key, *path) for path in inner]
    return found


PLACES = places(graph_to_dict(network()))
NUMBERS = st.one_of(
    st.integers(-3, 40), st.sampled_from([2**31 - 1, 2**31, 2**63, 10**30]), st.floats()
)
NAMES = st.one_of(
    st.sampled_from(["input", "0", "3", "5", "", "conv", "dense", "row", "upsample", "crop"]),
    st.text(max_size=5),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, NAMES),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PLACES[1:]), JSON), min_size=1, max_size=3))
def test_any_damage_gives_a_network_or_the_error_of_model_files(damages):
    data = copy.deepcopy(graph_to_dict(network()))
    for (*path, key), value in damages:
        part = data
        try:
            for step in path:
                part = part[step]
            part[key] = value
        except (TypeError, KeyError, IndexError):  # an earlier damage took the place away
            continue
    try:
        graph = graph_from_dict(data)
    except ModelFileError:
        return
    assert isinstance(graph, Graph)
    assert graph_from_json(graph_to_json(graph)) == graph


@given(st.data())
def test_any_damage_to_the_text_gives_a_network_or_the_error_of_model_files(data):
    text = json.dumps(graph_to_dict(network()))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 20)))
    damaged = text[:start] + data.draw(st.text(max_size=5)) + text[stop:]
    try:
        graph = graph_from_json(damaged)
    except ModelFileError:
        return
    assert isinstance(graph, Graph)
