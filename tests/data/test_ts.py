from __future__ import annotations

import re

import numpy as np
import pytest

from convoi.data import open_source, read_ts, write_ts
from convoi.errors import DataError, DataFileError
from tests.data.ts_grammar import definition

UNIVARIATE = """#A comment
@problemName Steps
@timeStamps false
@missing false
@univariate true
@equalLength true
@seriesLength 4
@classLabel true up down
@data
1,2,3.5,-4e1:up
5,6,7,8:down
9,10,11,12:up
"""
MULTIVARIATE = """@problemName Pairs
@timestamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@targetlabel true
@data
1,2,?:4,5,6:0.5
7,NaN:8,9:-1.25
"""
MUTATIONS = 200


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(content, name="data.ts"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_series_of_equal_length_with_classes(written):
    data = read_ts(written(UNIVARIATE))
    assert data.name == "Steps"
    assert data.classes == ("up", "down")
    np.testing.assert_array_equal(data.y, [0, 1, 0])
    np.testing.assert_array_equal(data.X[0], [[1, 2, 3.5, -40]])
    assert data.X.shape == (3, 1, 4)


def test_series_of_unequal_length_with_values_to_predict(written):
    data = read_ts(written(MULTIVARIATE))
    assert data.classes is None
    np.testing.assert_array_equal(data.y, [0.5, -1.25])
    np.testing.assert_array_equal(data.X[0], [[1, 2, np.nan], [4, 5, 6]])
    np.testing.assert_array_equal(data.X[1], [[7, np.nan], [8, 9]])
    assert data.missing


def test_what_may_differ_between_writers(written):
    text = UNIVARIATE.replace("#A comment", "%A comment\n\n  # another").replace("\n", "\r\n")
    text = text.replace("@seriesLength", "  @SERIESLENGTH").replace("1,2", " 1 , 2").upper()
    data = read_ts(written(b"\xef\xbb\xbf" + text.encode()))
    assert data.classes == ("UP", "DOWN")
    np.testing.assert_array_equal(data.X[0], [[1, 2, 3.5, -40]])


def test_series_without_labels(written):
    path = written("@classLabel false\n@data\n1,2,3\n4,5,6\n")
    assert read_ts(path).y is None
    with pytest.raises(DataFileError, match="has no labels"):
        open_source(path)
    assert open_source(path, labelled=False).train.y is None


REFUSED = [
    (
        "@seriesLength 4",
        "@seriesLength 5",
        10,
        "it has 4 values per channel, and the header says 5",
    ),
    ("@seriesLength 4", "@seriesLength four", 7, "must be followed by a positive integer"),
    ("@seriesLength 4", "@seriesLength 9999999999999", 7, "positive integer"),
    ("@seriesLength 4", "@seriesLen 4", 7, "the tag '@seriesLen' is none of"),
    ("@seriesLength 4", "@missing true", 7, "for the second time"),
    ("@seriesLength 4\n", "", 10, None),
    ("@equalLength true", "@equalLength false", 9, "'@equalLength false' and '@seriesLength'"),
    ("@equalLength true", "@equalLength perhaps", 6, "true or false"),
    ("@univariate true", "@univariate false", 10, "one channel, and the header says"),
    ("@univariate true", "@dimensions 2", 10, "it has 1 channels, and the header says 2"),
    ("@timeStamps false", "@timeStamps true", 3, "time stamps are not supported"),
    ("@classLabel true up down", "@classLabel true", 8, "must list the labels"),
    ("@classLabel true up down", "@classLabel true up up", 8, "each once"),
    ("@classLabel true up down", "@classLabel true up", 11, "the label 'down' is none of"),
    ("@classLabel true up down", "@classLabel false", 10, "it has 2 channels"),
    ("@classLabel true up down", "@classLabel false up", 8, "must not list labels"),
    ("@classLabel true up down", "@targetLabel true", 10, "the target is no number: 'up'"),
    ("@classLabel true up down\n", "", 8, "the header must say '@classLabel true'"),
    ("@data\n", "", 9, "a line of the header begins with"),
    ("@data", "@data 3", 9, "nothing follows '@data'"),
    ("@data\n", "@data\n@missing true\n", 10, "a tag stands behind '@data'"),
    ("1,2,3.5,-4e1:up", "1,2,3.5,-4e1", 10, "the label is missing"),
    ("1,2,3.5,-4e1:up", "1,2,3.5,-4e1:", 10, "the label '' is none of"),
    ("1,2,3.5,-4e1:up", "1,2,3.5,-4e1:u", 10, "the label 'u' is none of"),
    ("1,2,3.5,-4e1:up", "1,2,3.5:-4e1:up", 10, "it has 2 channels, and the header says 1"),
    ("1,2,3.5,-4e1:up", "1,2,3.5:up", 10, "it has 3 values per channel"),
    ("1,2,3.5,-4e1:up", "1,2,3.5,-4e1,5:up", 10, "it has 5 values per channel"),
    ("1,2,3.5,-4e1:up", "1,,3.5,-4e1:up", 10, "value 1 of channel 0 is no number: ''"),
    ("1,2,3.5,-4e1:up", "1;2;3.5;-4e1:up", 10, "value 0 of channel 0 is no number"),
    ("1,2,3.5,-4e1:up", "1 2,3.5,-4e1,0:up", 10, "value 0 of channel 0 is no number"),
    ("1,2,3.5,-4e1:up", "1_000,2,3.5,-4e1:up", 10, "value 0 of channel 0 is no number"),
    ("1,2,3.5,-4e1:up", "\u0661,2,3.5,-4e1:up", 10, "value 0 of channel 0 is no number"),
    ("1,2,3.5,-4e1:up", "inf,2,3.5,-4e1:up", 10, "value 0 of channel 0 is no number"),
    ("1,2,3.5,-4e1:up", "1,2,1e999,-4e1:up", 10, "value 2 of channel 0 is beyond the largest"),
    ("1,2,3.5,-4e1:up", "1,2,?,-4e1:up", 10, "value 2 of channel 0 is missing"),
    ("1,2,3.5,-4e1:up", "(0,1),(1,2):up", 10, "Time stamps are not supported"),
    ("1,2,3.5,-4e1:up", "1,2,3.5,-4e1:up:down", 10, "it has 2 channels"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), REFUSED)
def test_a_file_that_contradicts_itself(written, old, new, line, message):
    assert old in UNIVARIATE
    path = written(UNIVARIATE.replace(old, new, 1))
    if message is None:  # the header says less, and nothing wrong
        assert len(read_ts(path)) == 3
        return
    with pytest.raises(DataFileError) as caught:
        read_ts(path)
    assert f"{str(path)!r}, line {line}: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends without a line '@data'"),
        ("@classLabel true a b\n@data\n", "no case follows '@data'"),
        ("@classLabel true a\n@targetLabel true\n@data\n1:a\n", "says both"),
        ("@univariate true\n@dimensions 3\n@classLabel false\n@data\n1\n", "and 3 dimensions"),
        ("@classLabel false\n@data\n1,2:3\n", "The channels of a series need the same time steps"),
        ("@classLabel false\n@data\n1:2\n1:2:3\n", "3 channels, and the lines before it have 2"),
        ("@equalLength true\n@classLabel false\n@data\n1,2\n1\n", "the lines before it have 2"),
        ("@targetLabel true\n@data\n1,2:?\n", "the target is missing"),
        ("@targetLabel true\n@data\n1,2:1e400\n", "the target is beyond the largest number"),
    ],
)
def test_other_files_that_contradict_themselves(written, text, message):
    with pytest.raises(DataFileError, match=rf"line \d+: .*{re.escape(message)}"):
        read_ts(written(text))


def test_bytes_that_are_no_text(written):
    with pytest.raises(DataFileError, match=r"line 10: it is no text in UTF-8"):
        read_ts(written(UNIVARIATE.encode().replace(b"1,2", b"\xff,2")))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataFileError, match=r"none\.ts"):
        read_ts(tmp_path / "none.ts")


def mutated(text, seed):
    """Return the text with one to three random changes."""
    rng = np.random.default_rng(seed)
    content = bytearray(text.encode())
    alphabet = b",:?.@#%-+eE_ \n\t0123456789atrue()\xff\x00"
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(0, len(content)))
        length = int(rng.integers(1, 6))
        kind = rng.integers(0, 6)
        if kind == 0:
            content[start] = rng.choice(list(alphabet))
        elif kind == 1:
            del content[start : start + length]
        elif kind == 2:
            content[start:start] = bytes(rng.choice(list(alphabet), length).tolist())
        elif kind == 3:
            content[start:start] = content[start : start + 4 * length]
        elif kind == 4:
            del content[max(20, start) :]
        else:
            lines = bytes(content).split(b"\n")
            i, j = rng.integers(0, len(lines), 2)
            lines[i], lines[j] = lines[j], lines[i]
            content = bytearray(b"\n".join(lines))
    return bytes(content)


def outcome(path):
    """Return what was read, or the message of the error."""
    try:
        return read_ts(path)
    except DataFileError as error:
        return str(error)


@pytest.mark.parametrize("text", [UNIVARIATE, MULTIVARIATE])
def test_a_damaged_file_gives_an_error_or_exactly_what_it_says(written, text):
    refused = 0
    for seed in range(MUTATIONS):
        content = mutated(text, seed)
        data, expected = outcome(written(content)), definition(content)
        if expected is None:
            assert isinstance(data, str), content
            assert re.search(r"'.*data\.ts', line \d+: ", data), content
            refused += 1
            continue
        assert not isinstance(data, str), (content, data)
        for found, case in zip(data.X, expected.cases, strict=True):
            np.testing.assert_array_equal(found, case, err_msg=str(content))
        labels = None if data.y is None else data.labels.tolist()
        assert labels == expected.labels, content
    assert refused > MUTATIONS // 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_read_to_the_last_bit(tmp_path, dtype):
    rng = np.random.default_rng(0)
    series = [
        (10.0 ** rng.integers(-30, 30) * rng.standard_normal((2, n))).astype(dtype)
        for n in (3, 9, 1)
    ]
    series[1][0, 2] = np.nan
    write_ts(tmp_path / "a.ts", series, ["x", "z", "x"], classes=("z", "y", "x"), name="Some name")
    data = read_ts(tmp_path / "a.ts")
    assert (data.name, data.classes) == ("Some name", ("z", "y", "x"))
    assert data.labels.tolist() == ["x", "z", "x"]
    for found, item in zip(data.X, series, strict=True):
        np.testing.assert_array_equal(found.astype(dtype), item)


def test_values_to_predict_are_read_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((4, 7)), rng.standard_normal(4)
    write_ts(tmp_path / "b.ts", X, y)
    data = read_ts(tmp_path / "b.ts")
    np.testing.assert_array_equal(data.X[:, 0], X)
    np.testing.assert_array_equal(data.y, y)
    assert data.classes is None


def test_integers_and_unlabelled_series_are_written(tmp_path):
    write_ts(tmp_path / "c.ts", np.arange(6).reshape(2, 3))
    data = read_ts(tmp_path / "c.ts")
    np.testing.assert_array_equal(data.X[:, 0], np.arange(6).reshape(2, 3))
    assert data.y is None


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([], None, "at least one series"),
        ([[1, np.inf]], None, "Series 0 has an infinite value"),
        ([np.zeros((2, 3)), np.zeros((1, 3))], None, "Series 1 has 1 channels, and series 0 has 2"),
        ([["a"]], None, "Series 0 must be numbers"),
        (np.zeros((2, 3)), ["a b", "c"], "a word without white space"),
        (np.zeros((2, 3)), ["a:", "c"], "a word without white space"),
        (np.zeros((2, 3)), ["a"], "one label for each of the 2 series"),
        (np.zeros((2, 3)), [0.5, np.nan], "y must not have NaN"),
    ],
)
def test_what_cannot_be_written(tmp_path, X, y, message):
    with pytest.raises(DataError, match=message):
        write_ts(tmp_path / "d.ts", X, y)
    assert not list(tmp_path.iterdir())


def test_the_test_set_beside_a_training_set(written):
    path = written(UNIVARIATE, "Steps_TRAIN.ts")
    test = UNIVARIATE.replace("true up down", "true down up").replace("@seriesLength 4\n", "")
    written(test, "Steps_TEST.ts")
    splits = open_source(path)
    assert splits.test.classes == ("up", "down")
    np.testing.assert_array_equal(splits.test.y, splits.train.y)


def test_a_test_set_with_a_class_that_is_unknown(written):
    path = written(UNIVARIATE, "Steps_TRAIN.ts")
    written(UNIVARIATE.replace("down", "left"), "Steps_TEST.ts")
    with pytest.raises(DataError, match="class 'left', which is not one of the known"):
        open_source(path)


def test_a_task_that_the_labels_do_not_fit(written):
    with pytest.raises(DataError, match=r"holds classes, @classLabel, and the task is regression"):
        open_source(written(UNIVARIATE), task="regression")
    with pytest.raises(DataError, match=r"holds values, @targetLabel, and the task is class"):
        open_source(written(MULTIVARIATE), task="classification")
