"""The types of LLVM IR that kernels use, and what a value of one is called."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Scalar:
    """An integer, floating-point or pointer type."""

    text: str
    size: int
    """Bytes in memory."""

    def __str__(self) -> str:
        return self.text

    @property
    def is_float(self) -> bool:
        """Whether arithmetic on it is floating-point."""
        return self.text in {"float", "double"}

    @property
    def suffix(self) -> str:
        """Its name in the names of LLVM's intrinsics."""
        return {"float": "f32", "double": "f64"}.get(self.text, self.text)


@dataclass(frozen=True)
class Vector:
    """Some lanes of a scalar type."""

    element: Scalar
    lanes: int

    def __str__(self) -> str:
        return f"<{self.lanes} x {self.element}>"

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.lanes * self.element.size

    @property
    def is_float(self) -> bool:
        """Whether arithmetic on it is floating-point."""
        return self.element.is_float

    @property
    def suffix(self) -> str:
        """Its name in the names of LLVM's intrinsics."""
        return f"v{self.lanes}{self.element.suffix}"


Type: TypeAlias = Scalar | Vector

I1 = Scalar("i1", 1)
I8 = Scalar("i8", 1)
I16 = Scalar("i16", 2)
I32 = Scalar("i32", 4)
I64 = Scalar("i64", 8)
F32 = Scalar("float", 4)
F64 = Scalar("double", 8)
POINTER = Scalar("ptr", 8)
VOID = Scalar("void", 0)

FLOATS = {"float32": F32, "float64": F64}
ELEMENTS = {**FLOATS, "uint8": I8}
"""What activations may consist of: bytes are numbers that are not computed with."""
"""The element types that networks compute in, by NumPy's names."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value in a function: its type and how LLVM's text refers to it."""

    type: Type
    text: str


Index: TypeAlias = int | Value
"""An integer that is known while the kernel is emitted, or computed by it."""


def float_literal(element: Scalar, number: float) -> str:
    """Return a floating-point constant as LLVM writes it: the bits of a double.

    A constant of type ``float`` must be exact in float32, so it is rounded first.
    """
    if element == F32:
        number = struct.unpack("<f", struct.pack("<f", number))[0]
    return "0x" + struct.pack(">d", number).hex().upper()


def constant(type_: Type, number: float) -> Value:
    """Return a constant, the same in every lane of a vector."""
    element = type_.element if isinstance(type_, Vector) else type_
    text = float_literal(element, float(number)) if element.is_float else str(int(number))
    return Value(type_, f"splat ({element} {text})" if isinstance(type_, Vector) else text)
