"""The networks that are measured, and the batches that they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.task import Batch
from convoi import Network, nn
from convoi.nn import Sequential, networks
from convoi.ops import ParameterKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.nn import Layer


@dataclass(frozen=True)
class Workload:
    """A network, the shape of a sample and the number of samples in a training step."""

    name: str
    layers: Sequential
    input_shape: tuple[int, ...]
    batch: int
    most_samples: int | None = None
    """The largest batch of predictions that is measured, and no training; None: all is."""

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


def _imagenet_resnet(blocks: Sequence[int], *, bottleneck: bool) -> Sequential:
    """Return a ResNet for images of 224 pixels.

    K. He et al., "Deep residual learning for image recognition", CVPR 2016, table 1; the stride
    of a bottleneck lies in its convolution of size 3, as in all frameworks.
    """
    layers: list[Layer] = [*_conv(64, 7, 2), nn.ReLU(), nn.MaxPool(3, stride=2, padding=1)]
    channels = 64
    for stage, repeats in enumerate(blocks):
        width = 64 << stage
        outputs = 4 * width if bottleneck else width
        for block in range(repeats):
            stride = 2 if stage and not block else 1
            if bottleneck:
                body = [
                    *_conv(width, 1),
                    nn.ReLU(),
                    *_conv(width, 3, stride),
                    nn.ReLU(),
                    *_conv(outputs, 1),
                ]
            else:
                body = [*_conv(width, 3, stride), nn.ReLU(), *_conv(outputs, 3)]
            changes = stride > 1 or channels != outputs
            shortcut = nn.Sequential(*_conv(outputs, 1, stride)) if changes else None
            layers += [nn.Residual(nn.Sequential(*body), shortcut), nn.ReLU()]
            channels = outputs
    return nn.Sequential(*layers, nn.GlobalAveragePool(), nn.Dense(1000))


def _conv(filters: int, size: int, stride: int = 1) -> list[Layer]:
    conv = nn.Conv(filters, size, stride=stride, padding=size // 2, bias=False)
    return [conv, nn.BatchNorm()]


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""M. Sandler et al., "MobileNetV2", CVPR 2018, table 2: expansion, filters, repeats, stride."""


def _mobilenet_v2() -> Sequential:
    return networks.mobilenet(1000, blocks=MOBILENET_V2, stem_stride=2)


def _resnet18() -> Sequential:
    return _imagenet_resnet((2, 2, 2, 2), bottleneck=False)


def _resnet50() -> Sequential:
    return _imagenet_resnet((3, 4, 6, 3), bottleneck=True)


CORE = ("LeNet-5", "two convolutions", "ResNet-20", "1-D FCN")
"""The networks that are measured unless others are asked for."""
WORKLOADS = (
    Workload("LeNet-5", networks.lenet5(), (1, 28, 28), 64),
    Workload("two convolutions", networks.two_conv(), (1, 28, 28), 64),
    Workload("ResNet-20", networks.resnet(depth=20), (3, 32, 32), 64),
    Workload("1-D FCN", networks.fcn(), (1, 150), 16),
    Workload("VGG", networks.vgg(), (3, 32, 32), 64),
    Workload("InceptionTime", networks.inception_time(), (1, 150), 64),
    Workload("MobileNetV2 96", _mobilenet_v2(), (3, 96, 96), 16),
    Workload("MobileNetV2 224", _mobilenet_v2(), (3, 224, 224), 8, most_samples=8),
    Workload(
        "ResNet-18 224", _imagenet_resnet((2, 2, 2, 2), bottleneck=False), (3, 224, 224), 8, 8
    ),
    Workload("ResNet-50 224", _imagenet_resnet((3, 4, 6, 3), bottleneck=True), (3, 224, 224), 8, 8),
)


def _local(kernel: int) -> Sequential:
    return nn.Sequential(
        nn.LocallyConnected(32, kernel, padding="same"), nn.ReLU(),
        nn.LocallyConnected(32, kernel, padding="same"), nn.ReLU(),
        nn.GlobalAveragePool(), nn.Dense(10),
    )  # fmt: skip


LOCAL_WORKLOADS = (
    Workload("local, 3x3 on 8x8", _local(3), (16, 8, 8), 64),
    Workload("local, 3x3 on 16x16", _local(3), (16, 16, 16), 64),
    Workload("local, 5 on 100", _local(5), (8, 100), 64),
)
"""Networks of little but unshared weights: 3, 14 and 2.6 MB of them."""
