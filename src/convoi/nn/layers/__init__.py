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
from convoi.nn.layers.interval_pool import (
    AdaptiveAveragePool,
    AdaptiveMaxPool,
    FractionalMaxPool,
)
from convoi.nn.layers.normalize import BatchNorm, Dropout, Standardize
from convoi.nn.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, LpPool, MaxPool
from convoi.nn.layers.reshape import Flatten, Upsample, ZeroPad
from convoi.nn.layers.tiled import LocallyConnected, TiledConv
from convoi.nn.layers.weighted_pool import BlurPool, StochasticPool

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAveragePool",
    "AdaptiveMaxPool",
    "AveragePool",
    "BatchNorm",
    "BlurPool",
    "Conv",
    "Dense",
    "DepthwiseConv",
    "Dropout",
    "Flatten",
    "FractionalMaxPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Layer",
    "LeakyReLU",
    "LocallyConnected",
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
    "StochasticPool",
    "Tanh",
    "TiledConv",
    "Upsample",
    "ZeroPad",
]
