"""Types, values and constants of LLVM's text."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from convoi.codegen.types import F32, F64, I32, I64, Vector, constant, float_literal


def bits_of(literal: str) -> float:
    return struct.unpack(">d", bytes.fromhex(literal.removeprefix("0x")))[0]


@pytest.mark.parametrize("number", [0.0, -0.0, 0.1, -1e-40, 3.5e38, np.inf, -np.inf])
def test_a_float64_literal_has_the_bits_of_the_number(number: float) -> None:
    assert struct.pack("<d", bits_of(float_literal(F64, number))) == struct.pack("<d", number)


@pytest.mark.parametrize("number", [0.1, 1 / 3, -1e-40, 16777217.0])
def test_a_float32_literal_is_rounded_to_float32(number: float) -> None:
    assert bits_of(float_literal(F32, number)) == float(np.float32(number))


def test_a_nan_literal_is_nan() -> None:
    assert np.isnan(bits_of(float_literal(F32, np.nan)))


def test_a_constant_of_a_vector_is_the_same_in_every_lane() -> None:
    assert constant(Vector(I32, 4), 7).text == "splat (i32 7)"


def test_vectors_know_their_size_and_their_name_in_intrinsics() -> None:
    vector = Vector(F32, 16)
    assert (vector.size, vector.suffix, str(vector)) == (64, "v16f32", "<16 x float>")
    assert vector.is_float
    assert not Vector(I64, 2).is_float
