"""What a .ts file says, found by another way than the reader's: patterns, then comparisons."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
TAGS = {
    "@problemname": r".*",
    "@timestamps": "false",
    "@missing": "true|false",
    "@univariate": "true|false",
    "@dimensions": r"\d{1,12}",
    "@equallength": "true|false",
    "@serieslength": r"\d{1,12}",
    "@classlabel": r"true( \S+)+|false",
    "@targetlabel": "true|false",
}


@dataclass
class Said:
    """A file that does not contradict itself."""

    cases: list[list[list[float]]]
    labels: list | None


def definition(content: bytes) -> Said | None:
    """Return what a file says, None if it is damaged."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    stripped = (line.strip() for line in text.split("\n"))
    lines = [line for line in stripped if line and line[0] not in "#%"]
    lowered = [line.lower() for line in lines]
    if "@data" not in lowered:
        return None
    at = lowered.index("@data")
    tags = header(lines[:at])
    if tags is None:
        return None
    labelled = "true" in {first(tags, "@classlabel"), first(tags, "@targetlabel")}
    rows = [line.split(":") for line in lines[at + 1 :]]
    labels = [row.pop().strip() for row in rows if len(row) > 1] if labelled else None
    cases = [[numbers(field) for field in row] for row in rows]
    unlabelled = labelled and len(labels) < len(rows)
    if (
        unlabelled
        or any(field is None for case in cases for field in case)
        or not agrees(tags, cases)
    ):
        return None
    return labelled_as(tags, cases, labels)


def first(tags: dict, name: str) -> str | None:
    return tags[name][0].lower() if tags.get(name) else None


def header(lines: list[str]) -> dict[str, list[str]] | None:
    tags: dict[str, list[str]] = {}
    for line in lines:
        name, *values = line.split()
        name = {"@dimension": "@dimensions"}.get(name.lower(), name.lower())
        text = " ".join([values[0].lower(), *values[1:]]) if values else ""
        pattern = TAGS.get(name)
        again = name in tags and name != "@problemname"
        if again or pattern is None or not re.fullmatch(pattern, text, re.ASCII):
            return None
        tags[name] = values
    kinds = [first(tags, "@classlabel"), first(tags, "@targetlabel")]
    classes = tags.get("@classlabel", [])[1:]
    if kinds in ([None, None], ["true", "true"]) or len(set(classes)) < len(classes):
        return None
    return tags


def numbers(field: str) -> list[float] | None:
    values = [value.strip() for value in field.split(",")]
    texts = ["nan" if value == "?" else value for value in values]
    known = [text for text in texts if text.lower() != "nan"]
    if not all(re.fullmatch(NUMBER, v) and math.isfinite(float(v)) for v in known):
        return None
    return [float(text) for text in texts]


def agrees(tags: dict, cases: list) -> bool:
    """Tell whether the header and the data agree."""
    channels = {len(case) for case in cases}
    lengths = {len(row) for case in cases for row in case}
    in_a_case = [len({len(row) for row in case}) for case in cases]
    missing = any(math.isnan(value) for case in cases for row in case for value in row)
    single, equal = first(tags, "@univariate"), first(tags, "@equallength")
    dimensions, length = first(tags, "@dimensions"), first(tags, "@serieslength")
    refused = [
        len(channels) != 1,
        any(count > 1 for count in in_a_case),
        missing and first(tags, "@missing") == "false",
        single == "true" and (channels != {1} or int(dimensions or 1) > 1),
        single == "false" and channels == {1},
        dimensions is not None and channels != {int(dimensions)},
        equal == "true" and len(lengths) > 1,
        equal == "false" and length is not None,
        length is not None and lengths != {int(length)},
    ]
    return not any(refused)


def labelled_as(tags: dict, cases: list, labels: list[str] | None) -> Said | None:
    if labels is None:
        return Said(cases, None)
    if first(tags, "@classlabel") == "true":
        return Said(cases, labels) if set(labels) <= set(tags["@classlabel"][1:]) else None
    values = [numbers(label) for label in labels]
    if any(v is None or len(v) > 1 or math.isnan(v[0]) for v in values):
        return None
    return Said(cases, [value[0] for value in values])
