from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette's about httpx: Python 3.10 has no httpx2
    from starlette.testclient import TestClient

PORT = 8000


def arc(across, down, width, height, begin, end):
    """Return points of an ellipse, angles in degrees clockwise from the right."""
    angles = np.radians(np.linspace(begin, end, 24))
    points = np.column_stack([across + width * np.cos(angles), down + height * np.sin(angles)])
    return points.round(4).tolist()


DIGITS = {
    0: [arc(0.5, 0.5, 0.2, 0.32, -90, 270)],
    1: [[[0.5, 0.18], [0.5, 0.82]]],
    3: [arc(0.48, 0.34, 0.17, 0.15, 200, 440) + arc(0.48, 0.65, 0.19, 0.17, -80, 150)],
    5: [[[0.68, 0.2], [0.38, 0.2], [0.36, 0.46], *arc(0.49, 0.62, 0.17, 0.18, -130, 140)]],
}
"""Drawings as the page sends them."""


@pytest.fixture(scope="session")
def model():
    """Return a classifier of digits that is trained for a moment."""
    from convoi.data import load_dataset
    from convoi.estimators import ImageClassifier

    classifier = ImageClassifier(epochs=6, random_state=0, threads=1)
    return classifier.fit_dataset(load_dataset("digits").train)


@pytest.fixture(scope="session")
def recognizer(model):
    from convoi.explorer.recognition import Recognizer

    return Recognizer(model, "digits")


@pytest.fixture(scope="session")
def client(recognizer):
    """Return a client of the application, which stands for the page."""
    from convoi.explorer.app import create_app

    app = create_app(recognizer, PORT)
    address = f"http://127.0.0.1:{PORT}"
    with TestClient(app, address, raise_server_exceptions=False) as opened:
        yield opened


@dataclass
class Server:
    """A server of the explorer."""

    port: int

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"


@pytest.fixture(scope="session")
def server(recognizer):
    """Return a server that runs in a thread as long as the tests."""
    from convoi.explorer import open_listener
    from convoi.explorer.app import create_app
    from convoi.explorer.serving import make_server

    ready = threading.Event()
    with open_listener() as listener:
        port = listener.getsockname()[1]
        made = make_server(create_app(recognizer, port), ready.set)
        thread = threading.Thread(target=made.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(timeout=60)
        yield Server(port)
        made.should_exit = True
        thread.join(timeout=60)
        assert not thread.is_alive()
