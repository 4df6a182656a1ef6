from __future__ import annotations

import numpy as np
import pytest

from convoi.data import Dataset, DatasetSplits
from convoi.errors import ArgumentError, DataError
from tests.data.files import images

X = images(6)[:, np.newaxis]
Y = np.array([0, 1, 0, 1, 0, 1])


def toy(**changes):
    return Dataset(**{"name": "toy", "X": X, "y": Y, "classes": ("cat", "dog")} | changes)


class TestDataset:
    def test_what_it_says_of_itself(self):
        assert repr(toy()) == "Dataset('toy', 6 samples of shape (1, 5, 7), uint8, 2 classes)"
        assert repr(toy(y=None)).endswith("no labels)")
        assert repr(toy(y=Y / 2, classes=None)).endswith("values to predict)")
        assert len(toy()) == 6
        assert toy().sample_shape == (1, 5, 7)
        assert toy(y=np.zeros(6, int)).class_counts() == {"cat": 6, "dog": 0}

    @pytest.mark.parametrize("samples", [X[:, 0, 0], X.astype(float), X.astype(np.int8)])
    def test_samples_of_another_rank_or_dtype_are_refused(self, samples):
        with pytest.raises(ArgumentError, match="'X' parameter of Dataset must be uint8 or"):
            toy(X=samples)

    def test_labels_of_another_number_are_refused(self):
        with pytest.raises(ArgumentError, match=r"each of the 6 samples\. Got 5"):
            toy(y=Y[:5])

    @pytest.mark.parametrize("y", [Y + 1, Y - 1, Y.astype(float), np.eye(6, dtype=int)])
    def test_labels_that_are_no_codes_are_refused(self, y):
        with pytest.raises(ArgumentError, match=r"'y' parameter .* class codes, .* from 0 to 1"):
            toy(y=y)

    def test_a_subset_refers_to_the_same_samples(self):
        part = toy().subset([4, -1])
        np.testing.assert_array_equal(part.source.take([0, 1]), X[[4, 5]])
        assert part.y.tolist() == [0, 1]
        assert np.shares_memory(part.X.source.array, X)

    def test_a_subset_of_unlabelled_samples_has_no_labels(self):
        assert toy(y=None, classes=None).subset([1]).y is None

    def test_a_subset_out_of_range_is_refused(self):
        with pytest.raises(IndexError, match="Sample 6 is out of range"):
            toy().subset([6])

    def test_split_keeps_labels_with_their_samples(self):
        train, validation = toy().split(1 / 3, random_state=0)
        assert (len(train), len(validation)) == (4, 2)
        for part in (train, validation):
            for image, code in zip(np.asarray(part.X), part.y, strict=True):
                index = next(i for i in range(6) if (X[i] == image).all())
                assert Y[index] == code

    def test_split_names_a_class_of_one_sample_by_its_label(self):
        with pytest.raises(DataError, match="Class 'dog' has one sample only"):
            toy(y=np.array([0, 0, 0, 1, 0, 0])).split(0.5)

    def test_split_needs_labels(self):
        with pytest.raises(DataError, match="'toy' has no labels to split by"):
            toy(y=None).split(0.5)

    def test_with_classes_codes_labels_as_another_order_does(self):
        result = toy().with_classes(("dog", "cow", "cat"))
        assert result.y.tolist() == [2, 0, 2, 0, 2, 0]
        assert result.classes == ("dog", "cow", "cat")

    def test_with_classes_names_a_class_that_is_missing(self):
        with pytest.raises(DataError, match="'toy' holds samples of class 'dog', which is not"):
            toy().with_classes(("cat", "cow"))

    def test_with_classes_ignores_classes_without_samples(self):
        assert toy(y=np.zeros(6, int)).with_classes(("cow", "cat")).y.tolist() == [1] * 6

    @pytest.mark.parametrize("method", ["class_counts", "with_classes"])
    def test_values_have_no_classes(self, method):
        dataset = toy(y=Y / 2, classes=None)
        arguments = [("cat",)] if method == "with_classes" else []
        with pytest.raises(DataError, match="'toy' has no classes"):
            getattr(dataset, method)(*arguments)


class TestDatasetSplits:
    def test_the_test_set_is_held_out_where_there_is_one(self):
        train, test = toy(), toy()
        assert DatasetSplits(train, test).held_out is test
        assert DatasetSplits(train).held_out is train

    def test_samples_of_another_shape_are_refused(self):
        with pytest.raises(DataError, match=r"test samples of 'toy' .*\(1, 5, 6\)"):
            DatasetSplits(toy(), toy(X=X[..., :6]))

    def test_samples_of_another_dtype_are_refused(self):
        with pytest.raises(DataError, match=r"test samples of 'toy' are float32, .* uint8"):
            DatasetSplits(toy(), toy(X=X.astype(np.float32)))
