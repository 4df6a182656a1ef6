"""The same network as an ONNX model, built from the description of Convoi's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

Description: TypeAlias = dict[str, Any]

INPUT, OUTPUT = "x", "y"
OPSET = 18
IR_VERSION = 10


def build_onnx(
    graph: Description, parameters: Mapping[str, NDArray[Any]], samples: int
) -> ModelProto:
    """Return the network of a description, with these parameters, for batches of one size.

    Runtimes plan best for shapes that they know, so the number of samples is fixed.
    """
    return _Builder(graph, parameters).build(samples)


def _pads(padding: Sequence[Sequence[int]]) -> list[int]:
    """Return padding as ONNX lists it: the beginnings of all axes, then the ends."""
    return [low for low, _ in padding] + [high for _, high in padding]


class _Builder:
    """Adds a node of ONNX for each node of a description.

    A method ``_add_*`` for each operation takes the node and the names of its inputs, and adds
    what computes the value of the node's name.
    """

    def __init__(self, description: Description, parameters: Mapping[str, NDArray[Any]]) -> None:
        self._description = description
        self._parameters = parameters
        self._nodes: list[Any] = []

    def build(self, samples: int) -> ModelProto:
        """Return the model."""
        ((source, shape),) = self._description["inputs"].items()
        (result,) = self._description["outputs"]
        names = {source: INPUT, result: OUTPUT}
        for node in self._description["nodes"]:
            add: Callable[..., None] | None = getattr(self, f"_add_{node['op']}", None)
            if add is None:
                message = f"The benchmark has no ONNX form of the operation {node['op']!r}."
                raise NotImplementedError(message)
            inputs = [names.get(value, value) for value in node["inputs"]]
            add(node, names.get(node["name"], node["name"]), *inputs)
        used = {name for node in self._nodes for name in node.input}
        tensors = [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in self._parameters.items()
            if name in used
        ]
        graph = helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [samples, *shape])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [samples, "outputs"])],
            tensors,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        checker.check_model(model)
        return model

    def _add(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> None:
        self._nodes.append(helper.make_node(kind, list(inputs), [output], output, **attributes))

    def _add_conv(self, node: Description, output: str, x: str) -> None:
        attributes = node["attributes"]
        assert not attributes["flip"], "ONNX only correlates"
        self._add(
            "Conv",
            [x, *node["parameters"]],
            output,
            kernel_shape=attributes["kernel"],
            strides=attributes["stride"],
            dilations=attributes["dilation"],
            pads=_pads(attributes["padding"]),
            group=attributes["groups"],
        )

    def _add_dense(self, node: Description, output: str, x: str) -> None:
        self._add("Gemm", [x, *node["parameters"]], output, transB=1)

    def _add_batch_norm(self, node: Description, output: str, x: str) -> None:
        self._add(
            "BatchNormalization",
            [x, *node["parameters"]],
            output,
            epsilon=node["attributes"]["eps"],
        )

    def _add_relu(self, node: Description, output: str, x: str) -> None:
        del node
        self._add("Relu", [x], output)

    def _add_max_pool(self, node: Description, output: str, x: str) -> None:
        attributes = node["attributes"]
        self._add(
            "MaxPool",
            [x],
            output,
            kernel_shape=attributes["size"],
            strides=attributes["stride"],
            pads=_pads(attributes["padding"]),
        )

    def _add_global_average_pool(self, node: Description, output: str, x: str) -> None:
        del node
        self._add("GlobalAveragePool", [x], f"{output}/pooled")
        self._add("Flatten", [f"{output}/pooled"], output, axis=1)

    def _add_flatten(self, node: Description, output: str, x: str) -> None:
        del node
        self._add("Flatten", [x], output, axis=1)

    def _add_add(self, node: Description, output: str, *terms: str) -> None:
        del node
        self._add("Sum" if len(terms) > 2 else "Add", terms, output)

    def _add_concatenate(self, node: Description, output: str, *parts: str) -> None:
        del node
        self._add("Concat", parts, output, axis=1)
