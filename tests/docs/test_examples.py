"""The examples of the documentation do what the pages say.

The blocks of a page run in order, in a folder of their own: ``python`` ones in one namespace, and
of ``console`` ones the ``convoi`` commands. What a page shows below a block is compared with what
the block prints: a line ``...`` stands for any lines, and decimal numbers, which depend a little on
the processor, need not be the same. Output that differs from run to run is marked ``varies``.
"""

from __future__ import annotations

import re
import shlex
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import zip_longest
from pathlib import Path

import pytest
from typer.testing import CliRunner

from convoi.cli.application import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
NUMBER = re.compile(r"\d+(\.\d+)?")
DECIMAL = re.compile(r"\d+\.\d+(e-?\d+)?")
MEASURED = re.compile(r" ?(s|ms|kB|MB)\b")
TOLERANCE = 0.1
HOME = "/home/ada"
"""What the pages show in place of the folder in which a page runs."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    """Number of its first line in the page."""
    varies: bool


def blocks_of(page):
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        words = re.findall(r"\w+", fence[1])
        line = text.count("\n", 0, fence.start(2)) + 1
        yield Block(words[0] if words else "", fence[2], line, "varies" in words)


def run_python(block, page, names):
    """Run a block; return what it prints."""
    # Empty lines before it give tracebacks the numbers of the page's lines.
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    printed = StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        exec(code, names)  # noqa: S102 - the page is part of the project
    return printed.getvalue()


def commands_of(block):
    """Return each command of a session, as its words, and what the page shows below it."""
    text = re.sub(r"\\\n *", "", block.text)  # a command may go on in the next line
    sessions = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    for session in sessions:
        command, _, shown = session.partition("\n")
        yield shlex.split(command), shown


def run_command(words):
    """Run a ``convoi`` command in this process; return its exit status and what it prints."""
    program, *arguments = words
    assert program == "convoi"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # the command sets it
        if arguments[0] == "cache":
            # Other tests need the cache that they share.
            patch.setenv("CONVOI_CACHE_DIR", str(Path.cwd() / ".cache" / "convoi"))
        result = CliRunner().invoke(app, arguments, prog_name="convoi")
    return result.exit_code, result.output


def agree(shown, printed, same):
    """Tell whether lines are the ones that a page shows, ``...`` being any number of them."""
    if not shown:
        return not printed
    first, *rest = shown
    if first == "...":
        return any(agree(rest, printed[start:], same) for start in range(len(printed) + 1))
    return bool(printed) and same(first, printed[0]) and agree(rest, printed[1:], same)


def same_but_for_numbers(shown, printed):
    shown, printed = (NUMBER.sub("#", " ".join(line.split())) for line in (shown, printed))
    return shown == printed


def same_line(shown, printed):
    """Compare words and whole numbers exactly, decimal ones roughly, times and sizes not."""
    shown, printed = " ".join(shown.split()), " ".join(printed.split())
    if DECIMAL.sub("#", shown) != DECIMAL.sub("#", printed):
        return False
    return all(
        MEASURED.match(shown, a.end()) or abs(float(a[0]) - float(b[0])) <= TOLERANCE
        for a, b in zip(DECIMAL.finditer(shown), DECIMAL.finditer(printed), strict=True)
    )


def check_output(place, shown, printed, *, varies):
    printed = printed.replace(str(Path.cwd()), HOME)
    lines, found = (
        [each.rstrip() for each in text.rstrip().splitlines()] for text in (shown, printed)
    )
    same = same_but_for_numbers if varies else same_line
    assert agree(lines, found, same), f"{place} shows\n{shown}\nand is\n{printed}"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.relative_to(ROOT).as_posix())
        for page in PAGES
        if {"python", "console"} & {block.language for block in blocks_of(page)}
    ],
)
def test_a_page_shows_what_its_examples_do(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    names = {"__name__": "__main__"}
    blocks = list(blocks_of(page))
    for block, following in zip_longest(blocks, blocks[1:]):
        place = f"{page.name}:{block.line}"
        if block.language == "python":
            printed = run_python(block, page, names)
            has_output = following is not None and following.language == "text"
            shown, varies = (following.text, following.varies) if has_output else ("", False)
            check_output(place, shown, printed, varies=varies)
        elif block.language == "console":
            for words, shown in commands_of(block):
                status, printed = run_command(words)
                assert status == 0, f"{place}: {shlex.join(words)}\n{printed}"
                check_output(place, shown, printed, varies=block.varies)


def test_output_that_is_not_the_shown_one_is_noticed():
    shown = ["Accuracy 0.98 on 360 samples", "...", "Model written"]
    assert agree(shown, ["Accuracy 0.95 on 360 samples", "3.1 s", "Model written"], same_line)
    assert not agree(shown, ["Accuracy 0.75 on 360 samples", "Model written"], same_line)
    assert not agree(shown, ["Accuracy 0.98 on 359 samples", "Model written"], same_line)
    assert not agree(shown, ["Accuracy 0.98 on 360 samples", "Model read"], same_line)
    assert same_but_for_numbers("57 files, 0.1 MB", "0 files, 0.0 MB")
    assert not same_but_for_numbers("57 files", "57 folders")
