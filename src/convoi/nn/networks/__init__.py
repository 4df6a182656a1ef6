"""Ready networks: plain functions that return trees of layers.

They take inputs with 1, 2 or 3 spatial axes, unless they say otherwise (``tcn`` takes series).
`classes` is the number of outputs: one logit per class, or for regression the number of targets.

Examples
--------
>>> from convoi import nn
>>> layers = nn.networks.resnet(classes=10, depth=20)
>>> nn.Network(layers, input_shape=(3, 32, 32), random_state=0).output_shape
(10,)
"""

from __future__ import annotations

from convoi.nn.networks.choose import NETWORKS, auto, by_name
from convoi.nn.networks.images import lenet5, mobilenet, resnet, two_conv, vgg
from convoi.nn.networks.inception import InceptionModule, inception_time, lite
from convoi.nn.networks.series import fcn, resnet_1d, tcn

__all__ = [
    "NETWORKS",
    "InceptionModule",
    "auto",
    "by_name",
    "fcn",
    "inception_time",
    "lenet5",
    "lite",
    "mobilenet",
    "resnet",
    "resnet_1d",
    "tcn",
    "two_conv",
    "vgg",
]
