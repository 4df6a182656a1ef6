"""The builder: what it folds, and what the code that it emits does."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from convoi.codegen.builder import Module
from convoi.codegen.types import F32, F64, I1, I8, I32, I64, POINTER, VOID, Value, Vector, constant
from tests.codegen.native import compiled


def new_function(arguments=(I64, I64)):
    return Module().function("f", arguments, exported=True)


# Folding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"), [("add", 9), ("sub", 5), ("mul", 14), ("minimum", 2), ("maximum", 7)]
)
def test_arithmetic_on_known_integers_emits_nothing(word: str, expected: int) -> None:
    f = new_function()
    before = str(f)
    assert getattr(f, word)(7, 2) == expected
    assert str(f) == before


def test_neutral_operands_emit_nothing() -> None:
    f = new_function()
    before, a = str(f), f.arguments[0]
    assert [f.add(a, 0), f.add(0, a), f.sub(a, 0), f.mul(a, 1), f.mul(1, a)] == [a] * 5
    assert [f.mul(a, 0), f.mul(0, a)] == [0, 0]
    assert f.at(f.arguments[1], 0, F32) is f.arguments[1]
    assert str(f) == before


@pytest.mark.parametrize(
    ("word", "expected"), [("add", 4), ("sub", -10), ("mul", -21), ("minimum", -3), ("maximum", 7)]
)
def test_arithmetic_on_values_is_that_of_signed_integers(word: str, expected: int) -> None:
    run = compiled([I64, I64], I64, lambda f: getattr(f, word)(*f.arguments))
    assert run(-3, 7) == expected


@pytest.mark.parametrize(
    ("word", "expected"), [("sdiv", -2), ("srem", -1), ("and", 1), ("xor", -6)]
)
def test_integer_operations_go_by_the_words_of_llvm(word: str, expected: int) -> None:
    run = compiled([I64, I64], I64, lambda f: f.integer(word, *f.arguments))
    assert run(-7, 3) == expected


def test_a_known_integer_may_stand_on_either_side() -> None:
    run = compiled([I64], I64, lambda f: f.integer("sdiv", 20, f.sub(10, f.arguments[0])))
    assert run(6) == 5


# Loops ----------------------------------------------------------------------------------------

RANGES = [(0, 0, 1), (3, 3, 2), (5, 2, 1), (0, 1, 1), (2, 4, 7), (0, 7, 1), (1, 8, 3), (-4, 5, 2)]


def counted(f, start, stop, step):
    """Return (sum of the indices) + 1000 * (number of iterations)."""

    def body(i, carried):
        total, trips = carried
        return [f.value(f.add(total, i)), f.value(f.add(trips, 1000))]

    total, trips = f.loop(stop, body, [f.value(0), f.value(0)], start=start, step=step)
    return f.value(f.add(total, trips))


@pytest.mark.parametrize(("start", "stop", "step"), RANGES)
def test_a_loop_over_known_bounds_visits_the_range(start: int, stop: int, step: int) -> None:
    run = compiled([], I64, lambda f: counted(f, start, stop, step))
    indices = range(start, stop, step)
    assert run() == sum(indices) + 1000 * len(indices)


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_a_loop_over_computed_bounds_visits_the_range(step: int) -> None:
    run = compiled([I64, I64], I64, lambda f: counted(f, *f.arguments, step))
    for start, stop, _ in RANGES:
        indices = range(start, stop, step)
        assert run(start, stop) == sum(indices) + 1000 * len(indices)


@pytest.mark.parametrize(("stop", "visited"), [(0, []), (1, [0])])
def test_none_or_one_known_iteration_is_no_loop(stop: int, visited: list[int]) -> None:
    f = new_function()
    seen: list[object] = []
    f.loop(stop, lambda i, _: seen.append(i))
    assert seen == visited
    assert "br" not in str(f)


def test_the_body_of_a_longer_loop_is_emitted_once() -> None:
    f = new_function()
    seen: list[object] = []
    f.loop(100, lambda i, _: seen.append(i))
    assert len(seen) == 1
    assert isinstance(seen[0], Value)


def test_values_of_several_types_are_carried_through_nested_loops() -> None:
    vector = Vector(F32, 4)

    def emit(f):
        pointer, rows = f.arguments

        def row(i, carried):
            def column(j, inner):
                total, count = inner
                x = f.load(f.at(pointer, f.mul(f.add(f.mul(i, 3), j), 4), F32), vector)
                return [f.fadd(total, x), f.value(f.add(count, 1))]

            return f.loop(3, column, carried)

        total, count = f.loop(rows, row, [constant(vector, 0.0), f.value(0)])
        f.store(total, f.at(pointer, 0, F32))
        return count

    run = compiled([POINTER, I64], I64, emit)
    numbers = np.arange(24, dtype=np.float32)
    expected = numbers.reshape(-1, 4).sum(axis=0)
    assert run(numbers.ctypes.data, 2) == 6
    np.testing.assert_array_equal(numbers[:4], expected)


@pytest.mark.parametrize("stop", [1, 5])
def test_a_body_must_return_what_the_loop_carries(stop: int) -> None:
    f = new_function()
    with pytest.raises(ValueError, match="carries 1 values, its body returned 2"):
        f.loop(stop, lambda *_: [f.arguments[0]] * 2, [f.arguments[0]])


def test_repeat_runs_until_its_condition_fails() -> None:
    def emit(f):
        place = f.emit(POINTER, "alloca i64")
        f.store(f.arguments[0], place)

        def again():
            halved = f.integer("sdiv", f.load(place, I64), 2)
            f.store(halved, place)
            return f.compare("sgt", halved, 10)

        f.repeat(again)
        return f.load(place, I64)

    run = compiled([I64], I64, emit)
    assert [run(100), run(4)] == [6, 2]


def test_when_runs_its_body_only_if_the_condition_holds() -> None:
    def emit(f):
        place = f.emit(POINTER, "alloca i64")
        f.store(f.value(1), place)
        with f.when(f.compare("slt", f.arguments[0], 0)):
            f.store(f.value(2), place)
        return f.load(place, I64)

    run = compiled([I64], I64, emit)
    assert [run(-1), run(0)] == [2, 1]


# Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"), [("fadd", 2.5), ("fsub", 5.5), ("fmul", -6.0), ("fdiv", -4 / 1.5)]
)
def test_arithmetic_on_floats(word: str, expected: float) -> None:
    run = compiled([F64, F64], F64, lambda f: getattr(f, word)(*f.arguments))
    assert run(4.0, -1.5) == expected


def test_fma_adds_a_product() -> None:
    run = compiled([F64] * 3, F64, lambda f: f.fma(*f.arguments))
    assert run(2.0, 3.0, 0.5) == 6.5


@pytest.mark.parametrize(("word", "expected"), [("ogt", [1, 0, 0]), ("uno", [0, 0, 1])])
def test_comparisons_of_floats_tell_nan(word: str, expected: list[int]) -> None:
    def emit(f):
        holds = f.fcompare(word, *f.arguments)
        return f.select(holds, constant(I64, 1), constant(I64, 0))

    run = compiled([F64, F64], I64, emit)
    assert [run(2.0, 1.0), run(1.0, 2.0), run(np.nan, 0.0)] == expected


def test_conversions_go_by_the_words_of_llvm() -> None:
    run = compiled([F64], I32, lambda f: f.convert("fptosi", f.arguments[0], I32))
    assert run(-3.9) == -3


def test_comparing_vectors_gives_a_bit_per_lane() -> None:
    f = new_function()
    numbers = f.lane_numbers(I32, 4)
    assert f.compare("eq", numbers, constant(Vector(I32, 4), 1)).type == Vector(I1, 4)
    assert f.fcompare("oeq", *[constant(Vector(F32, 8), 0)] * 2).type == Vector(I1, 8)


# Vectors --------------------------------------------------------------------------------------


def test_lanes_are_shuffled_broadcast_and_extracted() -> None:
    def emit(f):
        pointer, scalar, lane = f.arguments
        both = f.load(pointer, Vector(F32, 4)), f.splat(scalar, 4)
        mixed = f.shuffle(*both, [3, 4, 0, -1])
        f.store(f.shuffle(mixed, mixed, [0, 1, 2]), f.at(pointer, 4, F32))
        f.store(f.broadcast(f.at(pointer, 1, F32), Vector(F32, 2)), f.at(pointer, 7, F32))
        return f.extract(both[0], lane)

    run = compiled([POINTER, F32, I64], F32, emit)
    numbers = np.arange(9, dtype=np.float32)
    assert run(numbers.ctypes.data, 50.0, 2) == 2.0
    assert numbers.tolist() == [0, 1, 2, 3, 3, 50, 0, 1, 1]


def test_lane_numbers_count_from_their_start() -> None:
    def emit(f):
        f.store(f.lane_numbers(I32, 4, start=5), f.arguments[0])

    numbers = np.zeros(4, np.int32)
    compiled([POINTER], VOID, emit)(numbers.ctypes.data)
    assert numbers.tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda f, v: f.splat(v, 2), "takes a scalar, not a <4 x float>"),
        (lambda f, _: f.shuffle(*f.arguments, [0]), "takes vectors, not a i64"),
        (lambda f, _: f.extract(f.arguments[0], 0), "extracted from vectors, not from a i64"),
    ],
    ids=["splat", "shuffle", "extract"],
)
def test_mistakes_with_types_are_told(mistake, message: str) -> None:
    f = new_function()
    with pytest.raises(TypeError, match=message):
        mistake(f, constant(Vector(F32, 4), 0))


# Memory ---------------------------------------------------------------------------------------


def test_addresses_count_elements_of_their_type() -> None:
    def emit(f):
        pointer, index = f.arguments
        return f.load(f.at(f.at(pointer, index, I32), 3, I8), I8)

    run = compiled([POINTER, I64], I64, lambda f: f.convert("zext", emit(f), I64))
    numbers = np.array([0, 0x04030201, 0x08070605], np.int32)
    assert run(numbers.ctypes.data, 1) == 4
    assert run(numbers.ctypes.data, 2) == 8


def test_equal_tables_are_stored_once() -> None:
    module = Module()
    first, again = module.table(I64, [3, 1]), module.table(I64, [3, 1])
    other = module.table(I32, [3, 1])
    assert first == again
    assert first != other
    assert str(module).count("private constant") == 2


def test_a_table_holds_its_numbers() -> None:
    def emit(f):
        return f.load(f.at(f.module.table(I64, [10, -20, 30]), f.arguments[0], I64), I64)

    run = compiled([I64], I64, emit)
    assert [run(i) for i in range(3)] == [10, -20, 30]


@pytest.mark.parametrize("numbers", [[7, 7, 7], [1, 4, 7], [3, 1, 10]])
def test_an_entry_is_the_number_at_a_place(numbers: list[int]) -> None:
    run = compiled([I64], I64, lambda f: f.value(f.entry(numbers, f.arguments[0])))
    assert [run(i) for i in range(3)] == numbers


def test_an_opaque_address_is_the_same_address_under_another_name() -> None:
    def emit(f):
        pointer = f.opaque(f.arguments[0])
        assert pointer != f.arguments[0]
        return f.load(pointer, I64)

    number = ctypes.c_int64(77)
    assert compiled([POINTER], I64, emit)(ctypes.addressof(number)) == 77


def test_fetch_add_returns_what_was_there() -> None:
    number = np.array([5], np.int64)
    run = compiled([POINTER], I64, lambda f: f.fetch_add(f.arguments[0], -2))
    assert run(number.ctypes.data) == 5
    assert number[0] == 3


def test_prefetching_changes_nothing() -> None:
    def emit(f):
        f.prefetch(f.arguments[0])
        return f.load_acquire(f.arguments[0])

    number = np.array([5], np.int64)
    assert compiled([POINTER], I64, emit)(number.ctypes.data) == 5
