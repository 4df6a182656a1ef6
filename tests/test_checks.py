from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from convoi.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_per_axis,
    check_real,
    describe,
)
from convoi.errors import ArgumentError, ArgumentTypeError

NAN = float("nan")
INFINITY = float("inf")


class TestCheckInteger:
    @pytest.mark.parametrize("value", [7, np.int8(7), np.uint64(7), np.int64(7)])
    def test_an_integer_becomes_an_int(self, value):
        result = check_integer(value, "epochs", "fit")
        assert type(result) is int
        assert result == 7

    @pytest.mark.parametrize(
        "value", [True, np.True_, 3.0, np.float32(3), "3", None, (3,), np.array(3), np.array([3])]
    )
    def test_anything_else_is_a_type_error(self, value):
        with pytest.raises(ArgumentTypeError, match="The 'epochs' parameter of fit must be an int"):
            check_integer(value, "epochs", "fit")

    def test_the_bounds_are_accepted(self):
        assert check_integer(1, "level", "save", minimum=1, maximum=9) == 1
        assert check_integer(9, "level", "save", minimum=1, maximum=9) == 9

    @pytest.mark.parametrize(
        ("value", "bounds", "words"),
        [
            (0, {"minimum": 1}, "an integer greater than or equal to 1"),
            (10, {"maximum": 9}, "an integer less than or equal to 9"),
            (
                10,
                {"minimum": 1, "maximum": 9},
                "an integer greater than or equal to 1 and less than or equal to 9",
            ),
        ],
    )
    def test_a_value_out_of_bounds_is_refused(self, value, bounds, words):
        with pytest.raises(ArgumentError) as raised:
            check_integer(value, "level", "save", **bounds)
        expected = f"The 'level' parameter of save must be {words}. Got {value} instead."
        assert str(raised.value) == expected


class TestCheckReal:
    @pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2)])
    def test_a_number_becomes_a_float(self, value):
        result = check_real(value, "rate", "Dropout")
        assert type(result) is float
        assert result == 0.5

    @pytest.mark.parametrize("value", [1, np.int32(1)])
    def test_an_integer_is_a_number(self, value):
        assert check_real(value, "rate", "Dropout") == 1.0

    @pytest.mark.parametrize(
        "value", [False, np.False_, 1j, np.complex64(1), "0.5", None, [0.5], np.array(0.5)]
    )
    def test_anything_else_is_a_type_error(self, value):
        with pytest.raises(ArgumentTypeError, match="The 'rate' parameter of Dropout must be a"):
            check_real(value, "rate", "Dropout")

    @pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY, np.float32("nan"), 10**400])
    def test_a_number_that_is_not_finite_is_refused(self, value):
        with pytest.raises(ArgumentError, match=r"must be a finite number\. Got"):
            check_real(value, "rate", "Dropout")

    @pytest.mark.parametrize("value", [NAN, INFINITY])
    def test_a_number_that_is_not_finite_is_within_no_bounds(self, value):
        with pytest.raises(ArgumentError, match=r"greater than or equal to 0\. Got"):
            check_real(value, "rate", "Dropout", minimum=0)

    @pytest.mark.parametrize("value", [0, 1])
    def test_the_bounds_are_accepted(self, value):
        assert check_real(value, "rate", "Dropout", minimum=0, maximum=1) == value

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (0.0, "a number greater than 0 and less than 1"),
            (1.0, "a number greater than 0 and less than 1"),
        ],
    )
    def test_excluded_bounds_are_refused(self, value, words):
        with pytest.raises(ArgumentError, match=f"must be {words}. Got {value} instead"):
            check_real(
                value,
                "rate",
                "Dropout",
                minimum=0,
                maximum=1,
                exclude_minimum=True,
                exclude_maximum=True,
            )

    @pytest.mark.parametrize("value", [-0.1, 1.1])
    def test_a_number_out_of_bounds_is_refused(self, value):
        with pytest.raises(ArgumentError, match=f"Got {value} instead"):
            check_real(value, "rate", "Dropout", minimum=0, maximum=1)


class TestCheckChoice:
    CHOICES = ("full", "same", "valid")

    @pytest.mark.parametrize("value", ["same", np.str_("same")])
    def test_the_choice_is_returned(self, value):
        result = check_choice(value, "mode", "convolve", self.CHOICES)
        assert type(result) is str
        assert result == "same"

    @pytest.mark.parametrize("value", ["Same", "", "sam"])
    def test_another_string_is_refused_with_the_choices(self, value):
        with pytest.raises(ArgumentError) as raised:
            check_choice(value, "mode", "convolve", self.CHOICES)
        assert str(raised.value) == (
            "The 'mode' parameter of convolve must be one of 'full', 'same', 'valid'. "
            f"Got {value!r} instead."
        )

    @pytest.mark.parametrize("value", [None, 1, b"same", ("same",), np.array(["same", "full"])])
    def test_anything_else_is_a_type_error(self, value):
        with pytest.raises(ArgumentTypeError, match="must be one of 'full', 'same', 'valid'"):
            check_choice(value, "mode", "convolve", self.CHOICES)


class TestCheckFlag:
    @pytest.mark.parametrize("value", [True, np.True_])
    def test_true_becomes_a_bool(self, value):
        assert check_flag(value, "bias", "Conv") is True

    @pytest.mark.parametrize("value", [False, np.False_])
    def test_false_becomes_a_bool(self, value):
        assert check_flag(value, "bias", "Conv") is False

    @pytest.mark.parametrize("value", [0, 1, "true", None, np.array(True)])
    def test_anything_else_is_a_type_error(self, value):
        with pytest.raises(ArgumentTypeError, match=r"of Conv must be True or False\. Got"):
            check_flag(value, "bias", "Conv")


class TestCheckPerAxis:
    @pytest.mark.parametrize("rank", [1, 2, 3])
    @pytest.mark.parametrize("value", [2, np.int32(2)])
    def test_one_integer_holds_for_every_axis(self, value, rank):
        assert check_per_axis(value, "stride", "Conv", rank) == (2,) * rank

    @pytest.mark.parametrize("value", [(1, 2), [1, 2], np.array([1, 2]), (np.int8(1), 2)])
    def test_a_sequence_gives_one_for_each_axis(self, value):
        result = check_per_axis(value, "stride", "Conv", 2)
        assert result == (1, 2)
        assert {type(item) for item in result} == {int}

    @pytest.mark.parametrize("value", [(), (1,), (1, 2, 3), np.arange(3)])
    def test_another_length_is_refused(self, value):
        with pytest.raises(ArgumentError, match="a sequence of 2 of them, one for each spatial"):
            check_per_axis(value, "stride", "Conv", 2)

    @pytest.mark.parametrize("value", [0, (1, 0), [-1, 1]])
    def test_an_integer_below_the_minimum_is_refused(self, value):
        with pytest.raises(ArgumentError) as raised:
            check_per_axis(value, "stride", "Conv", 2, minimum=1)
        assert str(raised.value) == (
            "The 'stride' parameter of Conv must be an integer greater than or equal to 1, "
            f"or a sequence of 2 of them, one for each spatial axis. Got {value!r} instead."
        )

    @pytest.mark.parametrize(
        "value",
        [2.0, True, None, "22", b"22", (1, 2.0), (True, 1), {1, 2}, np.eye(2, dtype=int), [[1, 2]]],
    )
    def test_anything_else_is_a_type_error(self, value):
        with pytest.raises(ArgumentTypeError, match="The 'stride' parameter of Conv must be an"):
            check_per_axis(value, "stride", "Conv", 2)


class TestDescribe:
    def test_a_numpy_scalar_reads_like_a_number(self):
        assert describe(np.float64(0.5)) == "0.5"

    def test_an_array_is_described_by_shape_and_dtype(self):
        assert describe(np.zeros((3, 4), np.float32)) == (
            "an array of shape (3, 4) and dtype float32"
        )

    @pytest.mark.parametrize("value", ["x" * 10_000, list(range(10_000)), np.str_("x" * 10_000)])
    def test_a_long_value_is_cut(self, value):
        assert len(describe(value)) <= 100
