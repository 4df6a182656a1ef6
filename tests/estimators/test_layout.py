from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from convoi.data import Dataset, ImageFiles
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.estimators import PixelFormat
from convoi.estimators.layout import (
    SampleLayout,
    check_image_shape,
    dataset_layout,
    training_layout,
)

OWNER = "ImageClassifier"


@pytest.mark.parametrize(
    ("shape", "image_shape", "input_shape"),
    [
        ((9, 6, 7), None, (1, 6, 7)),
        ((9, 6, 7, 3), None, (3, 6, 7)),
        ((9, 42), (6, 7), (1, 6, 7)),
        ((9, 42), (2, 7, 3), (3, 2, 7)),
        ((9, 42), None, (42,)),
        ((9, 3, 32, 32), (3, 32, 32), (32, 3, 32)),
        ((9, 3, 32, 3), None, (3, 3, 32)),
    ],
)
def test_the_form_of_x_decides_what_a_network_takes(shape, image_shape, input_shape):
    layout = training_layout(np.zeros(shape), image_shape, OWNER)
    assert layout.input_shape == input_shape


def test_channels_come_first_for_the_network():
    X = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    samples = SampleLayout((4, 5, 3)).samples(X)
    assert samples[1, 2, 3, 4] == X[1, 3, 4, 2]
    assert np.shares_memory(samples, X)


def test_flat_rows_are_read_row_by_row():
    X = np.arange(2 * 12).reshape(2, 12)
    assert SampleLayout((3, 4)).samples(X)[1, 0, 2, 3] == X[1, 11]


@pytest.mark.parametrize(
    ("shape", "image_shape", "message"),
    [
        ((9, 3, 32, 32), None, r"channels last. Give numpy.moveaxis\(X, 1, -1\); or, .* 3 high"),
        ((9, 2, 2, 2, 2), None, r"X has shape \(9, 2, 2, 2, 2\), and ImageClassifier expects"),
        ((9, 0, 4), None, r"X has shape \(9, 0, 4\), and ImageClassifier expects"),
        ((9, 42), (6, 6), r"X has 42 values in each row, and image_shape=\(6, 6\) means 36"),
        ((9, 6, 7), (7, 6), r"samples of shape \(6, 7\), and image_shape=\(7, 6\)"),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused(shape, image_shape, message):
    with pytest.raises(DataError, match=message):
        training_layout(np.zeros(shape), image_shape, OWNER)


def test_a_single_image_is_no_batch():
    with pytest.raises(DataError, match=r"For a single image, give X\[numpy.newaxis\]"):
        SampleLayout((4, 5, 3)).check(np.zeros((4, 5, 3)), OWNER)


@pytest.mark.parametrize(("value", "expected"), [(None, None), ([6, 7], (6, 7)), ((6, 7, 3),) * 2])
def test_image_shape_is_a_sequence_of_sizes(value, expected):
    assert check_image_shape(value, OWNER) == expected


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (8, ArgumentTypeError),
        ("8x8", ArgumentTypeError),
        ((8,), ArgumentError),
        ((8, 0), ArgumentError),
        ((8, 8.0), ArgumentTypeError),
    ],
)
def test_any_other_image_shape_is_refused(value, error):
    with pytest.raises(error, match="The 'image_shape' parameter of ImageClassifier must be"):
        check_image_shape(value, OWNER)


def test_a_data_set_of_images_has_their_layout():
    assert dataset_layout((1, 6, 7), OWNER).shape == (6, 7)
    assert dataset_layout((3, 6, 7), OWNER).shape == (6, 7, 3)
    with pytest.raises(DataError, match=r"The data set has samples of shape \(3, 100\)"):
        dataset_layout((3, 100), OWNER)


@pytest.mark.parametrize(
    ("dtype", "value_range"),
    [(np.uint8, (0, 255)), (np.bool_, (0, 1)), (np.uint16, None), (np.float32, None)],
)
def test_the_dtype_of_an_array_may_tell_black_and_white(dtype, value_range):
    assert PixelFormat.of_array(np.zeros(3, dtype)).value_range == value_range


def test_values_are_scaled_from_one_black_and_white_to_another():
    X = np.array([0, 51, 255], np.uint8)
    np.testing.assert_allclose(PixelFormat((0, 16)).scaled(X, (0, 255)), [0, 3.2, 16], rtol=1e-6)
    assert PixelFormat((0, 255)).scaled(X, (0, 255)) is X
    assert PixelFormat(None).scaled(X, (0, 255)) is X


def test_a_data_set_of_files_tells_how_they_are_read(tmp_path):
    file = tmp_path / "a.png"
    Image.new("L", (4, 4)).save(file)
    images = ImageFiles([file, file], fit="stretch")
    dataset = Dataset("files", images, np.array([0, 1]), ("a", "b"), (0.0, 255.0))
    assert PixelFormat.of_dataset(dataset.subset([0])) == PixelFormat((0.0, 255.0), "stretch")
