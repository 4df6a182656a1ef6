"""All rules: which kernel computes each kind of node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.compiler import (
    rules_convolution,
    rules_loss,
    rules_masking,
    rules_norm,
    rules_pointwise,
    rules_pool,
    rules_shape,
    rules_tiled,
    rules_weighted_pool,
)
from convoi.compiler.select import RULES
from convoi.errors import CompilationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convoi.compiler.select import Rule, Selection
    from convoi.compiler.tasks import Task
    from convoi.ops import Operation

FAMILIES = (
    rules_convolution,
    rules_loss,
    rules_masking,
    rules_norm,
    rules_pointwise,
    rules_pool,
    rules_shape,
    rules_tiled,
    rules_weighted_pool,
)
"""The files of rules; a rule is known once its file is imported."""


def rule_for(operation: type[Operation]) -> Rule:
    """Return the rule of an operation, or of the nearest class that it derives from."""
    for type_ in operation.__mro__:
        if type_ in RULES:
            return RULES[type_]
    message = f"No kernel computes {operation.__name__}, which is a defect of Convoi."
    raise CompilationError(message)


def select_tasks(selection: Selection, tasks: Iterable[Task]) -> None:
    """Apply the rule of each task's main node, in order."""
    for task in tasks:
        rule_for(type(task.node.op))(selection, task)
