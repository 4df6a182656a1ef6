"""How long each layer of a network takes, in the program that predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler.boundary import PACK
from convoi.compiler.inference import InferenceProgram
from convoi.compiler.pipeline import OUTPUT
from convoi.graph import INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convoi.compiler.pipeline import Precision
    from convoi.compiler.tasks import Task
    from convoi.graph import Graph
    from convoi.ops import Array

__all__ = ["time_layers"]

ROUNDS = 15
"""Rounds of which the quickest counts: the others were interrupted."""


def time_layers(
    graph: Graph,
    dtype: str,
    parameters: Mapping[str, Array],
    *,
    batch_size: int,
    precision: Precision = "default",
) -> dict[str, float]:
    """Return the seconds per sample that the kernels of each layer take, on one thread.

    Layers that one kernel computes together are timed together: the time stands at the one with
    the most multiply-adds, or without any at the one that the kernel is for, and is 0 at the
    others. Packing the samples is under "input", and
    writing the result to the caller's array under "output".

    Parameters
    ----------
    graph : Graph
        A network.
    dtype : {'float32', 'float64'}
        What it computes in.
    parameters : mapping of str to array
        Its parameters: their values do not matter, as long as they are usual ones.
    batch_size : int
        Samples of the batch that is predicted. As many of them as the program lets through
        together are measured.
    precision : {'default', 'high'}
        How exactly convolutions are computed.
    """
    program = InferenceProgram(graph, dtype, threads=1, precision=precision)
    program.load(parameters)
    X = np.random.default_rng(0).standard_normal((batch_size, *graph.shape(INPUT)))
    rounds = [program.time_tasks(X.astype(dtype)) for _ in range(1 + ROUNDS)][1:]
    quickest = {name: min(times[name] for times in rounds) for name in rounds[0]}
    rows = _rows(graph, program.tasks)
    seconds = dict.fromkeys((INPUT, *(node.name for node in graph.nodes), OUTPUT), 0.0)
    for label, taken in quickest.items():
        row = {PACK: INPUT, OUTPUT: OUTPUT}.get(label) or rows[_layer(label)]
        seconds[row] += taken
    return seconds


def _rows(graph: Graph, tasks: tuple[Task, ...]) -> dict[str, str]:
    """Return the layer at which the time of each task stands, by the layer that ends the task."""
    task_of = {_layer(node.name): _layer(task.output) for task in tasks for node in task.nodes}
    main = {_layer(task.node.name) for task in tasks}
    layers: dict[str, list[str]] = {}
    # Backwards, so that what a layer was folded into is known before the layer.
    for node in reversed(graph.nodes):
        if node.name not in task_of:
            readers = [task_of[n.name] for n in graph.consumers(node.name) if n.name in task_of]
            if not readers:
                continue
            task_of[node.name] = readers[0]
        layers.setdefault(task_of[node.name], []).append(node.name)

    def work(name: str) -> tuple[int, bool]:
        node = graph.node(name)
        return node.op.multiply_adds(*map(graph.shape, node.inputs)), name in main

    return {task: max(reversed(names), key=work) for task, names in layers.items()}


def _layer(name: str) -> str:
    """Return the layer whose part a node is, if simplification has divided it."""
    return name.partition("|")[0]
