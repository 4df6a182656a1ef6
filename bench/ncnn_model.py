"""The same network as a model of ncnn, built from the description of Convoi's graph.

A model is a text of layers and a file of weights, as ncnn's documentation describes them
(https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure): a line for each layer names
its type, its inputs and outputs, and its numbered attributes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Description: TypeAlias = dict[str, Any]

INPUT, OUTPUT = "x", "y"
MAGIC = 7767517
FLOAT32_TAG = b"\0\0\0\0"
"""What stands before weights that are stored in float32."""


@dataclass
class NcnnModel:
    """The two files of a model."""

    layers: list[str] = field(default_factory=list)
    blobs: int = 0
    weights: list[bytes] = field(default_factory=list)

    @property
    def param(self) -> str:
        """The text of the layers."""
        return "\n".join([str(MAGIC), f"{len(self.layers)} {self.blobs}", *self.layers]) + "\n"

    @property
    def bin(self) -> bytes:
        """The weights."""
        return b"".join(self.weights)


def build_ncnn(graph: Description, parameters: Mapping[str, NDArray[Any]]) -> NcnnModel:
    """Return the network of a description, batch normalisation folded into convolutions."""
    return _Builder(graph, parameters).build()


class _Builder:
    """A method ``_add_*`` for each operation takes the node and adds its layers."""

    def __init__(self, description: Description, parameters: Mapping[str, NDArray[Any]]) -> None:
        self._description = description
        self._parameters = parameters
        self._model = NcnnModel()
        self._readers: Counter[str] = Counter()
        self._norm_after: dict[str, Description] = {}
        for node in description["nodes"]:
            self._readers.update(node["inputs"])
        by_name = {node["name"]: node for node in description["nodes"]}
        for node in description["nodes"]:
            before = by_name.get(node["inputs"][0], {})
            alone = self._readers[node["inputs"][0]] == 1
            if node["op"] == "batch_norm" and before.get("op") == "conv" and alone:
                self._norm_after[before["name"]] = node
        self._copies: defaultdict[str, list[str]] = defaultdict(list)

    def build(self) -> NcnnModel:
        """Return the model."""
        ((source, shape),) = self._description["inputs"].items()
        (self._result,) = self._description["outputs"]
        self._rank = len(shape) - 1
        if self._rank not in {1, 2}:
            raise NotImplementedError("ncnn's layers have one or two spatial axes.")
        self._layer("Input", [], source, {})
        for node in self._description["nodes"]:
            add = getattr(self, f"_add_{node['op']}", None)
            if add is None:
                message = f"The benchmark has no ncnn form of the operation {node['op']!r}."
                raise NotImplementedError(message)
            add(node)
        return self._model

    def _layer(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[int, object],
        *,
        copies: int | None = None,
    ) -> None:
        """Add a layer; a value that several layers read is copied for each by a further one."""
        read = [self._copies[name].pop() if self._copies[name] else name for name in inputs]
        name = OUTPUT if output == self._result else INPUT if kind == "Input" else output
        readers = self._readers[output] if copies is None else copies
        listed = [f"{number}={value}" for number, value in attributes.items()]
        words = [kind, f"layer{len(self._model.layers)}", str(len(read)), "1", *read, name]
        self._model.layers.append(" ".join([*words, *listed]))
        self._model.blobs += 1
        if readers > 1:
            made = [f"{name}_{i}" for i in range(readers)]
            words = ["Split", f"layer{len(self._model.layers)}", "1", str(readers), name, *made]
            self._model.layers.append(" ".join(words))
            self._model.blobs += readers
            self._copies[output] = made
        elif name != output:
            self._copies[output] = [name]

    def _weight(self, array: NDArray[Any]) -> None:
        self._model.weights += [FLOAT32_TAG, np.ascontiguousarray(array, "<f4").tobytes()]

    def _vector(self, array: NDArray[Any]) -> None:
        self._model.weights.append(np.ascontiguousarray(array, "<f4").tobytes())

    def _per_axis(self, numbers: Sequence[int], width: int, height: int) -> dict[int, object]:
        """Return numbers per axis under the numbers of ncnn's attributes."""
        *first, last = numbers
        return {width: last} | ({height: first[0]} if first else {})

    def _pads(
        self, padding: Sequence[Sequence[int]], left: int, right: int, top: int, bottom: int
    ) -> dict[int, object]:
        lows, highs = ([pair[i] for pair in padding] for i in (0, 1))
        return self._per_axis(lows, left, top) | self._per_axis(highs, right, bottom)

    def _add_conv(self, node: Description) -> None:
        attributes = node["attributes"]
        weight, *bias = (self._parameters[name] for name in node["parameters"])
        shift = bias[0] if bias else np.zeros(len(weight))
        norm = self._norm_after.get(node["name"])
        if norm is not None:
            gamma, beta, mean, variance = (self._parameters[name] for name in norm["parameters"])
            scale = gamma / np.sqrt(variance + norm["attributes"]["eps"])
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            shift = (shift - mean) * scale + beta
        groups = attributes["groups"]
        kind = "Convolution" if groups == 1 else "ConvolutionDepthWise"
        self._layer(
            kind if self._rank == 2 else f"{kind}1D",
            node["inputs"],
            norm["name"] if norm else node["name"],
            {0: len(weight)}
            | self._per_axis(attributes["kernel"], 1, 11)
            | self._per_axis(attributes["dilation"], 2, 12)
            | self._per_axis(attributes["stride"], 3, 13)
            | self._pads(attributes["padding"], 4, 15, 14, 16)
            | {5: 1, 6: weight.size}
            | ({7: groups} if groups > 1 else {}),
        )
        self._weight(weight)
        self._vector(shift)

    def _add_batch_norm(self, node: Description) -> None:
        if node in self._norm_after.values():
            return
        gamma, beta, mean, variance = (self._parameters[name] for name in node["parameters"])
        attributes = {0: len(gamma), 1: node["attributes"]["eps"]}
        self._layer("BatchNorm", node["inputs"], node["name"], attributes)
        for vector in (gamma, mean, variance, beta):
            self._vector(vector)

    def _add_dense(self, node: Description) -> None:
        weight, *bias = (self._parameters[name] for name in node["parameters"])
        attributes = {0: len(weight), 1: len(bias), 2: weight.size}
        self._layer("InnerProduct", node["inputs"], node["name"], attributes)
        self._weight(weight)
        for vector in bias:
            self._vector(vector)

    def _add_relu(self, node: Description) -> None:
        self._layer("ReLU", node["inputs"], node["name"], {})

    def _add_max_pool(self, node: Description) -> None:
        attributes = node["attributes"]
        self._layer(
            "Pooling" if self._rank == 2 else "Pooling1D",
            node["inputs"],
            node["name"],
            {0: 0}
            | self._per_axis(attributes["size"], 1, 11)
            | self._per_axis(attributes["stride"], 2, 12)
            | self._pads(attributes["padding"], 3, 14, 13, 15)
            | {5: 1},
        )

    def _add_global_average_pool(self, node: Description) -> None:
        kind = "Pooling" if self._rank == 2 else "Pooling1D"
        self._layer(kind, node["inputs"], node["name"], {0: 1, 4: 1})

    def _add_flatten(self, node: Description) -> None:
        self._layer("Flatten", node["inputs"], node["name"], {})

    def _add_add(self, node: Description) -> None:
        first, *rest = node["inputs"]
        for i, other in enumerate(rest):
            last = i == len(rest) - 1
            name = node["name"] if last else f"{node['name']}_{i}"
            self._layer("BinaryOp", [first, other], name, {0: 0}, copies=None if last else 1)
            first = name

    def _add_concatenate(self, node: Description) -> None:
        self._layer("Concat", node["inputs"], node["name"], {0: 0})
