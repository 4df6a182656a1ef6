"""The same network for inputs of other extents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.errors import ShapeError
from convoi.graph.builder import Builder
from convoi.graph.nodes import INPUT, Graph

if TYPE_CHECKING:
    from convoi.ops import Shape

__all__ = ["resize"]


def resize(graph: Graph, spatial: Shape) -> Graph:
    """Return a network with the same operations and parameters for other spatial extents.

    Strides, kernels and numbers of padding stay; what ``"same"`` came to for the original extents
    stays too.

    Parameters
    ----------
    graph : Graph
        A network.
    spatial : tuple of int
        Extents of the input.

    Raises
    ------
    ShapeError
        If an operation or a parameter only fits the original extents; the message names it.

    Examples
    --------
    >>> from convoi.ops import Conv
    >>> build = Builder.for_network((1, 20))
    >>> conv = Conv(4, (3,), (1,), ((1, 1),), (1,))
    >>> resize(build.finish(build.layer("conv", conv, "input")), (50,)).shape("conv")
    (4, 50)
    """
    build = Builder.for_network((graph.shape(INPUT)[0], *spatial))
    for node in graph.nodes:
        build.add(node)
        for name in node.parameters:
            if build.parameters[name].shape != graph.parameters[name].shape:
                raise ShapeError(
                    f"The parameter {name!r} of {type(node.op).__name__} depends on the extents "
                    f"of the input: it has the shape {graph.parameters[name].shape} for "
                    f"{graph.shape(INPUT)[1:]} and would have {build.parameters[name].shape} for "
                    f"{spatial}. Put a global pooling layer before dense layers."
                )
    return build.finish(*graph.outputs)
