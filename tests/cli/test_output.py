from __future__ import annotations

import json

import numpy as np

from convoi.cli.output import print_json, print_table


def test_columns_are_aligned_text_to_the_left_and_numbers_to_the_right(capsys):
    print_table(("Name", "Share", "Count"), [("a", 0.5, 12345), ("a long name", 0.25, 7)])
    assert capsys.readouterr().out.splitlines() == [
        "Name          Share   Count",
        "a            0.5000  12,345",
        "a long name  0.2500       7",
    ]


def test_a_table_without_rows_is_its_header(capsys):
    print_table(("Name", "Share"), [])
    assert capsys.readouterr().out == "Name  Share\n"


def test_json_takes_the_numbers_and_arrays_of_numpy(capsys, tmp_path):
    print_json({"a": np.float32(0.5), "b": np.arange(2), "c": tmp_path, "d": "ü"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": 0.5, "b": [0, 1], "c": str(tmp_path), "d": "ü"}
    assert "ü" in out
