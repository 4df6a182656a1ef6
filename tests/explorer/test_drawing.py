from __future__ import annotations

import numpy as np
import pytest

from convoi.explorer.drawing import INK, as_nist_digit, as_picture
from tests.explorer.conftest import DIGITS


def strokes_of(digit):
    return [np.array(stroke) for stroke in DIGITS[digit]]


@pytest.mark.parametrize("digit", DIGITS)
def test_a_digit_has_the_ink_and_the_box_of_the_data_set(digit):
    pixels = as_nist_digit(strokes_of(digit))
    assert pixels.shape == (8, 8)
    assert pixels.max() <= 16
    assert abs(int(pixels.sum()) - INK) < 0.15 * INK  # a line grows by whole columns
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    assert (rows[0], rows[-1]) == (0, 7)
    assert columns[0] >= 1
    assert columns[-1] <= 6


def test_place_and_size_of_a_drawing_do_not_matter():
    strokes = strokes_of(5)
    smaller = [stroke * 0.4 + 0.3 for stroke in strokes]
    difference = as_nist_digit(strokes).astype(int) - as_nist_digit(smaller)
    assert np.abs(difference).sum() < 0.05 * INK


@pytest.mark.parametrize(
    "stroke",
    [
        [[0.5, 0.5]],
        [[0.5, 0.5], [0.5, 0.5]],
        [[0.1, 0.5], [0.9, 0.5]],
        [[0.0, 0.0], [1.0, 1.0]],
        [[0.5, 0.1], [0.5, 0.9]],
    ],
    ids=["dot", "two points in one place", "dash", "diagonal", "line"],
)
def test_every_drawing_gives_ink(stroke):
    pixels = as_nist_digit([np.array(stroke)])
    assert pixels.any()
    assert pixels.max() <= 16


def test_a_picture_of_another_size_shows_the_drawing_where_it_is():
    picture = as_picture([np.array([[0.5, 0.0], [0.5, 1.0]])], 28, 28)
    assert picture.shape == (28, 28)
    assert picture.min() == 0
    assert picture.max() == 1
    assert picture[:, 13:15].min() > 0.5
    assert not picture[:, :10].any()


def test_a_wide_picture_is_cut_out_of_the_middle():
    stroke = [np.array([[0.0, 0.5], [1.0, 0.5]])]
    assert as_picture(stroke, 10, 20)[4:6].min() > 0.5
    assert not as_picture([np.array([[0.0, 0.0], [1.0, 0.0]])], 10, 20).any()
