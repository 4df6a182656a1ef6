"""Hypothesis strategies: operations that fit a shape, and random networks of them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from convoi import ops
from convoi.graph import INPUT, SEED, TARGET, WEIGHT, Builder, Graph
from tests.cases import make_parameter, make_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn, SearchStrategy
    from numpy.typing import DTypeLike

    from convoi.ops import Loss, Operation, Shape

CHANNELS = (1, 2, 3, 4, 5, 6, 8, 15, 16, 17, 33)
"""Numbers of channels on both sides of the vector widths."""
EXTENTS = {0: 1, 1: 21, 2: 9, 3: 5}
"""Largest extent of a spatial axis for each number of axes."""
MAX_ELEMENTS = 3000
"""Networks do not grow values beyond it, so that the NumPy definitions stay quick."""


@st.composite
def input_shapes(draw: DrawFn, ranks: tuple[int, ...] = (0, 1, 2, 3)) -> Shape:
    """Draw a shape ``(channels, *spatial)``."""
    rank = draw(st.sampled_from(ranks))
    extents = st.integers(1, EXTENTS[rank])
    spatial = draw(st.tuples(*[extents] * rank))
    widest = [c for c in CHANNELS if c * prod(spatial) <= MAX_ELEMENTS]
    return (draw(st.sampled_from(widest)), *spatial)


@st.composite
def convolutions(draw: DrawFn, shape: Shape) -> ops.Conv:
    """Draw a convolution that fits: strides, dilations, groups, uneven padding, flips."""
    channels, *spatial = shape
    kernel, stride, padding, dilation = [], [], [], []
    for extent in spatial:
        step = draw(st.integers(1, 3))
        hole = draw(st.sampled_from([1, 1, 1, 2, 3]))
        size = draw(st.integers(1, 5))
        low, high = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
        if draw(st.booleans()):
            low, high = ops.same_padding(extent, size, step, hole)
        while ops.output_extent(extent, size, step, hole, (low, high)) < 1:
            size -= 1
        kernel.append(size)
        stride.append(step)
        padding.append((low, high))
        dilation.append(hole)
    divisors = [groups for groups in range(1, channels + 1) if channels % groups == 0]
    groups = draw(st.sampled_from([1, *divisors, channels]))
    per_group = draw(st.sampled_from([1, 1, 2, 3, 5, 16, 17] if groups < 4 else [1, 1, 2]))
    return ops.Conv(
        groups * per_group,
        tuple(kernel),
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        groups=groups,
        bias=draw(st.booleans()),
        flip=draw(st.booleans()),
    )


@st.composite
def tiled_convolutions(draw: DrawFn, shape: Shape) -> ops.TiledConv:
    """Draw a convolution whose weights repeat every few positions, or never."""
    conv = draw(convolutions(shape))
    positions = conv.infer_shape(shape)[1:]
    local = draw(st.booleans())
    tile = tuple(p if local else draw(st.integers(1, p)) for p in positions)
    return ops.TiledConv(
        conv.filters,
        conv.kernel,
        conv.stride,
        conv.padding,
        conv.dilation,
        tile,
        conv.groups,
        bias=conv.bias,
        shared_bias=draw(st.booleans()),
        flip=conv.flip,
    )


@st.composite
def resizing_pools(draw: DrawFn, shape: Shape) -> ops.Operation:
    """Draw an adaptive or a fractional pooling operation that fits."""
    output = tuple(draw(st.integers(1, extent)) for extent in shape[1:])
    kind = draw(st.sampled_from(["average", "max", "fractional"]))
    if kind == "average":
        return ops.AdaptiveAveragePool(output)
    if kind == "max":
        return ops.AdaptiveMaxPool(output)
    return ops.FractionalMaxPool(output, overlapping=draw(st.booleans()))


@st.composite
def pools(draw: DrawFn, shape: Shape) -> ops.Operation:
    """Draw a pooling operation that fits, windowed or global."""
    size, stride, padding = [], [], []
    for extent in shape[1:]:
        window = draw(st.integers(1, min(4, extent)))
        size.append(window)
        stride.append(draw(st.integers(1, 4)))
        padding.append(draw(st.tuples(*[st.integers(0, window - 1)] * 2)))
    given = (tuple(size), tuple(stride), tuple(padding))
    words = ["max", "average", "counting", "lp", "blur", "stochastic"]
    kind = draw(st.sampled_from(words))
    if kind == "blur":
        return ops.BlurPool(*given)
    if kind == "stochastic":
        return ops.StochasticPool(*given)
    if kind == "max":
        return ops.MaxPool(*given)
    if kind == "lp":
        return ops.LpPool(*given, p=draw(st.sampled_from([1.0, 2.0, 3.0, 2.5])))
    return ops.AveragePool(*given, count_padding=kind == "counting")


def activations() -> SearchStrategy[ops.Pointwise]:
    """Draw a pointwise operation."""
    return st.sampled_from(
        [
            ops.ReLU(),
            ops.LeakyReLU(0.1),
            ops.ELU(0.7),
            ops.GELU(),
            ops.SiLU(),
            ops.HardSwish(),
            ops.HardSigmoid(),
            ops.Sigmoid(),
            ops.Tanh(),
        ]
    )


@st.composite
def reshaping(draw: DrawFn, shape: Shape) -> ops.Operation:
    """Draw an operation that moves values: pad, crop, upsample, slice or pad channels."""
    channels, *spatial = shape
    kind = draw(st.sampled_from(["pad", "crop", "upsample", "slice", "channel_pad"]))
    if kind == "pad":
        return ops.ZeroPad(tuple(draw(st.tuples(*[st.integers(0, 2)] * 2)) for _ in spatial))
    if kind == "crop":
        cuts = []
        for extent in spatial:
            low = draw(st.integers(0, min(2, extent - 1)))
            cuts.append((low, draw(st.integers(0, min(2, extent - 1 - low)))))
        return ops.Crop(tuple(cuts))
    if kind == "upsample":
        return ops.Upsample(tuple(draw(st.integers(1, 2)) for _ in spatial))
    if kind == "slice":
        start = draw(st.integers(0, channels - 1))
        return ops.ChannelSlice(start, draw(st.integers(start + 1, channels)))
    return ops.ChannelPad(*draw(st.tuples(*[st.integers(0, 3)] * 2)))


def layers(shape: Shape) -> SearchStrategy[Operation]:
    """Draw any operation of networks with one input that takes this shape."""
    pooled = [pools(shape)] if len(shape) > 1 else []
    unusual = [tiled_convolutions(shape), resizing_pools(shape)] if len(shape) > 1 else []
    normed = st.builds(ops.BatchNorm, eps=st.sampled_from([1e-2, 1e-1]))
    dropped = st.builds(ops.Dropout, rate=st.sampled_from([0.0, 0.25, 0.5]))
    dense = [st.builds(ops.Dense, st.sampled_from(CHANNELS), bias=st.booleans())]
    others = [st.just(ops.Softmax()), st.just(ops.Standardize()), reshaping(shape)]
    return st.one_of(
        convolutions(shape),
        activations(),
        *pooled,
        convolutions(shape),
        *pooled,
        normed,
        dropped,
        *(dense if len(shape) == 1 else []),
        st.one_of(*others, *unusual),
    )


class _Network:
    """A network that grows layer by layer."""

    def __init__(self, draw: DrawFn, shape: Shape) -> None:
        self.draw = draw
        self.build = Builder.for_network(shape)
        self.count = 0

    def add(self, op: Operation, *values: str) -> str:
        self.count += 1
        return self.build.layer(str(self.count - 1), op, *values)

    def grow(self, value: str, accept: Callable[[Operation], bool]) -> str:
        """Add one layer, if one that is accepted and not too large is drawn."""
        shape = self.build.shape(value)
        op = self.draw(layers(shape))
        if not accept(op) or prod(op.infer_shape(shape)) > MAX_ELEMENTS:
            return value
        return self.add(op, value)

    def branch(self, value: str, accept: Callable[[Operation], bool]) -> str:
        """Add a residual connection or parallel branches."""
        shape = self.build.shape(value)
        kernel = tuple(self.draw(st.integers(1, 3)) for _ in shape[1:])
        padding = tuple(ops.same_padding(x, k) for x, k in zip(shape[1:], kernel, strict=True))
        ones = (1,) * len(kernel)
        merges = ["add", "add_two", *["concatenate"] * accept(ops.Concatenate())]
        merge = self.draw(st.sampled_from(merges))
        filters = self.draw(st.sampled_from([1, 3, 16])) if merge == "concatenate" else shape[0]
        inner = self.add(ops.Conv(filters, kernel, ones, padding, ones), value)
        activated = self.add(self.draw(activations()), inner)
        if merge == "add":
            return self.add(ops.Add(), activated, value)
        if merge == "add_two":
            return self.add(ops.Add(), inner, value, activated)
        return self.add(ops.Concatenate(), value, activated)

    def end(self, value: str, accept: Callable[[Operation], bool]) -> str:
        """Leave the output as it is, or end in a dense layer."""
        kinds = ["as it is", *["flatten"] * accept(ops.Flatten()), "average", "max"]
        kind = self.draw(st.sampled_from(kinds))
        shape = self.build.shape(value)
        if kind == "as it is":
            return value
        if len(shape) > 1:
            heads = {"average": ops.GlobalAveragePool(), "max": ops.GlobalMaxPool()}
            value = self.add(heads.get(kind, ops.Flatten()), value)
        return self.add(ops.Dense(self.draw(st.sampled_from([1, 3, 10, 17]))), value)


@st.composite
def random_graphs(
    draw: DrawFn,
    *,
    ranks: tuple[int, ...] = (0, 1, 2, 3),
    max_depth: int = 8,
    accept: Callable[[Operation], bool] = lambda _: True,
) -> Graph:
    """Draw a network: a mix of all operations with branches, ending in a dense layer or not.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    ranks
        Numbers of spatial axes to choose from.
    max_depth
        Most steps; a branch is one step.
    accept
        Leaves out the operations for which it is false.
    """
    network = _Network(draw, draw(input_shapes(ranks)))
    value = INPUT
    for _ in range(draw(st.integers(1, max_depth))):
        branching = draw(st.integers(0, 4)) == 0
        step = network.branch if branching else network.grow
        value = step(value, accept)
    value = network.end(value, accept)
    if value == INPUT:
        value = network.add(ops.ReLU(), value)
    return network.build.finish(value)


def losses() -> SearchStrategy[Loss]:
    """Draw a loss."""
    return st.sampled_from(
        [
            ops.CrossEntropy(),
            ops.CrossEntropy(0.1),
            ops.MeanSquaredError(),
            ops.MeanAbsoluteError(),
            ops.Huber(0.5),
        ]
    )


def graph_parameters(
    graph: Graph, rng: np.random.Generator, dtype: DTypeLike = np.float64
) -> dict[str, np.ndarray[Any, Any]]:
    """Return values for all parameters of a graph."""
    return {name: make_parameter(spec, rng, dtype) for name, spec in graph.parameters.items()}


def training_inputs(
    graph: Graph, loss: Loss, rng: np.random.Generator, *, n: int, dtype: DTypeLike = np.float64
) -> dict[str, np.ndarray[Any, Any]]:
    """Return inputs for the training graph of a network."""
    prediction = graph.shape(graph.outputs[0])
    return {
        INPUT: rng.standard_normal((n, *graph.shape(INPUT))).astype(dtype),
        TARGET: make_target(loss, prediction, rng, n=n, dtype=dtype),
        WEIGHT: np.full(n, 1 / n, dtype),
        SEED: np.asarray(rng.integers(2**63), np.uint64),
    }
