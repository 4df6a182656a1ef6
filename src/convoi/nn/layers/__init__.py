"""Layers: immutable descriptions that form a tree, which is traced to a graph."""

from __future__ import annotations

from convoi.nn.layers.activations import (
    ELU,
    GELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from convoi.nn.layers.base import Layer
from convoi.nn.layers.containers import Parallel, Residual, Sequential
from convoi.nn.layers.conv import Conv, Dense, DepthwiseConv
from convoi.nn.layers.normalize import BatchNorm, Dropout, Standardize
from convoi.nn.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, LpPool, MaxPool
from convoi.nn.layers.reshape import Flatten, Upsample, ZeroPad

__all__ = [
    "ELU",
    "GELU",
    "AveragePool",
    "BatchNorm",
    "Conv",
    "Dense",
    "DepthwiseConv",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Layer",
    "LeakyReLU",
    "LpPool",
    "MaxPool",
    "Parallel",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Standardize",
    "Tanh",
    "Upsample",
    "ZeroPad",
]
