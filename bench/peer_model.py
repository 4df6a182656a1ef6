"""The same network in PyTorch, built from the description of Convoi's graph.

Modules are nested as the names of the nodes say, so the names in ``state_dict`` are the names of
Convoi's parameters. The graph becomes straight Python code by ``torch.fx``: nothing is looked up
between two layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Description: TypeAlias = dict[str, Any]

_CONV: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_NORM: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def build_model(
    graph: Description, parameters: Mapping[str, NDArray[Any]], *, as_grid: bool = False
) -> fx.GraphModule:
    """Return the network of a description, with these parameters.

    With `as_grid` a series is an image of height 1, which PyTorch can lay out channels last.
    """
    model = _Builder(graph, parameters, as_grid=as_grid).build()
    load_parameters(model, parameters)
    return model


def load_parameters(model: nn.Module, parameters: Mapping[str, NDArray[Any]]) -> None:
    """Copy parameters into a model; each tensor keeps its layout in memory."""
    state = model.state_dict()
    with torch.no_grad():
        for name, array in parameters.items():
            tensor = state.pop(name)
            tensor.copy_(torch.from_numpy(array).reshape(tensor.shape))
    assert all(name.endswith("num_batches_tracked") for name in state), list(state)


def fold_norms(model: fx.GraphModule) -> None:
    """Fold batch normalisations into the convolutions before them, as inference allows."""
    for node in list(model.graph.nodes):
        norm = _module(model, node)
        if not isinstance(norm, _BatchNorm):
            continue
        before = node.args[0]
        conv = _module(model, before)
        if isinstance(conv, _ConvNd) and len(before.users) == 1:
            _place(model, before.target, fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(before)
            model.graph.erase_node(node)
    model.recompile()


def _module(model: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module at a path of names; the modules on the way are made if need be."""
    *folders, name = path.split(".")
    for folder in folders:
        if not hasattr(root, folder):
            setattr(root, folder, nn.Module())
        root = getattr(root, folder)
    setattr(root, name, module)


class UnfoldedLocal(nn.Module):
    """Unshared weights as users of PyTorch write them: unfold, then multiply position by position.

    The weight lies in memory as the batched product reads it, ``[position][C * taps][K]``; its
    shape is Convoi's, ``(K, C * taps, positions)``.
    """

    def __init__(
        self,
        attributes: Mapping[str, Any],
        shapes: Sequence[tuple[int, ...]],
        positions: tuple[int, ...],
    ) -> None:
        super().__init__()
        assert attributes["groups"] == 1, "nobody writes local layers with groups"
        assert not attributes["flip"], "PyTorch only correlates"
        rank = len(attributes["kernel"])
        assert tuple(attributes["tile"]) == positions[-rank:], "weights are not shared"
        filters, taps = shapes[0][0], math.prod(shapes[0][1 : 2 + rank])
        count = math.prod(positions)
        self.weight = nn.Parameter(torch.empty(count, taps, filters).permute(2, 1, 0))
        self.bias = nn.Parameter(torch.empty(count, 1, filters).permute(2, 1, 0))
        self.positions = positions

        def in_two_axes(numbers: Sequence[int], height: int) -> tuple[int, int]:
            first, second = (height, *numbers)[-2:]
            return first, second

        self.window = {
            "kernel_size": in_two_axes(attributes["kernel"], 1),
            "stride": in_two_axes(attributes["stride"], 1),
            "dilation": in_two_axes(attributes["dilation"], 1),
            "padding": in_two_axes([low for low, _ in attributes["padding"]], 0),
        }
        assert all(low == high for low, high in attributes["padding"]), "unfold pads both ends"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output."""
        grid = x if x.ndim == 4 else x.unsqueeze(2)
        columns = F.unfold(grid, **self.window).permute(2, 0, 1)
        y = torch.baddbmm(self.bias.permute(2, 1, 0), columns, self.weight.permute(2, 1, 0))
        return y.permute(1, 2, 0).reshape(len(x), -1, *self.positions)


class _Builder:
    """Adds to a ``torch.fx`` graph what each node of a description is in PyTorch.

    A method ``_add_*`` for each operation takes the node and its inputs, and returns its value.
    """

    def __init__(
        self, description: Description, parameters: Mapping[str, NDArray[Any]], *, as_grid: bool
    ) -> None:
        self._description = description
        self._shapes = {name: array.shape for name, array in parameters.items()}
        ((self._input, shape),) = description["inputs"].items()
        assert not as_grid or len(shape) == 2, "only a series can become a grid"
        self._as_grid = as_grid
        self._rank = len(shape) - 1 + as_grid
        self._readers = [value for node in description["nodes"] for value in node["inputs"]]
        self._root = nn.Module()
        self._graph = fx.Graph()

    def build(self) -> fx.GraphModule:
        """Return the model."""
        values = {self._input: self._graph.placeholder("x")}
        for node in self._description["nodes"]:
            add = getattr(self, f"_add_{node['op']}", None)
            if add is None:
                message = f"The benchmark has no PyTorch form of the operation {node['op']!r}."
                raise NotImplementedError(message)
            values[node["name"]] = add(node, *(values[value] for value in node["inputs"]))
        (output,) = self._description["outputs"]
        self._graph.output(values[output])
        return fx.GraphModule(self._root, self._graph)

    def _call_module(self, node: Description, module: nn.Module, x: fx.Node) -> fx.Node:
        _place(self._root, node["name"], module)
        return self._graph.call_module(node["name"], (x,))

    def _spatial(self, numbers: Sequence[int], height: int) -> tuple[int, ...]:
        """Return numbers per axis; `height` is that of the axis that makes a series a grid."""
        return (height, *numbers) if self._as_grid else tuple(numbers)

    def _padded(
        self, padding: Sequence[tuple[int, int]], x: fx.Node, value: float
    ) -> tuple[fx.Node, tuple[int, ...]]:
        """Pad by what the two ends of an axis differ by; return what is left to the layer.

        This is what PyTorch's own ``padding="same"`` does.
        """
        both = [min(pair) for pair in padding]
        ends = [end - common for pair, common in zip(padding, both, strict=True) for end in pair]
        if any(ends):
            # F.pad takes the last axis first.
            pairs = [ends[i : i + 2] for i in range(0, len(ends), 2)]
            flat = [end for pair in reversed(pairs) for end in pair]
            x = self._graph.call_function(F.pad, (x, flat), {"value": value})
        return x, self._spatial(both, 0)

    def _add_conv(self, node: Description, x: fx.Node) -> fx.Node:
        attributes = node["attributes"]
        assert not attributes["flip"], "PyTorch only correlates"
        x, padding = self._padded(attributes["padding"], x, 0.0)
        filters, per_group = self._shapes[node["parameters"][0]][:2]
        module = _CONV[self._rank](
            per_group * attributes["groups"],
            filters,
            self._spatial(attributes["kernel"], 1),
            stride=self._spatial(attributes["stride"], 1),
            padding=padding,
            dilation=self._spatial(attributes["dilation"], 1),
            groups=attributes["groups"],
            bias=attributes["bias"],
        )
        return self._call_module(node, module, x)

    def _add_tiled_conv(self, node: Description, x: fx.Node) -> fx.Node:
        shapes = [self._shapes[name] for name in node["parameters"]]
        positions = self._spatial(node["attributes"]["tile"], 1)
        return self._call_module(node, UnfoldedLocal(node["attributes"], shapes, positions), x)

    def _add_dense(self, node: Description, x: fx.Node) -> fx.Node:
        units, features = self._shapes[node["parameters"][0]]
        return self._call_module(node, nn.Linear(features, units, node["attributes"]["bias"]), x)

    def _add_batch_norm(self, node: Description, x: fx.Node) -> fx.Node:
        attributes = node["attributes"]
        (channels,) = self._shapes[node["parameters"][0]]
        module = _NORM[self._rank](channels, attributes["eps"], attributes["momentum"])
        return self._call_module(node, module, x)

    def _add_relu(self, node: Description, x: fx.Node) -> fx.Node:
        alone = self._readers.count(node["inputs"][0]) == 1
        return self._graph.call_function(F.relu, (x,), {"inplace": alone})

    def _add_max_pool(self, node: Description, x: fx.Node) -> fx.Node:
        attributes = node["attributes"]
        x, padding = self._padded(attributes["padding"], x, float("-inf"))
        size, stride = (self._spatial(attributes[name], 1) for name in ("size", "stride"))
        return self._graph.call_function(_MAX_POOL[self._rank], (x, size, stride, padding))

    def _add_global_average_pool(self, node: Description, x: fx.Node) -> fx.Node:
        del node
        return self._graph.call_method("mean", (x, list(range(2, 2 + self._rank))))

    def _add_flatten(self, node: Description, x: fx.Node) -> fx.Node:
        del node
        return self._graph.call_function(torch.flatten, (x, 1))

    def _add_add(self, node: Description, *terms: fx.Node) -> fx.Node:
        del node
        total, *rest = terms
        for term in rest:
            total = self._graph.call_function(torch.add, (total, term))
        return total

    def _add_concatenate(self, node: Description, *parts: fx.Node) -> fx.Node:
        del node
        return self._graph.call_function(torch.cat, (parts, 1))
