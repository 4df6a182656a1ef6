from __future__ import annotations

import numpy as np
import pytest

from convoi.data.options import ReadOptions
from convoi.data.targets import encode_targets
from convoi.errors import DataError


def encode(y, samples=None, **options):
    y = np.asarray(y)
    return encode_targets(
        y,
        samples=len(y) if samples is None else samples,
        options=ReadOptions(**options),
        what="'y.npz'",
    )


class TestClasses:
    @pytest.mark.parametrize(
        ("y", "codes", "classes"),
        [
            ([7, 3, 7], [1, 0, 1], (3, 7)),
            ([[7], [3], [7]], [1, 0, 1], (3, 7)),
            (np.array([-1, 1], np.int8), [0, 1], (-1, 1)),
            ([True, False], [1, 0], (0, 1)),
            (["dog", "cat"], [1, 0], ("cat", "dog")),
            ([b"dog", b"caf\xe9"], [1, 0], ("café", "dog")),
        ],
    )
    def test_labels_are_coded_in_sorted_order(self, y, codes, classes):
        result, names = encode(y)
        assert result.tolist() == codes
        assert result.dtype == np.intp
        assert names == classes

    def test_classes_are_plain_python_values(self):
        _, classes = encode(np.array([1, 2], np.int16))
        assert [type(label) for label in classes] == [int, int]

    def test_whole_floats_are_classes_when_asked_for(self):
        codes, classes = encode([2.0, 0.0], task="classification")
        assert codes.tolist() == [1, 0]
        assert classes == (0, 2)

    def test_whole_floats_are_classes_where_the_classes_are_known(self):
        codes, classes = encode([2.0, 0.0], classes=(0, 1, 2))
        assert codes.tolist() == [2, 0]
        assert classes == (0, 1, 2)

    @pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e300])
    def test_other_floats_are_not(self, value):
        with pytest.raises(DataError, match=r"Label 1 of 'y\.npz' is .*task='regression'"):
            encode([0.0, value], task="classification")

    def test_known_classes_keep_their_order_and_match_by_reading(self):
        codes, classes = encode(["10", "9"], classes=(9, 10, 11))
        assert codes.tolist() == [1, 0]
        assert classes == (9, 10, 11)

    def test_an_unknown_class_is_named_with_the_known_ones(self):
        with pytest.raises(DataError, match=r"class 'cow', which is not one of .*: 'cat', 'dog'"):
            encode(["cow", "dog"], classes=("cat", "dog"))

    def test_many_known_classes_are_cut(self):
        with pytest.raises(DataError, match="8, 9 and 90 more"):
            encode([100, 1], classes=tuple(range(100)))

    def test_a_single_class_is_refused(self):
        with pytest.raises(DataError, match=r"'y\.npz' holds samples of one class only, 5"):
            encode([5, 5, 5])

    def test_a_single_class_is_accepted_where_the_classes_are_known(self):
        assert encode([5, 5], classes=(4, 5))[0].tolist() == [1, 1]

    def test_one_hot_rows_are_refused_with_the_remedy(self):
        with pytest.raises(DataError, match=r"shape \(3, 3\).*one-hot.*argmax"):
            encode(np.eye(3, dtype=int))


class TestValues:
    @pytest.mark.parametrize("shape", [(4,), (4, 2)])
    def test_floats_are_values(self, shape):
        y = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
        values, classes = encode(y)
        assert classes is None
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, y.astype(np.float32))

    def test_a_single_column_is_flattened(self):
        assert encode([[0.5], [1.5]])[0].shape == (2,)

    def test_integers_are_values_when_asked_for(self):
        values, classes = encode([3, 1], task="regression")
        assert values.tolist() == [3.0, 1.0]
        assert classes is None

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_the_value_that_is_not_finite_is_named(self, value):
        with pytest.raises(DataError, match=r"Value 1 of 'y\.npz' is NaN, infinite or beyond"):
            encode([0.0, value])

    def test_strings_cannot_be_values(self):
        with pytest.raises(DataError, match="holds strings, which cannot be the values"):
            encode(["a", "b"], task="regression")

    def test_more_than_one_axis_of_outputs_is_refused(self):
        with pytest.raises(DataError, match=r"shape \(2, 3, 4\)"):
            encode(np.zeros((2, 3, 4)))


class TestCount:
    def test_another_number_of_labels_is_refused(self):
        with pytest.raises(DataError, match="holds 3 labels for 4 samples"):
            encode([0, 1, 0], samples=4)

    def test_a_scalar_is_refused(self):
        with pytest.raises(DataError, match="holds a single label for 4 samples"):
            encode_targets(np.array(3), samples=4, options=ReadOptions(), what="'y.npz'")

    def test_rows_without_labels_are_refused(self):
        with pytest.raises(DataError, match=r"labels of shape \(3, 0\), which is empty"):
            encode(np.zeros((3, 0)))

    def test_other_dtypes_are_refused(self):
        with pytest.raises(DataError, match="holds labels of dtype complex128"):
            encode(np.zeros(3, complex))
