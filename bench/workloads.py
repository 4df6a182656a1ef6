"""The networks that are measured, and the batches that they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.task import Batch
from convoi import Network
from convoi.nn import networks
from convoi.ops import ParameterKind

if TYPE_CHECKING:
    from convoi.nn import Sequential


@dataclass(frozen=True)
class Workload:
    """A network, the shape of a sample and the number of samples in a training step."""

    name: str
    layers: Sequential
    input_shape: tuple[int, ...]
    batch: int

    def network(self) -> Network:
        """Return the network, with parameters that make every part of it count."""
        network = Network(self.layers, self.input_shape, random_state=0)
        rng = np.random.default_rng(1)
        parameters = network.parameters
        for name, spec in network.parameter_specs.items():
            if spec.kind in {ParameterKind.SCALE, ParameterKind.VARIANCE}:
                parameters[name] = rng.uniform(0.5, 1.5, spec.shape)
            elif spec.kind is not ParameterKind.WEIGHT:
                parameters[name] = rng.normal(0, 0.1, spec.shape)
        network.parameters = parameters
        return network


def random_batch(network: Network, samples: int, seed: int) -> Batch:
    """Return random samples and classes for a network."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, *network.input_shape), np.float32)
    y = rng.integers(0, network.output_shape[0], samples)
    return Batch(X, y, network.parameters)


WORKLOADS = (
    Workload("LeNet-5", networks.lenet5(), (1, 28, 28), 64),
    Workload("two convolutions", networks.two_conv(), (1, 28, 28), 64),
    Workload("ResNet-20", networks.resnet(depth=20), (3, 32, 32), 64),
    Workload("1-D FCN", networks.fcn(), (1, 150), 16),
)
