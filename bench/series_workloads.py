"""Networks for time series over a grid of lengths and batches."""

from __future__ import annotations

from bench.workloads import Workload
from convoi.nn import networks

NETWORKS = (
    ("FCN", networks.fcn(), 400_000),
    ("ResNet", networks.resnet_1d(), 250_000),
    ("InceptionTime", networks.inception_time(), 140_000),
)
"""With the most time steps of a batch. The process that checks the gradients keeps 4, 6 and 11 KB
for each in float32, twice as much in float64, and both again for steps without update: 10 GB."""
LENGTHS = (24, 150, 500, 1_500, 5_000)
BATCHES = (16, 64, 256)
SERIES_WORKLOADS = tuple(
    Workload(f"{name}, {length} steps", layers, (1, length), batch)
    for name, layers, most in NETWORKS
    for length in LENGTHS
    for batch in BATCHES
    if length * batch <= most
)
