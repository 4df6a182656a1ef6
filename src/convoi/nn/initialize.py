"""Initial values of parameters.

Weights are normal numbers with mean 0 and variance ``g / fan_in``. The gain *g* is 2 where the
layer's output goes into a rectifier, which halves the second moment (He et al., 2015), and 1
elsewhere, such as in the last layer of a network (LeCun et al., 1998). Biases and shifts are 0,
scales 1, means 0, variances and deviations 1.

Every weight has random numbers of its own: they depend on the seed and on how many weights stand
before it, so that a layer without weights can be added anywhere, and any layer at the end,
without changing the others.

References
----------
K. He et al., "Delving deep into rectifiers", ICCV 2015. Y. LeCun et al., "Efficient BackProp",
in Neural Networks: Tricks of the Trade, 1998.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi import ops
from convoi.checks import refusal
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.ops import ParameterKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.graph import Graph
    from convoi.ops import Operation

__all__ = ["initial_parameters", "seed_sequence"]

_CONSTANTS = {
    ParameterKind.BIAS: 0.0,
    ParameterKind.SCALE: 1.0,
    ParameterKind.SHIFT: 0.0,
    ParameterKind.MEAN: 0.0,
    ParameterKind.VARIANCE: 1.0,
    ParameterKind.DEVIATION: 1.0,
}

_RECTIFIERS = (ops.ReLU, ops.LeakyReLU, ops.ELU, ops.GELU, ops.SiLU, ops.HardSwish)

_TRANSPARENT = (
    ops.BatchNorm, ops.Dropout, ops.Add, ops.Concatenate, ops.Flatten, ops.ZeroPad, ops.Upsample,
    ops.Pool, ops.GlobalPool, ops.IntervalPool,
)  # fmt: skip
"""Operations that leave open whether a rectifier follows."""


def initial_parameters(
    graph: Graph, random_state: object, dtype: np.dtype[Any]
) -> dict[str, NDArray[Any]]:
    """Return initial values of all parameters of a graph.

    Parameters
    ----------
    graph : Graph
        The graph of a network.
    random_state : None, int, SeedSequence, Generator or RandomState
        Where the random numbers come from; see :func:`seed_sequence`.
    dtype : dtype
        Of the arrays. The numbers are the same for all dtypes, up to rounding.

    Returns
    -------
    dict of str to ndarray
        In the order of the graph's parameters.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If `random_state` is something else.
    """
    users = {name: node for node in graph.nodes for name in node.parameters}
    weights = [name for name, spec in graph.parameters.items() if spec.kind is ParameterKind.WEIGHT]
    seeds = dict(zip(weights, seed_sequence(random_state).spawn(len(weights)), strict=True))
    arrays = {}
    for name, spec in graph.parameters.items():
        if spec.kind is ParameterKind.WEIGHT:
            gain = 2.0 if name in users and _rectified(graph, users[name].name) else 1.0
            values = np.random.default_rng(seeds[name]).standard_normal(spec.shape)
            values *= math.sqrt(gain / spec.fan_in)
            arrays[name] = values.astype(dtype)
        else:
            arrays[name] = np.full(spec.shape, _CONSTANTS[spec.kind], dtype)
    return arrays


def seed_sequence(random_state: object) -> np.random.SeedSequence:
    """Return the seeds that a `random_state` stands for.

    Parameters
    ----------
    random_state : None, int, SeedSequence, Generator or RandomState
        None takes new entropy from the operating system. Integers of at least 0 give the same
        numbers again. A generator is asked for its next number, and so gives others every time.

    Returns
    -------
    SeedSequence
        Not used before.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If `random_state` is something else, or negative.

    Examples
    --------
    >>> seed_sequence(3).entropy
    3
    """
    expectation = "None, an integer greater than or equal to 0, or a random generator of NumPy"
    state = random_state
    if isinstance(state, np.random.SeedSequence):
        return np.random.SeedSequence(state.entropy, spawn_key=(*state.spawn_key, 0))
    if isinstance(state, np.random.Generator):
        return np.random.SeedSequence(int(state.integers(2**63)))
    if isinstance(state, np.random.RandomState):
        return np.random.SeedSequence(int(state.randint(2**31)))
    if state is None:
        return np.random.SeedSequence()
    if isinstance(state, bool) or not isinstance(state, (int, np.integer)):
        raise ArgumentTypeError(refusal("random_state", "Network", expectation, state))
    if state < 0:
        raise ArgumentError(refusal("random_state", "Network", expectation, state))
    return np.random.SeedSequence(int(state))


def _rectified(graph: Graph, value: str) -> bool:
    """Tell whether a value goes into a rectifier, possibly through transparent operations."""
    seen, open_values = {value}, [value]
    while open_values:
        for node in graph.consumers(open_values.pop()):
            if _is(node.op, _RECTIFIERS):
                return True
            if _is(node.op, _TRANSPARENT) and node.name not in seen:
                seen.add(node.name)
                open_values.append(node.name)
    return False


def _is(op: Operation, kinds: tuple[type[Operation], ...]) -> bool:
    return isinstance(op, kinds)
