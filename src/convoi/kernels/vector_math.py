"""Elementary functions on vectors in registers.

LLVM lowers the exponential of a vector to one call of the C library per lane, so the functions
are made of arithmetic here. They are right to two units in the last place in float32 and four in
float64 (:meth:`VectorMath.pow`: see there), and treat NaN, infinities, overflow and underflow as
NumPy does.

References: J.-M. Muller, "Elementary functions: algorithms and implementation", 3rd ed., 2016;
P. T. P. Tang, "Table-driven implementation of the expm1 function", ACM TOMS 18, 1992.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from convoi.codegen.types import F32, F64, I32, I64, Scalar, Type, Value, Vector, constant
from convoi.kernels import polynomials

if TYPE_CHECKING:
    from convoi.codegen.builder import Function

Operand: TypeAlias = Value | float
"""A vector, or a number that stands in every lane."""


@dataclass(frozen=True)
class _Format:
    """What the algorithms need to know of a floating-point format."""

    integer: Scalar
    mantissa: int
    bias: int
    ln2_high: float
    """ln 2, cut off so far that its product with any exponent is exact."""
    ln2_low: float
    exp_range: tuple[float, float]
    """Beyond, the exponential is zero or infinite."""
    expm1_low: float
    """Below, e^x - 1 is -1."""
    tanh_high: float
    """Above, tanh x is 1."""
    erf_high: float
    """Above, erf x is 1."""

    @property
    def magic(self) -> float:
        """A float whose last mantissa bit counts ones: adding it rounds to an integer."""
        return 1.5 * 2.0**self.mantissa

    @property
    def magic_bits(self) -> int:
        """Its representation."""
        return (self.mantissa + self.bias) << self.mantissa | 1 << (self.mantissa - 1)

    @property
    def one_bits(self) -> int:
        """The representation of 1."""
        return self.bias << self.mantissa

    @property
    def root_half_bits(self) -> int:
        """The representation of a float next to the square root of 1/2."""
        fraction = math.sqrt(2) - 1
        return (self.bias - 1) << self.mantissa | int(fraction * 2**self.mantissa)


_FORMATS = {
    F32: _Format(
        integer=I32,
        mantissa=23,
        bias=127,
        ln2_high=355 / 512,
        ln2_low=-2.1219444005469057e-4,
        exp_range=(-104.0, 89.0),
        expm1_low=-18.0,
        tanh_high=10.0,
        erf_high=4.0,
    ),
    F64: _Format(
        integer=I64,
        mantissa=52,
        bias=1023,
        ln2_high=float.fromhex("0x1.62e42feep-1"),
        ln2_low=1.9082149292705877e-10,
        exp_range=(-746.0, 710.0),
        expm1_low=-38.0,
        tanh_high=20.0,
        erf_high=6.0,
    ),
}


class VectorMath:
    """The namespace of mathematics that formulas are written in, for vectors in registers.

    Numbers may stand for vectors; a comparison is a vector of bits.
    """

    def __init__(self, f: Function, type_: Type) -> None:
        if not isinstance(type_, Vector):
            message = f"Formulas are for vectors, not for a {type_}."
            raise TypeError(message)
        self._f = f
        self._type = type_
        self._format = _FORMATS[type_.element]
        self._bits = Vector(self._format.integer, type_.lanes)

    # Operands -----------------------------------------------------------------------------

    def constant(self, value: float) -> Value:
        """Return a vector with the number in every lane."""
        return constant(self._type, value)

    def value(self, x: Operand) -> Value:
        """Return an operand as a vector."""
        return x if isinstance(x, Value) else self.constant(x)

    # Arithmetic ---------------------------------------------------------------------------

    def add(self, a: Operand, b: Operand) -> Value:
        """Return a + b."""
        return self._f.fadd(self.value(a), self.value(b))

    def sub(self, a: Operand, b: Operand) -> Value:
        """Return a - b."""
        return self._f.fsub(self.value(a), self.value(b))

    def mul(self, a: Operand, b: Operand) -> Value:
        """Return a * b."""
        return self._f.fmul(self.value(a), self.value(b))

    def div(self, a: Operand, b: Operand) -> Value:
        """Return a / b."""
        return self._f.fdiv(self.value(a), self.value(b))

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """Return a * b + c, rounded once where the CPU can."""
        return self._f.fma(self.value(a), self.value(b), self.value(c))

    def neg(self, a: Operand) -> Value:
        """Return -a."""
        return self._f.emit(self._type, f"fneg {self._type} {self.value(a).text}")

    def abs(self, a: Operand) -> Value:
        """Return the absolute value."""
        return self._f.intrinsic("fabs", self.value(a))

    def copysign(self, a: Operand, sign: Operand) -> Value:
        """Return the absolute value of a with the sign of the other."""
        return self._f.intrinsic("copysign", self.value(a), self.value(sign))

    def sqrt(self, a: Operand) -> Value:
        """Return the square root."""
        return self._f.intrinsic("sqrt", self.value(a))

    # Choices ------------------------------------------------------------------------------

    def greater(self, a: Operand, b: Operand) -> Value:
        """Return where a > b; false for NaN."""
        return self._f.fcompare("ogt", self.value(a), self.value(b))

    def less(self, a: Operand, b: Operand) -> Value:
        """Return where a < b; false for NaN."""
        return self._f.fcompare("olt", self.value(a), self.value(b))

    def equal(self, a: Operand, b: Operand) -> Value:
        """Return where a = b; false for NaN."""
        return self._f.fcompare("oeq", self.value(a), self.value(b))

    def where(self, condition: Value, a: Operand, b: Operand) -> Value:
        """Return a where the condition holds, else b."""
        return self._f.select(condition, self.value(a), self.value(b))

    def maximum(self, a: Operand, b: Operand) -> Value:
        """Return the larger; NaN if either is NaN."""
        return self._extreme("ogt", self.value(a), self.value(b))

    def minimum(self, a: Operand, b: Operand) -> Value:
        """Return the smaller; NaN if either is NaN."""
        return self._extreme("olt", self.value(a), self.value(b))

    def _extreme(self, word: str, a: Value, b: Value) -> Value:
        # The comparison and the choice are one instruction of x86, which returns b if either is
        # NaN. So a constant, which is not NaN, comes first, and only two variables cost more.
        if _is_constant(b):
            a, b = b, a
        chosen = self.where(self._f.fcompare(word, a, b), a, b)
        if _is_constant(a):
            return chosen
        return self.where(self._f.fcompare("uno", a, a), a, chosen)

    # Exponentials -------------------------------------------------------------------------

    def exp(self, a: Operand) -> Value:
        """Return e^a."""
        f, fmt = self._f, self._format
        low, high = fmt.exp_range
        shifted, r, _ = self._reduce(self.minimum(high, self.maximum(low, a)))
        # 2^n may lie outside the format where the result does not: it takes two factors.
        both = f.integer("sub", self._as_bits(shifted), fmt.magic_bits - 2 * fmt.bias)
        first = f.integer("lshr", both, 1)
        second = f.integer("sub", both, first)
        scaled = self.mul(self._near_exp(r), self._power_of_two(first))
        return self.mul(scaled, self._power_of_two(second))

    def expm1(self, a: Operand) -> Value:
        """Return e^a - 1, exact near zero."""
        f, fmt = self._f, self._format
        x = self.minimum(fmt.exp_range[1], self.maximum(fmt.expm1_low, a))
        shifted, r, rest = self._reduce(x)
        tail = self._polynomial(polynomials.EXP_REMAINDER, r)
        p = self.add(r, self.fma(self.mul(r, r), tail, rest))  # e^r - 1
        # 2^n (p + 1) - 1 = 2 (h p + h - 1/2) with h = 2^(n-1), which is in range for every n.
        field = f.integer("sub", self._as_bits(shifted), fmt.magic_bits - fmt.bias + 1)
        h = self._power_of_two(field)
        scaled = self.fma(p, h, self.sub(h, 0.5))
        return self.where(self.equal(shifted, fmt.magic), p, self.add(scaled, scaled))

    def sigmoid(self, a: Operand) -> Value:
        """Return 1 / (1 + e^-a), exact in both tails."""
        tail = self.exp(self.neg(self.abs(a)))
        sum_ = self.add(tail, 1.0)
        quotient = self.div(self.where(self.less(a, 0.0), tail, 1.0), sum_)
        # What the sum's rounding lost, divided by roughly the sum, is the quotient's error.
        lost = self.add(self.sub(1.0, sum_), tail)
        error = self.mul(lost, self.fma(tail, -0.5, 1.0))
        return self.fma(self.neg(quotient), error, quotient)

    def tanh(self, a: Operand) -> Value:
        """Return the hyperbolic tangent."""
        x = self.value(a)
        size = self.abs(x)
        square = self.mul(x, x)
        near = self._polynomial(polynomials.TANH_REMAINDER, square)
        near = self.fma(self.mul(square, near), x, x)
        capped = self.minimum(self._format.tanh_high, size)
        power = self._bounded_exp(self.add(capped, capped))
        far = self.sub(1.0, self.div(2.0, self.add(power, 1.0)))
        return self.where(self.less(size, 0.625), near, self.copysign(far, x))

    def erf(self, a: Operand) -> Value:
        """Return the error function."""
        x = self.value(a)
        size = self.abs(x)
        near = self._polynomial(polynomials.ERF_NEAR, self.mul(x, x))
        near = self.fma(near, x, x)
        excess = self.sub(self.minimum(self._format.erf_high, size), 1.0)
        exponent = self._polynomial(polynomials.ERF_FAR, excess)
        far = self.sub(1.0, self._bounded_exp(self.neg(exponent)))
        return self.where(self.less(size, 1.0), near, self.copysign(far, x))

    def _bounded_exp(self, x: Value) -> Value:
        """Return e^x where it is a normal number."""
        fmt = self._format
        shifted, r, _ = self._reduce(x)
        field = self._f.integer("sub", self._as_bits(shifted), fmt.magic_bits - fmt.bias)
        return self.mul(self._near_exp(r), self._power_of_two(field))

    def _reduce(self, x: Value) -> tuple[Value, Value, Value]:
        """Return n + magic, r and what r lacks, for x = n ln 2 + r with n an integer."""
        fmt = self._format
        shifted = self.fma(x, 1 / math.log(2), fmt.magic)
        n = self.sub(shifted, fmt.magic)
        high = self.fma(n, -fmt.ln2_high, x)
        r = self.fma(n, -fmt.ln2_low, high)
        return shifted, r, self.fma(n, -fmt.ln2_low, self.sub(high, r))

    def _near_exp(self, r: Value) -> Value:
        """Return e^r for what the reduction leaves."""
        tail = self._polynomial(polynomials.EXP_REMAINDER, r)
        return self.add(self.fma(self.mul(r, r), tail, r), 1.0)

    # Logarithms ---------------------------------------------------------------------------

    def log(self, a: Operand) -> Value:
        """Return the natural logarithm."""
        fmt = self._format
        x = self.value(a)
        k, f = self._split(x)
        half_square = self.mul(self.mul(f, f), 0.5)
        s = self.div(f, self.add(f, 2.0))
        square = self.mul(s, s)
        rest = self.mul(square, self._polynomial(polynomials.LOG_REMAINDER, square))
        # log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + rest))
        low = self.fma(s, self.add(half_square, rest), self.mul(k, fmt.ln2_low))
        result = self.fma(k, fmt.ln2_high, self.sub(f, self.sub(half_square, low)))
        result = self.where(self.less(x, math.inf), result, x)
        at_zero = self.where(self.equal(x, 0.0), -math.inf, math.nan)
        return self.where(self.greater(x, 0.0), result, at_zero)

    def pow(self, a: Operand, b: Operand) -> Value:
        """Return a^b for a >= 0.

        In float32 it is computed in float64. In float64 the error grows with the result's
        logarithm: about 2 + ``|b log a|`` units in the last place.
        """
        if self._type.element == F64:
            power = self.exp(self.mul(b, self.log(a)))
            return self.where(self.equal(b, 0.0), 1.0, power)
        wide = Vector(F64, self._type.lanes)
        base, exponent = (self._f.convert("fpext", self.value(x), wide) for x in (a, b))
        power = VectorMath(self._f, wide).pow(base, exponent)
        return self._f.convert("fptrunc", power, self._type)

    def _split(self, x: Value) -> tuple[Value, Value]:
        """Return k and f for x = 2^k (1 + f), with 1 + f between the roots of 1/2 and 2."""
        f, fmt = self._f, self._format
        tiny = self.less(x, 2.0 ** (1 - fmt.bias))
        lift = fmt.mantissa + 2
        normal = self.where(tiny, self.mul(x, 2.0**lift), x)
        bits = f.integer("add", self._as_bits(normal), fmt.one_bits - fmt.root_half_bits)
        field = f.integer("lshr", bits, fmt.mantissa)
        fraction = f.integer("and", bits, (1 << fmt.mantissa) - 1)
        m = self._as_float(f.integer("add", fraction, fmt.root_half_bits))
        # An integer in the mantissa of 2^mantissa is that float plus the integer.
        unit = 2.0**fmt.mantissa
        carrier = (fmt.mantissa + fmt.bias) << fmt.mantissa
        k = self._as_float(f.integer("or", field, carrier))
        k = self.sub(k, self.where(tiny, unit + fmt.bias + lift, unit + fmt.bias))
        return k, self.sub(m, 1.0)

    # Parts --------------------------------------------------------------------------------

    def _polynomial(self, table: polynomials.Coefficients, x: Value) -> Value:
        """Evaluate by Horner's rule."""
        *lower, highest = table[self._type.element]
        result = self.constant(highest)
        for coefficient in reversed(lower):
            result = self.fma(result, x, coefficient)
        return result

    def _power_of_two(self, field: Value) -> Value:
        """Return the float with this exponent field."""
        return self._as_float(self._f.integer("shl", field, self._format.mantissa))

    def _as_bits(self, x: Value) -> Value:
        return self._f.convert("bitcast", x, self._bits)

    def _as_float(self, bits: Value) -> Value:
        return self._f.convert("bitcast", bits, self._type)


def _is_constant(x: Value) -> bool:
    """Tell a constant: LLVM's names of computed values begin with a percent sign."""
    return not x.text.startswith("%")
