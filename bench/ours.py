"""Convoi as an engine of the comparison: ``python -m bench.ours`` is its worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import convoi
from bench.task import Batch, Task, read_batch
from bench.worker import Runner, serve
from convoi.compiler import StepSettings, TrainingProgram, UpdateRule
from convoi.graph.serialize import graph_from_dict
from convoi.ops import CrossEntropy
from convoi.training.loop import MOST_AHEAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.compiler.prepared import PreparedStep

    Arguments: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

SETTING = "default"
"""The setting of Convoi that is measured."""
EXACT = "float64"
"""The setting that others are judged by."""


class Convoi:
    """The engine."""

    def describe(self) -> dict[str, str]:
        """Return the versions of what it consists of."""
        import llvmlite  # noqa: PLC0415 - as convoi does, only when it is needed
        from llvmlite.binding import llvm_version_info  # noqa: PLC0415

        return {
            "convoi": convoi.__version__,
            "numpy": np.__version__,
            "llvmlite": llvmlite.__version__,
            "llvm": ".".join(map(str, llvm_version_info)),
        }

    def prepare(self, task: Task, setting: str) -> Runner:
        """Build a network."""
        assert setting in {SETTING, EXACT}
        batch = read_batch(task.arrays)
        if task.mode == "inference":
            return Inference(task, batch)
        return Training(task, batch, "float64" if setting == EXACT else "float32")


class Training:
    """Steps of SGD with momentum, each from rows of an array, some prepared at once, as in fit."""

    def __init__(self, task: Task, batch: Batch, dtype: str) -> None:
        graph = graph_from_dict(task.graph)
        rule = UpdateRule("sgd", momentum=True)
        self._program = TrainingProgram(
            graph, CrossEntropy(), rule, dtype=dtype, threads=task.threads
        )
        self._program.load(batch.parameters)
        self._settings = StepSettings(task.learning_rate, momentum=task.momentum)
        self._arguments = _arguments(batch)
        self._prepared: list[PreparedStep] = []

    def run(self) -> None:
        """Take a step."""
        if not self._prepared:
            self._prepared = [self._program.prepare(*self._arguments) for _ in range(MOST_AHEAD)]
        self._program.take(self._prepared.pop(), self._settings)

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return loss, gradients, and the parameters after one step."""
        program = self._program
        program.load(batch.parameters)
        arguments = _arguments(batch)
        _, gradients, _ = program.gradients(*arguments)
        loss = program.step(*arguments, self._settings).loss
        return {
            "loss": np.array(loss),
            **{f"gradient/{name}": array for name, array in gradients.items()},
            **{f"updated/{name}": array for name, array in program.parameters().items()},
        }


def _arguments(batch: Batch) -> Arguments:
    """Return what a step takes: samples, which of them, classes, weights."""
    n = len(batch.X)
    return batch.X, np.arange(n), batch.y, np.full(n, 1 / n, np.float32)


class Inference:
    """Predictions for a batch."""

    def __init__(self, task: Task, batch: Batch) -> None:
        graph = graph_from_dict(task.graph)
        self._network = convoi.Network(graph, parameters=batch.parameters, threads=task.threads)
        self._batch = batch

    def run(self) -> None:
        """Predict."""
        self._network(self._batch.X)

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return the predictions."""
        return {"prediction": self._network(batch.X)}


if __name__ == "__main__":
    serve(Convoi())
