"""Fusion: what a kernel takes along, and what it must not."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from convoi import ops
from convoi.compiler.simplify import simplify_inference
from convoi.compiler.tasks import MOST_OPERANDS, fuse
from convoi.errors import ConvoiError
from convoi.graph import INPUT, Builder, Graph, differentiate
from tests.cases import pool
from tests.compiler.graphs import network, same_conv
from tests.strategies import losses, random_graphs

CONV = same_conv(4, (3,))


def fused(graph: Graph) -> list[tuple[str, ...]]:
    """Return the names of the nodes of each task."""
    return [tuple(node.name for node in task.nodes) for task in fuse(graph)]


def check_tasks(graph: Graph) -> None:
    tasks = fuse(graph)
    names = [node.name for task in tasks for node in task.nodes]
    assert sorted(names) == sorted(node.name for node in graph.nodes)
    known = set(graph.inputs)
    for task in tasks:
        assert set(task.inputs) <= known
        hidden = [node.name for node in task.nodes[:-1]]
        assert not set(hidden) & set(graph.outputs)
        for name in hidden:
            assert set(graph.consumers(name)) <= set(task.nodes)
        known.add(task.output)


@settings(max_examples=100)
@given(random_graphs())
def test_tasks_can_run_in_their_order_and_hide_what_nobody_else_reads(graph: Graph) -> None:
    check_tasks(simplify_inference(graph).graph)


@settings(max_examples=100)
@given(random_graphs(), losses())
def test_so_can_those_of_training(graph: Graph, loss: ops.Loss) -> None:
    try:
        training = differentiate(graph, loss)
    except ConvoiError:
        assume(False)
    check_tasks(training.graph)


@pytest.mark.parametrize("op", [CONV, ops.ReLU(), ops.BatchNorm()])
def test_pointwise_operations_join_what_computes_their_input(op: ops.Operation) -> None:
    graph = simplify_inference(network((3, 5), op, ops.ReLU(), ops.Sigmoid(), ops.Tanh())).graph
    assert len(fuse(graph)) == 1


@pytest.mark.parametrize("op", [ops.Softmax(), ops.ZeroPad(((1, 1),)), pool(ops.MaxPool, (2,))])
def test_operations_without_an_epilogue_take_nothing_along(op: ops.Operation) -> None:
    assert fused(network((3, 6), op, ops.ReLU())) == [("0",), ("1",)]


@pytest.mark.parametrize("op", [ops.Softmax(), CONV, ops.Flatten()])
def test_other_operations_do_not_join(op: ops.Operation) -> None:
    assert fused(network((3, 5), CONV, op)) == [("0",), ("1",)]


def test_a_residual_sum_joins_the_later_convolution() -> None:
    build = Builder.for_network((4, 5))
    first = build.layer("first", CONV, INPUT)
    second = build.layer("second", CONV, first)
    third = build.layer("third", CONV, second)
    total = build.layer("sum", ops.Add(), second, third)
    graph = build.finish(build.layer("relu", ops.ReLU(), total))
    assert fused(graph) == [("first",), ("second",), ("third", "sum", "relu")]


def test_a_value_that_two_read_is_stored() -> None:
    build = Builder.for_network((4, 5))
    value = build.layer("conv", CONV, INPUT)
    relu = build.layer("relu", ops.ReLU(), value)
    tanh = build.layer("tanh", ops.Tanh(), value)
    graph = build.finish(build.layer("all", ops.Concatenate(), relu, tanh))
    assert fused(graph) == [("conv",), ("relu",), ("tanh",), ("all",)]


def test_a_value_that_is_an_output_is_stored() -> None:
    build = Builder.for_network((4, 5))
    value = build.layer("conv", CONV, INPUT)
    graph = build.finish(build.layer("relu", ops.ReLU(), value), value)
    assert fused(graph) == [("conv",), ("relu",)]


def test_a_value_that_is_added_to_itself_is_stored() -> None:
    build = Builder.for_network((4, 5))
    value = build.layer("conv", CONV, INPUT)
    graph = build.finish(build.layer("double", ops.Add(), value, value))
    assert fused(graph) == [("conv",), ("double",)]


def test_a_kernel_takes_so_many_operands_and_no_more() -> None:
    build = Builder.for_network((4, 5))
    values = [build.layer(f"t{i}", CONV, INPUT) for i in range(MOST_OPERANDS + 2)]
    value = build.layer("conv", CONV, INPUT)
    for i, other in enumerate(values):
        value = build.layer(f"sum{i}", ops.Add(), value, other)
    tasks = fuse(build.finish(value))
    read = [sum(len(node.inputs) for node in task.nodes) for task in tasks]
    assert max(read) == MOST_OPERANDS + MOST_OPERANDS % 2 - 1


def backward_tasks(pooling: ops.Operation) -> list[tuple[str, ...]]:
    graph = network((4, 8), CONV, ops.ReLU(), pooling, ops.Flatten(), ops.Dense(2))
    return fused(differentiate(graph, ops.MeanSquaredError()).graph)


def test_the_gradient_of_a_pool_goes_through_the_rectifier_before_it() -> None:
    tasks = backward_tasks(pool(ops.MaxPool, (2,)))
    assert ("2/max_pool_backward", "1/pointwise_backward") in tasks


@pytest.mark.parametrize(
    "pooling",
    [
        pool(ops.MaxPool, (2,), stride=1),
        pool(ops.MaxPool, (2,), padding=1),
        pool(ops.AveragePool, (2,)),
    ],
    ids=str,
)
def test_not_through_pools_that_overlap_or_pad_or_average(pooling: ops.Operation) -> None:
    assert ("1/pointwise_backward",) in backward_tasks(pooling)


def test_a_task_tells_its_operation_only_by_its_type() -> None:
    (task,) = fuse(network((3, 5), CONV))
    assert task.operation(ops.Conv) is CONV
    with pytest.raises(TypeError, match="is no Dense"):
        task.operation(ops.Dense)
