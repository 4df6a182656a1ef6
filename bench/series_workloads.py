"""Networks for time series over a grid of lengths and batches."""

from __future__ import annotations

from bench.workloads import Workload
from convoi.nn import networks

NETWORKS = (
    ("FCN", networks.fcn()),
    ("ResNet", networks.resnet_1d()),
    ("InceptionTime", networks.inception_time()),
)
LENGTHS = (24, 150, 500, 1_500, 5_000)
BATCHES = (16, 64, 256)
MOST_STEPS = 400_000
"""Time steps of a batch: PyTorch keeps up to 20 KB for each, 8 GB."""
SERIES_WORKLOADS = tuple(
    Workload(f"{name}, {length} steps", layers, (1, length), batch)
    for name, layers in NETWORKS
    for length in LENGTHS
    for batch in BATCHES
    if length * batch <= MOST_STEPS
)
