"""Fusion: which nodes are computed together by one kernel.

A task is a main node and the pointwise nodes that are applied to its result before it is stored.
A node is absorbed if it is the only reader of the result, so the value between them is never
needed in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from convoi.compiler.channelwise import ChannelAffine, ChannelScale
from convoi.ops import (
    Add,
    BatchNormalize,
    BatchNormBackward,
    Conv,
    ConvBackwardData,
    Dense,
    MaxPoolBackward,
    Operation,
    Pointwise,
    PointwiseBackward,
    ReLU,
    TiledConv,
    TiledConvBackwardData,
)

if TYPE_CHECKING:
    from convoi.graph import Graph, Node

_WITH_EPILOGUE = (
    Conv,
    Dense,
    ConvBackwardData,
    TiledConv,
    TiledConvBackwardData,
    Pointwise,
    PointwiseBackward,
    Add,
    BatchNormalize,
    BatchNormBackward,
    ChannelAffine,
    ChannelScale,
)
_ABSORBABLE = (Pointwise, PointwiseBackward, Add)
MOST_OPERANDS = 12
"""Tensors that one kernel may read besides its main input."""


OperationType = TypeVar("OperationType", bound=Operation)


@dataclass(frozen=True)
class Task:
    """A main node, and the nodes that its kernel applies to the result."""

    node: Node
    absorbed: tuple[Node, ...] = ()

    def operation(self, type_: type[OperationType]) -> OperationType:
        """Return the main node's operation, which is known to be of a type."""
        if not isinstance(self.node.op, type_):
            message = f"{self.node.op!r} is no {type_.__name__}."
            raise TypeError(message)
        return self.node.op

    @property
    def output(self) -> str:
        """The value that the task stores."""
        return self.absorbed[-1].name if self.absorbed else self.node.name

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All its nodes, in order."""
        return (self.node, *self.absorbed)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The values that it reads, each once."""
        own = {node.name for node in self.nodes}
        read = (value for node in self.nodes for value in node.inputs if value not in own)
        return tuple(dict.fromkeys(read))


@dataclass
class _Open:
    node: Node
    absorbed: list[Node] = field(default_factory=list)
    position: int = 0


def fuse(graph: Graph) -> tuple[Task, ...]:
    """Return the tasks of a graph, in an order in which they can run."""
    ending: dict[str, _Open] = {}
    tasks: list[_Open] = []
    for position, node in enumerate(graph.nodes):
        task = _task_to_join(graph, node, ending)
        if task is None:
            task = _Open(node)
            tasks.append(task)
        else:
            del ending[_result(task)]
            task.absorbed.append(node)
        task.position = position
        ending[node.name] = task
    tasks.sort(key=lambda task: task.position)
    return tuple(Task(task.node, tuple(task.absorbed)) for task in tasks)


def _result(task: _Open) -> str:
    return task.absorbed[-1].name if task.absorbed else task.node.name


def _task_to_join(graph: Graph, node: Node, ending: dict[str, _Open]) -> _Open | None:
    """Return the task whose kernel can apply this node, the latest one if there are several."""
    if not isinstance(node.op, _ABSORBABLE):
        return None
    candidates = [
        task
        for value in node.inputs
        if (task := ending.get(value)) is not None and _accepts(graph, task, node, value)
    ]
    return max(candidates, key=lambda task: task.position, default=None)


def _accepts(graph: Graph, task: _Open, node: Node, value: str) -> bool:
    if len(graph.consumers(value)) > 1 or value in graph.outputs:
        return False
    if node.inputs.count(value) > 1:
        return False
    if isinstance(task.node.op, MaxPoolBackward):
        return _is_relu_before_pool(task, node, value)
    operands = sum(len(n.inputs) for n in (task.node, *task.absorbed, node))
    return isinstance(task.node.op, _WITH_EPILOGUE) and operands <= MOST_OPERANDS


def _is_relu_before_pool(task: _Open, node: Node, value: str) -> bool:
    """Tell whether a pool's gradient goes on to the rectifier whose output was pooled."""
    pool = task.node.op
    return (
        isinstance(pool, MaxPoolBackward)
        and not task.absorbed
        and pool.pool.size == pool.pool.stride
        and not any(any(pair) for pair in pool.pool.padding)
        and isinstance(node.op, PointwiseBackward)
        and isinstance(node.op.op, ReLU)
        and node.inputs == (task.node.inputs[0], value)
    )
