from __future__ import annotations

import re

import numpy as np
import pytest

from convoi.data import open_source, read_series_csv
from convoi.errors import ArgumentError, DataError, DataFileError


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(text, name="walks.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "  "])
def test_a_wide_table_without_names_has_labels_in_front(written, separator):
    rows = [["up", "1", "2", "-3e1"], ["down", "4", "5", "6"]]
    data = read_series_csv(written("\n".join(separator.join(row) for row in rows)))
    assert data.labels.tolist() == ["up", "down"]
    np.testing.assert_array_equal(data.X, [[[1, 2, -30]], [[4, 5, 6]]])


def test_a_wide_table_with_names(written):
    data = read_series_csv(written("a,Label,b\n1,x,2\n3,y,4\n"))
    assert data.labels.tolist() == ["x", "y"]
    np.testing.assert_array_equal(data.X[:, 0], [[1, 2], [3, 4]])


def test_what_is_missing_at_the_end_is_no_part_of_a_series(written):
    data = read_series_csv(written("0,1,,3,,\n1,4,5,6,7,NaN\n"))
    np.testing.assert_array_equal(data.X[0], [[1, np.nan, 3]])
    np.testing.assert_array_equal(data.X[1], [[4, 5, 6, 7]])
    assert data.classes == (0, 1)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("1", "2"), (1, 2)),
        (("1.0000e+00", "2.0000e+00"), (1, 2)),
        (("a", "b"), ("a", "b")),
        (("0.5", "1"), None),
    ],
)
def test_labels_are_classes_if_they_are_whole_or_words(written, labels, classes):
    data = read_series_csv(written("".join(f"{label},1,2\n" for label in labels)))
    assert data.classes == classes


def test_a_column_of_targets_holds_values(written):
    data = read_series_csv(written("u,v,target\n1,2,1\n3,4,2\n"))
    assert data.classes is None
    np.testing.assert_array_equal(data.y, [1, 2])


LONG = """case_id,dim_id,reading_id,value,label
b,0,1,2,x
b,0,0,1,x
b,1,0,5,x
b,1,1,,x
a,0,0,7,y
a,0,1,8,y
a,0,2,9,y
a,1,0,1,y
a,1,1,2,y
a,1,2,3,y
"""


def test_a_long_table_with_a_column_of_channels(written):
    data = read_series_csv(written(LONG))
    assert data.labels.tolist() == ["x", "y"]
    np.testing.assert_array_equal(data.X[0], [[1, 2], [5, np.nan]])
    np.testing.assert_array_equal(data.X[1], [[7, 8, 9], [1, 2, 3]])


def test_a_long_table_with_a_column_for_each_channel(written):
    data = read_series_csv(written("series,time,u,v\n1,0.1,1,2\n1,0.2,3,4\n1,0.3,5,6\n"))
    np.testing.assert_array_equal(data.X, [[[1, 3, 5], [2, 4, 6]]])
    assert data.y is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 0: the table has no rows"),
        ("a,b,c\n", "line 1: the table has no rows"),
        ("x,1,2\ny,,\n", "line 2: the series has no values"),
        ("x,1,2\n,1,2\n", "line 2: the label is missing"),
        ("x,1,2\ny,1,zwei\n", "line 2: value 1 is no number: 'zwei'"),
        ("x,1,2\ny,1,1e999\n", "line 2: value 1 is beyond the largest number"),
        ("label,a\nx,1,2\n", "line 2: it has 3 cells, and the first line 2 names"),
        ('x,1,2\ny,1,"2\n', "line 2: it is no row of a table"),
        (LONG.replace("b,1,1,,x", "b,1,1,,y"), "line 5: the label is 'y', and in other rows"),
        (LONG.replace("b,1,1,,x", "b,1,1,x"), "line 5: it has 4 cells"),
        (LONG.replace("b,1,1,,x\n", ""), "has 1 time steps in channel '1', and 2 in another"),
        (LONG.replace("a,1,2,3,y", "a,1,5,3,y"), "line 11: the times of series 'a' are not at"),
        (LONG.replace("a,1,2,3,y", "a,1,1,3,y"), "the times of series 'a' are not at equal"),
        (LONG.replace("a,1,2,3,y", "a,1,monday,3,y"), "line 11: the time is no number: 'monday'"),
        ("a,label,class\n1,x,y\n", "line 1: 2 columns are called one of"),
        ("series,time\n1,2\n", "line 1: a long table has a column of values"),
    ],
)
def test_a_table_that_cannot_be_used(written, text, message):
    with pytest.raises(DataFileError, match=rf"'.*walks\.csv', .*{re.escape(message)}"):
        read_series_csv(written(text))


def test_a_form_that_the_table_has_not(written):
    with pytest.raises(DataFileError, match="line 1: a long table has a line of names"):
        read_series_csv(written("x,1,2\ny,3,4\n"), form="long")
    with pytest.raises(ArgumentError, match="'form' parameter of read_series_csv"):
        read_series_csv(written("x,1,2\n"), form="tall")


def test_one_class_only(written):
    path = written("x,1,2\nx,3,4\n")
    assert read_series_csv(path).classes == ("x",)
    with pytest.raises(DataError, match="one class only"):
        open_source(path)


def test_a_source_needs_labels_unless_told_otherwise(written):
    path = written("a,b\n1,2\n3,4\n".replace("a", "step0").replace("b", "step1"))
    with pytest.raises(DataFileError, match=r"has no labels\. Name their column 'label'"):
        open_source(path)
    assert len(open_source(path, labelled=False).train) == 2


def test_the_test_set_beside_a_training_set(written):
    path = written("x\t1\t2\ny\t3\t4\n", "Walks_TRAIN.tsv")
    written("y\t5\t6\n", "Walks_TEST.tsv")
    splits = open_source(path)
    assert splits.test.labels.tolist() == ["y"]
    assert splits.test.classes == ("x", "y")
