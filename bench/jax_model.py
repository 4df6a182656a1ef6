"""The same network as a function of JAX, built from the description of Convoi's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array: TypeAlias = jax.Array
Description: TypeAlias = dict[str, Any]
Parameters: TypeAlias = "Mapping[str, Array]"

AXES = {1: "H", 2: "HW", 3: "DHW"}


def apply_network(
    graph: Description, parameters: Parameters, x: Array, *, channels_last: bool, training: bool
) -> tuple[Array, dict[str, Array]]:
    """Return the output of a network, and its running statistics after a step of training.

    Samples are ``(n, channels, *spatial)``, or ``(n, *spatial, channels)``; parameters have
    PyTorch's layouts.
    """
    return _Network(graph, parameters, channels_last=channels_last, training=training).apply(x)


class _Network:
    """A method ``_apply_*`` for each operation takes the node and its inputs."""

    def __init__(
        self, graph: Description, parameters: Parameters, *, channels_last: bool, training: bool
    ) -> None:
        self._description = graph
        self._parameters = parameters
        self._last = channels_last
        self._training = training
        self._statistics: dict[str, Array] = {}

    def apply(self, x: Array) -> tuple[Array, dict[str, Array]]:
        """Return the output, and the running statistics that it leaves."""
        ((source, shape),) = self._description["inputs"].items()
        self._rank = len(shape) - 1
        values = {source: x}
        for node in self._description["nodes"]:
            apply = getattr(self, f"_apply_{node['op']}", None)
            if apply is None:
                message = f"The benchmark has no JAX form of the operation {node['op']!r}."
                raise NotImplementedError(message)
            values[node["name"]] = apply(node, *(values[value] for value in node["inputs"]))
        (result,) = self._description["outputs"]
        return values[result], self._statistics

    @property
    def _channel_axis(self) -> int:
        return -1 if self._last else 1

    def _spatial(self, x: Array) -> tuple[int, ...]:
        return tuple(range(1, x.ndim - 1)) if self._last else tuple(range(2, x.ndim))

    def _window(self, numbers: Sequence[int]) -> tuple[int, ...]:
        return (1, *numbers, 1) if self._last else (1, 1, *numbers)

    def _per_channel(self, vector: Array, x: Array) -> Array:
        shape = [1] * x.ndim
        shape[self._channel_axis] = -1
        return vector.reshape(shape)

    def _apply_conv(self, node: Description, x: Array) -> Array:
        attributes = node["attributes"]
        assert not attributes["flip"], "JAX only correlates"
        axes = AXES[self._rank]
        order = f"N{axes}C" if self._last else f"NC{axes}"
        weight, *bias = (self._parameters[name] for name in node["parameters"])
        y = lax.conv_general_dilated(
            x,
            weight,
            attributes["stride"],
            [tuple(pair) for pair in attributes["padding"]],
            rhs_dilation=attributes["dilation"],
            dimension_numbers=(order, f"OI{axes}", order),
            feature_group_count=attributes["groups"],
        )
        return y + self._per_channel(bias[0], y) if bias else y

    def _apply_dense(self, node: Description, x: Array) -> Array:
        weight, *bias = (self._parameters[name] for name in node["parameters"])
        y = x @ weight.T
        return y + bias[0] if bias else y

    def _apply_batch_norm(self, node: Description, x: Array) -> Array:
        weight, bias, mean, variance = node["parameters"]
        attributes, values = node["attributes"], self._parameters
        centre, spread = values[mean], values[variance]
        if self._training:
            axes = (0, *self._spatial(x))
            count = x.size // x.shape[self._channel_axis]
            centre, spread = x.mean(axes), x.var(axes)
            momentum = attributes["momentum"]
            unbiased = spread * (count / (count - 1))
            for name, new in ((mean, centre), (variance, unbiased)):
                self._statistics[name] = (1 - momentum) * values[name] + momentum * new
        scale = values[weight] * lax.rsqrt(spread + attributes["eps"])
        shift = values[bias] - centre * scale
        return x * self._per_channel(scale, x) + self._per_channel(shift, x)

    def _apply_relu(self, node: Description, x: Array) -> Array:
        del node
        return jnp.maximum(x, 0)

    def _apply_max_pool(self, node: Description, x: Array) -> Array:
        attributes = node["attributes"]
        pairs = [tuple(pair) for pair in attributes["padding"]]
        none = [(0, 0)]
        return lax.reduce_window(
            x,
            -jnp.inf,
            lax.max,
            self._window(attributes["size"]),
            self._window(attributes["stride"]),
            [*none, *pairs, *none] if self._last else [*none, *none, *pairs],
        )

    def _apply_global_average_pool(self, node: Description, x: Array) -> Array:
        del node
        return x.mean(self._spatial(x))

    def _apply_flatten(self, node: Description, x: Array) -> Array:
        del node
        # Dense layers have their features in the order (channels, *spatial).
        ordered = jnp.moveaxis(x, -1, 1) if self._last else x
        return ordered.reshape(len(x), -1)

    def _apply_add(self, node: Description, *terms: Array) -> Array:
        del node
        return sum(terms[1:], start=terms[0])

    def _apply_concatenate(self, node: Description, *parts: Array) -> Array:
        del node
        return jnp.concatenate(parts, self._channel_axis)
