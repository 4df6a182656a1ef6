"""Layers that are made of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from convoi import ops
from convoi.checks import check_choice
from convoi.errors import ArgumentError, ShapeError
from convoi.nn.layers.base import Layer, check_layer, store, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.nn.layers.base import Tracer


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Layer):
    """Layers one after the other.

    Parameters
    ----------
    *layers : Layer
        Each takes the output of the one before. None at all passes the input on.

    Raises
    ------
    ArgumentTypeError
        If something else than a layer is given.

    Examples
    --------
    >>> from convoi import nn
    >>> body = nn.Sequential(nn.Conv(8, 3), nn.ReLU())
    >>> body[0]
    Conv(8, 3)
    >>> nn.Sequential(*body, nn.Flatten())
    Sequential(Conv(8, 3), ReLU(), Flatten())
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        """Keep the layers."""
        store(self, layers=tuple(check_layer(layer, "layers", "Sequential") for layer in layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int) -> Layer:
        return self.layers[index]

    def __repr__(self) -> str:
        return written(self, list(self.layers), {})

    def trace(self, tracer: Tracer, value: str) -> str:
        for number, layer in enumerate(self.layers):
            value = tracer.layer(str(number), layer, value)
        return value


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    r"""Add what a layer makes of the input to the input.

    .. math:: y = \operatorname{body}(x) + \operatorname{shortcut}(x)

    Parameters
    ----------
    body : Layer
        The layer.
    shortcut : Layer, optional
        What the input passes through. The default is nothing, which needs a body that keeps the
        shape; where it does not, a convolution of size 1 with the body's stride is usual.

    Raises
    ------
    ArgumentTypeError
        If something else than a layer is given.

    References
    ----------
    K. He et al., "Deep residual learning for image recognition", CVPR 2016.

    Examples
    --------
    >>> from convoi import nn
    >>> block = nn.Residual(nn.Conv(16, 3, stride=2, padding=1), nn.Conv(16, 1, stride=2))
    >>> nn.Network(block, input_shape=(8, 9, 9)).output_shape
    (16, 5, 5)
    """

    body: Layer
    shortcut: Layer | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_layer(self.body, "body", "Residual")
        if self.shortcut is not None:
            check_layer(self.shortcut, "shortcut", "Residual")

    def trace(self, tracer: Tracer, value: str) -> str:
        shortened = value
        if self.shortcut is not None:
            shortened = tracer.layer("shortcut", self.shortcut, value)
        body = tracer.layer("body", self.body, value)
        shapes = tracer.shape(body), tracer.shape(shortened)
        if shapes[0] != shapes[1]:
            path = "the shortcut" if self.shortcut is not None else "the input"
            raise ShapeError(
                f"Residual: the body gives {shapes[0]}, and {path} {shapes[1]}: they cannot be "
                "added. Give a shortcut layer with the shape of the body's output, such as a "
                "Conv of size 1 with its filters and stride."
            )
        return tracer.operation(ops.Add(), body, shortened)


@dataclass(frozen=True, init=False, repr=False)
class Parallel(Layer):
    """Layers that all take the same input, and whose outputs are merged.

    Parameters
    ----------
    *branches : Layer
        Two or more layers. An empty `Sequential` passes the input on.
    merge : {"concatenate", "add"}
        Whether the channels of the outputs are put behind one another, or the outputs are added.

    Raises
    ------
    ArgumentTypeError
        If something else than a layer is given.
    ArgumentError
        If there are fewer than two branches, or `merge` is unknown.

    Examples
    --------
    >>> from convoi import nn
    >>> scales = nn.Parallel(nn.Conv(8, 1), nn.Conv(16, 3, padding="same"))
    >>> nn.Network(scales, input_shape=(3, 9, 9)).output_shape
    (24, 9, 9)
    """

    branches: tuple[Layer, ...]
    merge: Literal["concatenate", "add"]

    def __init__(
        self, *branches: Layer, merge: Literal["concatenate", "add"] = "concatenate"
    ) -> None:
        """Keep the branches."""
        checked = tuple(check_layer(layer, "branches", "Parallel") for layer in branches)
        if len(checked) < 2:
            raise ArgumentError(
                f"Parallel must have two or more branches. Got {len(checked)} instead. "
                "Use the layer itself."
            )
        choices: tuple[Literal["concatenate", "add"], ...] = ("concatenate", "add")
        store(self, branches=checked, merge=check_choice(merge, "merge", "Parallel", choices))

    def __repr__(self) -> str:
        named: dict[str, object] = {} if self.merge == "concatenate" else {"merge": self.merge}
        return written(self, list(self.branches), named)

    def trace(self, tracer: Tracer, value: str) -> str:
        outputs = [
            tracer.layer(f"branches.{number}", branch, value)
            for number, branch in enumerate(self.branches)
        ]
        op = ops.Add() if self.merge == "add" else ops.Concatenate()
        return tracer.operation(op, *outputs)
