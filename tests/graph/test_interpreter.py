"""Running graphs in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.errors import ArgumentError, ShapeError
from convoi.graph import INPUT, SEED, Builder, run


@pytest.fixture
def graph():
    build = Builder.for_network((2,))
    return build.finish(build.layer("dense", ops.Dense(1), INPUT))


WEIGHTS = {"dense.weight": np.array([[2.0, 3.0]]), "dense.bias": np.array([1.0])}


def test_returns_every_value_by_name(graph):
    x = np.array([[1.0, 1.0], [0.0, 2.0]])
    values = run(graph, {INPUT: x}, WEIGHTS)
    assert values[INPUT] is x
    np.testing.assert_array_equal(values["dense"], [[6.0], [7.0]])


def test_batch_values_have_no_batch_axis():
    build = Builder({INPUT: (2,), SEED: ()})
    graph = build.finish(
        build(ops.BatchMoments(), [INPUT]), build(ops.DropoutMasked(0.5, 0), [INPUT, SEED])
    )
    values = run(graph, {INPUT: np.ones((5, 2)), SEED: np.uint64(1)})
    assert values["batch_moments"].shape == (2, 2)
    assert values["dropout_masked"].shape == (5, 2)


@pytest.mark.parametrize(
    ("arrays", "parameters", "error", "message"),
    [
        ({}, WEIGHTS, ArgumentError, r"The graph has the input 'input'; got only \[\]"),
        (
            {INPUT: np.ones((3, 2))},
            {"dense.bias": np.ones(1)},
            ArgumentError,
            r"The graph has the parameter 'dense.weight'; got only \['dense.bias'\]",
        ),
        (
            {INPUT: np.ones((3, 4))},
            WEIGHTS,
            ShapeError,
            r"The array 'input' must have the shape \(3, 2\), got \(3, 4\)",
        ),
        (
            {INPUT: np.ones((3, 2))},
            {**WEIGHTS, "dense.bias": np.ones(2)},
            ShapeError,
            r"The array 'dense.bias' must have the shape \(1,\), got \(2,\)",
        ),
    ],
)
def test_refuses_arrays_that_do_not_fit(graph, arrays, parameters, error, message):
    with pytest.raises(error, match=message):
        run(graph, arrays, parameters)
