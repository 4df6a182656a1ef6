"""Layouts: lanes, halos, inputs without padding, flattened grids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from convoi import ops
from convoi.codegen.target import Target
from convoi.compiler.layouts import Placed, place_values
from convoi.compiler.simplify import simplify_inference, sink_flatten
from convoi.compiler.tasks import fuse
from convoi.graph import INPUT, Builder, Graph, differentiate
from convoi.kernels.layout import Layout
from tests.cases import conv, pool
from tests.compiler.graphs import network, same_conv
from tests.kernels.tensors import stored
from tests.strategies import random_graphs

TARGET = Target("x86_64-linux", "any", "", 32, 16)
"""Vectors of 8 float32."""


def placed(graph: Graph, dtype: str = "float32", *, fast: bool = False) -> dict[str, Placed]:
    return place_values(graph, fuse(graph), dtype, TARGET, fast=fast)


def halo_of_input(*layers: ops.Operation) -> tuple[tuple[int, int], ...]:
    return placed(network((3, 9, 7), *layers))[INPUT].layout.halo


# Halos ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "halo"),
    [
        (conv(4, (3, 2)), ((0, 0), (0, 0))),
        (conv(4, (3, 2), padding=((1, 1), (0, 1))), ((1, 1), (0, 1))),
        (conv(4, (3, 3), padding=((2, 0), (0, 2)), flip=True), ((2, 0), (0, 2))),
        (conv(4, (3, 3), padding=2, dilation=2), ((2, 2), (2, 2))),
        # The last windows of a stride need not reach the end of the padding.
        (conv(4, (3, 3), padding=1, stride=(2, 4)), ((1, 1), (1, 0))),
        (conv(4, (1, 1), padding=0, stride=2), ((0, 0), (0, 0))),
    ],
    ids=str,
)
def test_the_halo_is_what_the_windows_reach_beyond_the_input(op, halo) -> None:
    assert halo_of_input(op) == halo


def test_the_halo_serves_all_readers() -> None:
    build = Builder.for_network((3, 9))
    a = build.layer("a", conv(4, (3,), padding=((2, 0),)), INPUT)
    b = build.layer("b", conv(4, (3,), padding=((0, 2),)), INPUT)
    graph = build.finish(build.layer("sum", ops.Add(), a, b))
    assert placed(graph)[INPUT].layout.halo == ((2, 2),)


def test_the_gradient_of_an_output_has_the_halo_that_its_backward_pass_needs() -> None:
    first, second = conv(4, (3,), bias=False), conv(5, (3,), padding=1)
    graph = differentiate(network((3, 9), first, second), ops.MeanSquaredError()).graph
    layouts = placed(graph)
    # dx at i sums dy from i - 1 to i + 1.
    (dy,) = (node.name for node in graph.nodes if isinstance(node.op, ops.LossBackward))
    assert layouts[dy].layout.halo == ((1, 1),)
    assert layouts["1/conv_backward_data"].layout.halo == ((0, 0),)


def test_pools_do_not_read_halos() -> None:
    assert halo_of_input(pool(ops.MaxPool, (3, 3), padding=1)) == ((0, 0), (0, 0))


# Lanes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "lanes"), [(1, 4), (4, 4), (5, 8), (8, 8), (9, 8), (100, 8)])
def test_activations_have_the_lanes_that_fit_their_channels(channels: int, lanes: int) -> None:
    layout = placed(network((3, 9), conv(channels, (3,)), ops.Softmax()))["0"].layout
    assert (layout.lanes, layout.stride % lanes) == (lanes, 0)


def test_float64_has_half_the_lanes() -> None:
    layout = placed(network((3, 9), conv(20, (3,))), "float64")["0"].layout
    assert layout.lanes == 4


@pytest.mark.parametrize(
    "op", [conv(4, (3, 3)), conv(6, (2, 1), groups=3), same_conv(4, (1, 1))], ids=str
)
def test_an_input_that_is_only_broadcast_is_not_padded(op: ops.Operation) -> None:
    layout = placed(network((3, 5, 5), op))[INPUT].layout
    assert (layout.lanes, layout.stride) == (1, 3)


@pytest.mark.parametrize(
    "op",
    [ops.ReLU(), pool(ops.MaxPool, (2, 2)), conv(3, (3, 3), groups=3), ops.Softmax()],
    ids=str,
)
def test_an_input_that_is_read_in_vectors_is_padded(op: ops.Operation) -> None:
    layout = placed(network((3, 5, 5), op))[INPUT].layout
    assert (layout.lanes, layout.stride) == (4, 4)


def test_an_input_that_is_an_output_is_padded() -> None:
    build = Builder.for_network((3, 5))
    graph = build.finish(build.layer("conv", conv(4, (3,)), INPUT), INPUT)
    assert placed(graph)[INPUT].layout.lanes == 4


def test_the_standardised_input_is_not_padded_either() -> None:
    graph = simplify_inference(network((3, 5, 5), ops.Standardize(), conv(4, (3, 3)))).graph
    assert placed(graph)["0"].layout.lanes == 1


# Flattened grids ------------------------------------------------------------------------------


def test_a_flattened_grid_that_dense_layers_read_stays_as_it_lies() -> None:
    graph = network((3, 6, 5), conv(5, (3, 3)), ops.Flatten(), ops.Dense(4))
    layouts = placed(graph)
    grid = layouts["0"].layout
    assert layouts["1"].order == grid
    assert layouts["1"].layout == Layout(grid.positions * grid.stride, (), grid.lanes, "float32")


def test_the_order_of_a_grid_leaves_out_its_halo() -> None:
    build = Builder.for_network((3, 6))
    value = build.layer("conv", conv(5, (3,)), INPUT)
    again = build.layer("again", conv(5, (3,), padding=1), value)
    flat = build.layer("flat", ops.Flatten(), value)
    dense = build.layer("dense", ops.Dense(4), flat)
    graph = build.finish(dense, again)
    layouts = placed(graph)
    assert layouts["conv"].layout.halo == ((1, 1),)
    assert layouts["flat"].order == Layout(5, (4,), 8, "float32")


def test_the_feature_map_tells_which_feature_lies_where() -> None:
    layout = Layout(5, (2, 3), 4, "float32")
    numbers = np.arange(30, dtype=np.float32).reshape(1, 5, 2, 3)
    features = Placed(Layout(48, (), 4), layout).feature_map()
    assert features is not None
    memory = stored(numbers, layout, beyond=-1)[: features.size]
    np.testing.assert_array_equal(features, memory)


def test_other_values_have_no_feature_map() -> None:
    assert Placed(Layout(5, (2, 3), 4)).feature_map() is None


@pytest.mark.parametrize(
    "after", [[], [ops.Softmax()], [ops.Dense(4), ops.Flatten()]], ids=["output", "softmax", "flat"]
)
def test_a_flattened_grid_that_others_read_is_put_in_order(after: list[ops.Operation]) -> None:
    layouts = placed(network((3, 6), conv(5, (3,)), ops.Flatten(), *after))
    last = layouts[str(len(after) + 1)]
    assert last.order is None


def gradient_order(*shapes: tuple[int, ...]) -> Layout | None:
    """Return the order of the gradient of a sum of flattened grids of some shapes."""
    build = Builder.for_network((2, 8))
    flat = []
    for number, shape in enumerate(shapes):
        filters, extent = shape
        value = build.layer(f"conv{number}", conv(filters, (9 - extent,)), INPUT)
        flat.append(build.layer(f"flat{number}", ops.Flatten(), value))
    value = build.layer("sum", ops.Add(), *flat) if len(flat) > 1 else flat[0]
    graph = build.finish(build.layer("dense", ops.Dense(3), value))
    training = differentiate(sink_flatten(graph), ops.MeanSquaredError()).graph
    return placed(training)["dense/conv_backward_data"].order


def test_the_gradient_of_a_flattened_grid_lies_as_the_grid() -> None:
    order = gradient_order((6, 4))
    assert order is not None
    assert (order.channels, order.spatial, order.has_halo) == (6, (4,), False)
    assert gradient_order((6, 4), (6, 4)) == order


def test_grids_of_several_shapes_have_no_common_order() -> None:
    assert gradient_order((6, 4), (4, 6)) is None


@settings(max_examples=60)
@given(random_graphs())
def test_all_that_tasks_read_and_store_is_placed(graph: Graph) -> None:
    graph = simplify_inference(graph).graph
    layouts = placed(graph, fast=True)
    for task in fuse(graph):
        for value in (*task.inputs, task.output):
            layout = layouts[value].layout
            if layouts[value].order is None:
                assert (layout.channels, *layout.spatial) == graph.shape(value)
            assert layout.lanes == 1 or layout.lanes in TARGET.widths("float32")
            assert layout.bytes % 64 == 0
