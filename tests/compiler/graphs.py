"""Small networks, and what their programs should compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convoi.config import override
from convoi.graph import INPUT, TARGET, WEIGHT, Builder, differentiate, run
from tests.cases import conv
from tests.kernels.harness import target_named
from tests.strategies import graph_parameters, training_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convoi.compiler import TrainingProgram
    from convoi.graph import Graph
    from convoi.ops import Loss, Operation, Shape

Array = np.ndarray[Any, Any]

CPUS = pytest.mark.parametrize("cpu", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])


def network(shape: Shape, *layers: Operation) -> Graph:
    """Return the network in which each layer reads the one before; they are called 0, 1, 2…"""
    build = Builder.for_network(shape)
    value = INPUT
    for number, op in enumerate(layers):
        value = build.layer(str(number), op, value)
    return build.finish(value)


def same_conv(filters: int, kernel: Shape, **others: Any) -> Operation:
    """Return a convolution with the padding that keeps odd kernels' extents."""
    padding = tuple((size // 2, size // 2) for size in kernel)
    return conv(filters, kernel, padding=padding, **others)


def on_cpu(cpu: str):
    """Return the setting of a target, or skip the test where this CPU cannot run it."""
    target_named(cpu)
    return override(cpu=cpu)


def example(
    graph: Graph, loss: Loss, n: int, seed: int = 0
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return parameters and training inputs in float64."""
    rng = np.random.default_rng(seed)
    return graph_parameters(graph, rng), training_inputs(graph, loss, rng, n=n)


def expected_training(
    graph: Graph, loss: Loss, inputs: Mapping[str, Array], parameters: Mapping[str, Array]
) -> tuple[float, dict[str, Array], Array]:
    """Return loss, gradients and prediction by definition."""
    training = differentiate(graph, loss)
    values = run(training.graph, dict(inputs), dict(parameters))
    gradients = {name: values[value] for name, value in training.gradients.items()}
    return float(values[training.loss].sum()), gradients, values[training.prediction]


def program_gradients(
    program: TrainingProgram, inputs: Mapping[str, Array], seed: int | None = None
) -> tuple[float, dict[str, Array], Array]:
    """Return loss, gradients and prediction of a program for all samples in order."""
    rows = np.arange(len(inputs[INPUT]))
    return program.gradients(
        inputs[INPUT],
        rows,
        inputs[TARGET],
        inputs[WEIGHT],
        seed=int(inputs.get("seed", 0)) if seed is None else seed,
    )


def relative_error(actual: Array, expected: Array, scale: float | None = None) -> float:
    """Return the largest error relative to the largest value (or to a scale)."""
    assert actual.shape == expected.shape
    if not expected.size:
        return 0.0
    scale = max(float(np.abs(expected).max()) if scale is None else scale, 1e-3)
    error = np.abs(np.asarray(actual, np.float64) - expected).max() / scale
    return float(error) if np.isfinite(error) else np.inf
