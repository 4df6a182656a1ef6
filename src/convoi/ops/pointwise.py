"""Activations: operations on each element by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register
from convoi.ops.formula import Math, NumpyMath, V


@dataclass(frozen=True)
class Pointwise(Operation):
    """An operation given by a formula in one variable. Any shape to the same shape."""

    derivative_of: ClassVar[Literal["input", "output"]]
    """The value that the derivative is computed from, and that training keeps."""

    def formula(self, m: Math[V], x: V) -> V:
        """Return y for x."""
        raise NotImplementedError

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        """Return dy/dx; only the value that `derivative_of` names is looked at."""
        raise NotImplementedError

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return shape

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return self.formula(NumpyMath(x.dtype), x)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        saved = use.inputs[0] if self.derivative_of == "input" else use.output
        return Gradients((build(PointwiseBackward(self), [saved, use.output_gradient]),))


@register
@dataclass(frozen=True)
class PointwiseBackward(Operation):
    r"""Gradient of a pointwise operation.

    .. math:: dx_e = dy_e \, f'(\cdot)

    Inputs: x or y, whichever the operation's `derivative_of` names, and dy.
    """

    name: ClassVar[str] = "pointwise_backward"
    arity: ClassVar[int | None] = 2
    differentiable: ClassVar[bool] = False

    op: Pointwise

    def infer_shape(self, *inputs: Shape) -> Shape:
        saved, dy = inputs
        require.same(self, "a gradient", saved, dy)
        return saved

    def reference(self, *arrays: Array) -> Array:
        saved, dy = arrays
        dx: Array = dy * self.op.derivative(NumpyMath(dy.dtype), saved, saved)
        return dx


@register
@dataclass(frozen=True)
class ReLU(Pointwise):
    r"""Rectified linear unit: :math:`y = \max(x, 0)`."""

    name: ClassVar[str] = "relu"
    derivative_of: ClassVar[Literal["input", "output"]] = "output"

    def formula(self, m: Math[V], x: V) -> V:
        return m.maximum(x, m.constant(0))

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del x
        return m.where(m.greater(y, m.constant(0)), m.constant(1), m.constant(0))


@register
@dataclass(frozen=True)
class LeakyReLU(Pointwise):
    r"""Leaky rectified linear unit: :math:`y = x` for :math:`x > 0`, else `slope` times x."""

    name: ClassVar[str] = "leaky_relu"
    derivative_of: ClassVar[Literal["input", "output"]] = "output"

    slope: float = 0.01

    def __post_init__(self) -> None:
        """Check the attributes; the derivative reads the sign of x off y."""
        require.number(self, "slope", self.slope, low=0)

    def formula(self, m: Math[V], x: V) -> V:
        return m.where(m.greater(x, m.constant(0)), x, m.mul(x, m.constant(self.slope)))

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del x
        return m.where(m.greater(y, m.constant(0)), m.constant(1), m.constant(self.slope))


@register
@dataclass(frozen=True)
class ELU(Pointwise):
    r"""Exponential linear unit: :math:`y = x` for :math:`x > 0`, else :math:`\alpha (e^x - 1)`.

    Reference: D.-A. Clevert et al., "Fast and accurate deep network learning by exponential
    linear units", ICLR 2016.
    """

    name: ClassVar[str] = "elu"
    derivative_of: ClassVar[Literal["input", "output"]] = "output"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        """Check the attributes; the derivative reads the sign of x off y."""
        require.number(self, "alpha", self.alpha, low=0)

    def formula(self, m: Math[V], x: V) -> V:
        zero = m.constant(0)
        below = m.mul(m.constant(self.alpha), m.expm1(m.minimum(x, zero)))
        return m.where(m.greater(x, zero), x, below)

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del x
        below = m.add(y, m.constant(self.alpha))
        return m.where(m.greater(y, m.constant(0)), m.constant(1), below)


@register
@dataclass(frozen=True)
class GELU(Pointwise):
    r"""Gaussian error linear unit: the input times the normal distribution's function of it.

    .. math:: y = x \, \Phi(x) = x \, (1 + \operatorname{erf}(x / \sqrt 2)) / 2

    Reference: D. Hendrycks and K. Gimpel, "Gaussian error linear units", arXiv:1606.08415.
    """

    name: ClassVar[str] = "gelu"
    derivative_of: ClassVar[Literal["input", "output"]] = "input"

    @staticmethod
    def _distribution(m: Math[V], x: V) -> V:
        half = m.constant(0.5)
        return m.fma(m.erf(m.mul(x, m.constant(math.sqrt(0.5)))), half, half)

    def formula(self, m: Math[V], x: V) -> V:
        return m.mul(x, self._distribution(m, x))

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del y
        density = m.mul(
            m.constant(1 / math.sqrt(2 * math.pi)), m.exp(m.mul(m.constant(-0.5), m.mul(x, x)))
        )
        return m.fma(x, density, self._distribution(m, x))


@register
@dataclass(frozen=True)
class SiLU(Pointwise):
    r"""Sigmoid linear unit (swish): :math:`y = x \, \sigma(x)`, with Sigmoid for :math:`\sigma`.

    Reference: P. Ramachandran et al., "Searching for activation functions", arXiv:1710.05941.
    """

    name: ClassVar[str] = "silu"
    derivative_of: ClassVar[Literal["input", "output"]] = "input"

    def formula(self, m: Math[V], x: V) -> V:
        return m.mul(x, m.sigmoid(x))

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del y
        one, s = m.constant(1), m.sigmoid(x)
        return m.mul(s, m.fma(x, m.sub(one, s), one))


@register
@dataclass(frozen=True)
class HardSwish(Pointwise):
    r"""Piecewise approximation of SiLU: :math:`y = x \min(\max(x + 3, 0), 6) / 6`.

    Reference: A. Howard et al., "Searching for MobileNetV3", ICCV 2019.
    """

    name: ClassVar[str] = "hard_swish"
    derivative_of: ClassVar[Literal["input", "output"]] = "input"

    def formula(self, m: Math[V], x: V) -> V:
        ramp = m.minimum(m.maximum(m.add(x, m.constant(3)), m.constant(0)), m.constant(6))
        return m.mul(m.mul(x, ramp), m.constant(1 / 6))

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del y
        inside = m.fma(x, m.constant(1 / 3), m.constant(0.5))
        above = m.where(m.greater(x, m.constant(3)), m.constant(1), inside)
        return m.where(m.greater(x, m.constant(-3)), above, m.constant(0))


@register
@dataclass(frozen=True)
class HardSigmoid(Pointwise):
    r"""Piecewise approximation of Sigmoid: :math:`y = \min(\max(x / 6 + 1/2, 0), 1)`."""

    name: ClassVar[str] = "hard_sigmoid"
    derivative_of: ClassVar[Literal["input", "output"]] = "output"

    def formula(self, m: Math[V], x: V) -> V:
        line = m.fma(x, m.constant(1 / 6), m.constant(0.5))
        return m.minimum(m.maximum(line, m.constant(0)), m.constant(1))

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del x
        zero, one = m.constant(0), m.constant(1)
        below_one = m.where(m.greater(one, y), m.constant(1 / 6), zero)
        return m.where(m.greater(y, zero), below_one, zero)


@register
@dataclass(frozen=True)
class Sigmoid(Pointwise):
    r"""Logistic function: :math:`y = 1 / (1 + e^{-x})`."""

    name: ClassVar[str] = "sigmoid"
    derivative_of: ClassVar[Literal["input", "output"]] = "output"

    def formula(self, m: Math[V], x: V) -> V:
        return m.sigmoid(x)

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del x
        return m.mul(y, m.sub(m.constant(1), y))


@register
@dataclass(frozen=True)
class Tanh(Pointwise):
    r"""Hyperbolic tangent: :math:`y = \tanh x`."""

    name: ClassVar[str] = "tanh"
    derivative_of: ClassVar[Literal["input", "output"]] = "output"

    def formula(self, m: Math[V], x: V) -> V:
        return m.tanh(x)

    def derivative(self, m: Math[V], x: V, y: V) -> V:
        del x
        return m.sub(m.constant(1), m.mul(y, y))
