from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.errors import ShapeError
from convoi.graph import INPUT, Builder, align, resize, run
from convoi.graph.alignment import READS
from tests.compiler.graphs import network
from tests.strategies import graph_parameters, random_graphs


@st.composite
def per_step_networks(draw):
    graph = draw(random_graphs(ranks=(1,), accept=lambda op: isinstance(op, tuple(READS))))
    alignment = align(graph)[graph.outputs[0]]
    assume(alignment is not None)
    return graph, alignment


@settings(max_examples=40)
@given(drawn=per_step_networks(), longer=st.integers(0, 9))
def test_extents_are_the_shapes_of_resized_networks(drawn, longer):
    graph, alignment = drawn
    for length in (graph.shape(INPUT)[1], graph.shape(INPUT)[1] + longer):
        resized = resize(graph, (length,))
        assert resized.shape(graph.outputs[0])[1] == alignment.extent.of(length)


@settings(max_examples=40)
@given(drawn=per_step_networks(), data=st.data())
def test_an_output_depends_on_its_receptive_field_only(drawn, data):
    graph, alignment = drawn
    channels, length = graph.shape(INPUT)
    rng = np.random.default_rng(0)
    parameters = graph_parameters(graph, rng)
    x = rng.standard_normal((1, channels, length))
    (output,) = graph.outputs
    p = data.draw(st.integers(0, graph.shape(output)[1] - 1))
    inside = np.zeros(length, bool)
    low = max(0, p * alignment.stride - alignment.before)
    inside[low : max(0, p * alignment.stride + alignment.after + 1)] = True
    other = np.where(inside, x, rng.standard_normal(x.shape))
    before, after = (run(graph, {INPUT: v}, parameters)[output][0, :, p] for v in (x, other))
    np.testing.assert_array_equal(before, after)


def test_the_receptive_field_of_a_causal_stack():
    build = Builder.for_network((1, 50))
    value = INPUT
    for number in range(3):
        dilation = 2**number
        conv = ops.Conv(1, (3,), (1,), ((2 * dilation, 0),), (dilation,))
        value = build.layer(str(number), conv, value)
    alignment = align(build.finish(value))[value]
    assert (alignment.before, alignment.after, alignment.receptive_field) == (14, 0, 15)


def test_a_parameter_that_depends_on_the_extents_is_named():
    graph = network((2, 8), ops.Flatten(), ops.Dense(3))
    with pytest.raises(
        ShapeError, match=r"'1.weight' of Dense depends on the extents .* \(3, 18\)"
    ):
        resize(graph, (9,))


def test_a_kernel_that_does_not_fit_is_named():
    graph = network((2, 8), ops.Conv(1, (5,), (1,), ((0, 0),), (1,)))
    with pytest.raises(ShapeError, match="In '0'"):
        resize(graph, (4,))
