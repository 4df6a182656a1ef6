"""Which input each output of a layer is connected to, and by which weight.

A layer with one input row and one output row, as in I. Goodfellow, Y. Bengio and A. Courville,
*Deep Learning*, MIT Press 2016, figures 9.2 to 9.5 and 9.16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from convoi.graph import INPUT
from convoi.nn import Conv
from convoi.nn.trace import trace
from convoi.ops import Conv as ConvOperation

if TYPE_CHECKING:
    from convoi.explorer.fields import Fields

Padding: TypeAlias = Literal["same", "valid"]
KINDS = ("dense", "local", "tiled", "convolutional")
MOST_INPUTS = 16
MOST_TAPS = 5


@dataclass(frozen=True)
class Connections:
    """The connections of one layer.

    Attributes
    ----------
    kind : str
        One of KINDS.
    outputs : int
        Number of outputs.
    edges : tuple of (int, int, int)
        For each connection its input, its output and the number of its weight.
    biases : int
        Number of biases.
    """

    kind: str
    outputs: int
    edges: tuple[tuple[int, int, int], ...]
    biases: int

    @property
    def weights(self) -> int:
        """Number of different weights."""
        return len({weight for _, _, weight in self.edges})


def connect(
    inputs: int, taps: int, *, stride: int = 1, padding: Padding = "same", tile: int = 2
) -> tuple[Connections, ...]:
    """Return the connections of layers of all kinds with the same inputs and outputs.

    Parameters
    ----------
    inputs : int
        Positions of the input.
    taps : int
        Inputs that an output of the local, tiled and convolutional layer sees.
    stride : int
        Distance between the windows of neighbouring outputs.
    padding : {'same', 'valid'}
        As of `convoi.nn.Conv`. What lies in the padding is no connection.
    tile : int
        Number of kernels that the tiled layer takes in turn.

    Returns
    -------
    tuple of Connections
        In the order of KINDS.

    Examples
    --------
    >>> [(layer.kind, len(layer.edges), layer.weights) for layer in connect(5, 3)]
    [('dense', 25, 25), ('local', 13, 13), ('tiled', 13, 6), ('convolutional', 13, 3)]
    """
    graph = trace(Conv(1, taps, stride=stride, padding=padding), (1, inputs))
    outputs = graph.shape(graph.outputs[0])[1]
    op = graph.consumers(INPUT)[0].op
    low = op.padding[0][0] if isinstance(op, ConvOperation) else 0
    windows = [
        (o * stride + t - low, o, t)
        for o in range(outputs)
        for t in range(taps)
        if 0 <= o * stride + t - low < inputs
    ]
    everything = [(i, o, o * inputs + i) for o in range(outputs) for i in range(inputs)]
    tile = min(tile, outputs)
    return (
        Connections("dense", outputs, tuple(everything), outputs),
        _windowed("local", windows, taps, outputs, outputs),
        _windowed("tiled", windows, taps, outputs, tile),
        _windowed("convolutional", windows, taps, outputs, 1),
    )


def _windowed(
    kind: str, windows: list[tuple[int, int, int]], taps: int, outputs: int, kernels: int
) -> Connections:
    """Return a layer whose outputs take this many kernels in turn."""
    edges = tuple((i, o, o % kernels * taps + t) for i, o, t in windows)
    return Connections(kind, outputs, edges, kernels)


def connections(fields: Fields) -> dict[str, Any]:
    """Return the connections that a request describes."""
    inputs = fields.integer("inputs", 8, 2, MOST_INPUTS)
    layers = connect(
        inputs,
        fields.integer("taps", 3, 1, min(inputs, MOST_TAPS)),
        stride=fields.integer("stride", 1, 1, 3),
        padding=fields.choice("padding", "same", get_args(Padding)),
        tile=fields.integer("tile", 2, 1, MOST_INPUTS),
    )
    fields.finish()
    return {
        "inputs": inputs,
        "layers": [
            {
                "kind": layer.kind,
                "outputs": layer.outputs,
                "edges": layer.edges,
                "connections": len(layer.edges),
                "weights": layer.weights,
                "biases": layer.biases,
                "parameters": layer.weights + layer.biases,
            }
            for layer in layers
        ],
    }
