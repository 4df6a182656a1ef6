"""Activations: layers that change each element by itself, and softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.checks import check_real
from convoi.nn.layers.base import Layer, store

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer


@dataclass(frozen=True, repr=False)
class ReLU(Layer):
    r"""Rectified linear unit: :math:`y = \max(x, 0)`."""

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.ReLU(), value)


@dataclass(frozen=True, repr=False)
class LeakyReLU(Layer):
    """Leaky rectified linear unit: x where it is positive, `slope` times x elsewhere.

    Parameters
    ----------
    slope : float
        Slope for negative numbers, at least 0.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If `slope` is no number, or negative.
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        """Check the arguments."""
        store(self, slope=check_real(self.slope, "slope", "LeakyReLU", minimum=0))

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.LeakyReLU(self.slope), value)


@dataclass(frozen=True, repr=False)
class ELU(Layer):
    r"""Exponential linear unit: x where it is positive, :math:`\alpha (e^x - 1)` elsewhere.

    Parameters
    ----------
    alpha : float
        Size of the limit for large negative numbers, at least 0.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If `alpha` is no number, or negative.

    References
    ----------
    D.-A. Clevert et al., "Fast and accurate deep network learning by exponential linear units",
    ICLR 2016.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        store(self, alpha=check_real(self.alpha, "alpha", "ELU", minimum=0))

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.ELU(self.alpha), value)


@dataclass(frozen=True, repr=False)
class GELU(Layer):
    r"""Gaussian error linear unit: :math:`y = x \, \Phi(x)`, with the exact error function.

    References
    ----------
    D. Hendrycks and K. Gimpel, "Gaussian error linear units", arXiv:1606.08415.
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.GELU(), value)


@dataclass(frozen=True, repr=False)
class SiLU(Layer):
    r"""Sigmoid linear unit, also called swish: :math:`y = x / (1 + e^{-x})`.

    References
    ----------
    P. Ramachandran et al., "Searching for activation functions", arXiv:1710.05941.
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.SiLU(), value)


@dataclass(frozen=True, repr=False)
class HardSwish(Layer):
    r"""Piecewise approximation of SiLU: :math:`y = x \min(\max(x + 3, 0), 6) / 6`.

    References
    ----------
    A. Howard et al., "Searching for MobileNetV3", ICCV 2019.
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.HardSwish(), value)


@dataclass(frozen=True, repr=False)
class HardSigmoid(Layer):
    r"""Piecewise approximation of the sigmoid: :math:`y = \min(\max(x / 6 + 1/2, 0), 1)`."""

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.HardSigmoid(), value)


@dataclass(frozen=True, repr=False)
class Sigmoid(Layer):
    r"""Logistic function: :math:`y = 1 / (1 + e^{-x})`."""

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.Sigmoid(), value)


@dataclass(frozen=True, repr=False)
class Tanh(Layer):
    r"""Hyperbolic tangent."""

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.Tanh(), value)


@dataclass(frozen=True, repr=False)
class Softmax(Layer):
    r"""Probabilities over the channels of each position: :math:`y_c = e^{x_c} / \sum_k e^{x_k}`.

    The loss ``"cross_entropy"`` takes the values before it: a network that is trained with that
    loss ends without this layer.
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.Softmax(), value)
