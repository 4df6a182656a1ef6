"""Graphs of operations: nodes, verification, differentiation and the NumPy interpreter."""

from __future__ import annotations

from convoi.graph.alignment import Alignment, align
from convoi.graph.builder import Builder
from convoi.graph.differentiate import (
    RunningStatistics,
    TrainingGraph,
    check_network,
    differentiate,
    vector_jacobian,
)
from convoi.graph.interpreter import run
from convoi.graph.masking import mask
from convoi.graph.nodes import INPUT, LENGTH, OUTPUT_GRADIENT, SEED, TARGET, WEIGHT, Graph, Node
from convoi.graph.receptive_field import ReceptiveField, receptive_fields
from convoi.graph.resize import resize
from convoi.graph.serialize import (
    graph_from_dict,
    graph_from_json,
    graph_to_dict,
    graph_to_json,
)

__all__ = [
    "INPUT",
    "LENGTH",
    "OUTPUT_GRADIENT",
    "SEED",
    "TARGET",
    "WEIGHT",
    "Alignment",
    "Builder",
    "Graph",
    "Node",
    "ReceptiveField",
    "RunningStatistics",
    "TrainingGraph",
    "align",
    "check_network",
    "differentiate",
    "graph_from_dict",
    "graph_from_json",
    "graph_to_dict",
    "graph_to_json",
    "mask",
    "receptive_fields",
    "resize",
    "run",
    "vector_jacobian",
]
