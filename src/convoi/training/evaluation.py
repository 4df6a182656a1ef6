"""Measuring how good a network is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.checks import check_integer
from convoi.nn.losses import loss_operation
from convoi.nn.setting import Setting
from convoi.training.labelled import LabelledSamples
from convoi.training.objective import Objective
from convoi.training.programs import SEPARATE, Programs
from convoi.training.samples import read_batches
from convoi.training.unequal import UnequalInference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike

    from convoi.compiler import InferenceProgram
    from convoi.graph import Graph
    from convoi.nn.losses import LossLike
    from convoi.nn.network import Network
    from convoi.nn.unequal import UnequalSeries
    from convoi.ops import Array
    from convoi.training.metrics import Metrics
    from convoi.training.samples import SampleSource

__all__ = ["Evaluator", "evaluate"]


def evaluate(
    network: Network,
    X: ArrayLike | SampleSource | UnequalSeries,
    y: ArrayLike,
    *,
    batch_size: int = 256,
    loss: LossLike = "cross_entropy",
    sample_weight: ArrayLike | None = None,
    threads: int | None = None,
) -> dict[str, float]:
    """Return the loss, and the accuracy or R2, of a network.

    Parameters
    ----------
    network : Network
        It is left as it is.
    X : array-like, SampleSource or UnequalSeries, shape (n, *input_shape)
        Samples. A source and a memory map are read in batches. Series of unequal length are a
        :class:`convoi.nn.UnequalSeries`.
    y : array-like of shape (n, *target_shape)
        Class codes for the loss 'cross_entropy', else values of the network's output shape.
    batch_size : int, default=256
        Number of samples that are read, and whose predictions are held, at a time.
    loss : str or Loss, default='cross_entropy'
        'cross_entropy', 'mean_squared', 'mean_absolute', 'huber', or an operation.
    sample_weight : array-like of shape (n,) or None
        How much each sample counts.
    threads : int or None
        Number of threads; None uses the processors that the process may use.

    Returns
    -------
    dict of str to float
        "loss", and "accuracy" for cross-entropy or else "r2": the coefficient of determination,
        averaged over the outputs.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError, DataError
        If a parameter cannot be used; the message says what it must be.

    Examples
    --------
    >>> import numpy as np
    >>> import convoi
    >>> from convoi import nn
    >>> network = convoi.Network(nn.Dense(2), input_shape=(3,), random_state=0)
    >>> figures = convoi.training.evaluate(network, np.ones((4, 3)), [0, 1, 0, 1])
    >>> figures["accuracy"]
    0.5
    """
    owner = "evaluate"
    size = check_integer(batch_size, "batch_size", owner, minimum=1)
    if threads is not None:
        threads = check_integer(threads, "threads", owner, minimum=1)
    objective = Objective.of(network, loss_operation(loss, owner), owner)
    data = LabelledSamples.of(network, objective, X, y, sample_weight, owner=owner)
    setting = Setting(
        network.dtype, network.threads if threads is None else threads, network.precision
    )
    evaluator = Evaluator.of(network, objective, data, size, setting)
    return evaluator.measure(network.parameters)


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Everything that is needed to measure a network on some samples again and again.

    Attributes
    ----------
    program : InferenceProgram
        The network's.
    metrics : Metrics
        What is measured.
    data : LabelledSamples
        On what.
    batch_size : int
        Number of samples to predict at a time.
    """

    program: InferenceProgram | UnequalInference
    metrics: Metrics
    data: LabelledSamples
    batch_size: int

    @classmethod
    def of(
        cls,
        network: Network,
        objective: Objective,
        data: LabelledSamples,
        batch_size: int,
        setting: Setting,
        *,
        programs: Programs = SEPARATE,
    ) -> Evaluator:
        """Return the evaluator of a network, whose program comes from ``programs``."""
        unequal = data.lengths is not None

        def build(graph: Graph) -> InferenceProgram:
            return programs.inference(graph, setting, masked=unequal)

        program = UnequalInference(network.graph, build) if unequal else build(network.graph)
        return cls(program, data.metrics(objective), data, batch_size)

    def measure(
        self, parameters: Mapping[str, Array], after_batch: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """Return the figures of the network with these parameters."""
        self.program.load(dict(parameters))
        data, objective = self.data, self.metrics.objective
        sums = self.metrics.zeros()
        starts = range(0, len(data.rows), self.batch_size)
        batches = (data.rows[start : start + self.batch_size] for start in starts)
        with closing(read_batches(data.samples, batches)) as reading:
            for batch in reading:
                prediction = self.program(batch.array, batch.indices, lengths=batch.lengths)
                target = data.batch_targets(objective, batch)
                weight = data.loss_weight[batch.rows]
                self.metrics.add(
                    sums,
                    loss=float(objective.losses(prediction, target, weight).sum()),
                    loss_weight=float(weight.sum()),
                    prediction=prediction,
                    target=target,
                    weight=data.weight[batch.rows],
                )
                after_batch()
        return self.metrics.result(sums)
