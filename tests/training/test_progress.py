from __future__ import annotations

import io
import re
import sys

import pytest

from convoi.training import fit
from tests.training.examples import classifier, images


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, monkeypatch, **settings):
    """Return what a short run writes to the standard error stream."""
    monkeypatch.setattr(sys, "stderr", stream)
    X, y = images()
    fit(classifier(), X, y, epochs=2, batch_size=16, random_state=0, **settings)
    return stream.getvalue()


LINE = r"loss \d\.\d{4}  accuracy \d\.\d{4}  [\d,]+ samples/s"


@pytest.mark.parametrize("verbose", ["auto", False])
def test_a_run_is_silent_where_there_is_no_terminal(verbose, monkeypatch):
    assert shown(io.StringIO(), monkeypatch, verbose=verbose) == ""


def test_a_line_for_each_epoch_may_be_asked_for(monkeypatch):
    first, second = shown(io.StringIO(), monkeypatch, verbose=True).splitlines()
    assert re.fullmatch(f"epoch 1/2  {LINE}", first)
    assert re.fullmatch(f"epoch 2/2  {LINE}", second)


def test_the_figures_of_the_validation_are_shown(monkeypatch):
    text = shown(io.StringIO(), monkeypatch, verbose=True, validation_data=0.25)
    assert re.search(r"validation_loss \d\.\d{4}  validation_accuracy \d\.\d{4}", text)


def test_a_terminal_shows_a_bar_and_the_figures(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    text = shown(Terminal(), monkeypatch)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert re.search(f"epoch 1/2  {LINE}", plain)
    assert "━" in plain


def test_a_terminal_may_be_left_alone(monkeypatch):
    assert shown(Terminal(), monkeypatch, verbose=False) == ""


def test_the_bar_is_closed_when_the_run_fails(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    X, y = images()
    with pytest.raises(FloatingPointError):
        fit(classifier(), 1e37 * X, y, epochs=5, learning_rate=1e30, optimizer="sgd")
    hidden, shown_again = "\x1b[?25l", "\x1b[?25h"  # the cursor
    text = stream.getvalue()
    assert text.rindex(shown_again) > text.rindex(hidden)
