"""What a report is about: a network, samples, and what it makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from convoi.ops import Softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.nn import Network
    from convoi.training import History

__all__ = ["Subject"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network with samples.

    Attributes
    ----------
    network : Network
        The network.
    X : ndarray of shape (n, *input_shape)
        Samples.
    y : ndarray
        Class numbers ``(n,)``, or values.
    labels : tuple of str, or None
        What the classes are called; None for values.
    predictions : ndarray of shape (n, outputs)
        Of a classifier the network's outputs; else the predicted values, in the terms of y.
    history : History or None
        How it was trained.
    """

    network: Network
    X: NDArray[Any]
    y: NDArray[Any]
    labels: tuple[str, ...] | None
    predictions: NDArray[Any]
    history: History | None

    @property
    def axes(self) -> int:
        """Number of spatial axes."""
        return self.X.ndim - 2

    @property
    def drawable(self) -> bool:
        """Whether samples can be drawn: curves and images."""
        return self.axes in {1, 2}

    @cached_property
    def limits(self) -> tuple[float, float]:
        """What is drawn black and white."""
        finite = self.X[np.isfinite(self.X)] if self.X.dtype.kind == "f" else self.X
        return float(finite.min(initial=0)), float(finite.max(initial=1))

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Of a classifier, ``(n, classes)``."""
        outputs = self.predictions.astype(np.float64)
        graph = self.network.graph
        if isinstance(graph.node(graph.outputs[0]).op, Softmax):
            return outputs
        found: NDArray[np.float64] = softmax(outputs, axis=1)
        return found

    @cached_property
    def predicted(self) -> NDArray[np.intp]:
        """Of a classifier, the predicted class numbers."""
        codes: NDArray[np.intp] = self.predictions.argmax(axis=1)
        return codes

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Of a classifier, the probabilities of the predicted classes."""
        highest: NDArray[np.float64] = self.probabilities.max(axis=1)
        return highest

    def label(self, code: int) -> str:
        """Return what a class is called."""
        return self.labels[code] if self.labels is not None else str(code)
