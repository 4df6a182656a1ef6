from __future__ import annotations

import sys

import pytest

from convoi.explorer import open_listener


@pytest.fixture
def served(monkeypatch):
    """Return what the server is called with; it starts, and ends at once."""
    calls = []

    def serve(estimator, name, listener, started):
        calls.append((estimator, name))
        with listener:
            started(f"http://127.0.0.1:{listener.getsockname()[1]}/")

    monkeypatch.setattr("convoi.explorer.serve", serve)
    return calls


@pytest.fixture
def opened(monkeypatch):
    """Return the addresses that a browser is asked to open."""
    addresses = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    return addresses


def test_the_page_of_a_model_is_opened_in_a_graphical_browser(
    convoi, model, served, opened, monkeypatch
):
    monkeypatch.setenv("DISPLAY", ":0")
    result = convoi("explore", model)
    assert result.code == 0
    ((estimator, name),) = served
    assert name == "model.safetensors"
    assert estimator.image_shape_[:2] == (8, 8)
    (address,) = opened
    assert result.out.startswith(f"{address} shows the model model.safetensors.")


def test_no_browser_is_opened_where_none_is_wanted_or_graphical(
    convoi, model, served, opened, monkeypatch
):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert convoi("explore", model).code == 0
    monkeypatch.setenv("DISPLAY", ":0")
    assert convoi("explore", model, "--no-browser").code == 0
    assert len(served) == 2
    assert not opened


def test_without_the_extra_the_error_says_how_to_install_it(convoi, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    result = convoi("explore", model)
    assert result.code == 1
    assert "pip install 'convoi[explore]'" in result.err


def test_a_port_that_is_taken_is_reported(convoi, model):
    with open_listener() as listener:
        listener.listen()
        result = convoi("explore", model, "--port", listener.getsockname()[1])
    assert result.code == 1
    assert "cannot be used" in result.err
