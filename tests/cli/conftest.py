from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from convoi.cli import main


@dataclass
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def convoi(monkeypatch, capsys):
    """Return a function that runs the command with arguments."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["convoi", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Result(ended.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Return a folder with folders of images of 8x8, in which a bar lies or stands."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("lying", "standing"):
        (folder / name).mkdir()
        for number in range(16):
            pixels = rng.integers(0, 60, (8, 8), dtype=np.uint8)
            place = slice(number % 7, number % 7 + 2)
            pixels[(place, slice(None)) if name == "lying" else (slice(None), place)] += 180
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def values(tmp_path_factory):
    """Return an .npz file of images and how bright each is."""
    file = tmp_path_factory.mktemp("values") / "bright.npz"
    rng = np.random.default_rng(0)
    y = rng.uniform(size=40)
    np.savez(file, X=rng.uniform(size=(40, 5, 5)) * y[:, np.newaxis, np.newaxis], y=y)
    return file


def trained(source, tmp_path_factory, epochs):
    from convoi.data import open_source
    from convoi.estimators import ImageClassifier, ImageRegressor
    from tests.estimators.examples import tiny

    dataset = open_source(source).train
    cls = ImageRegressor if dataset.classes is None else ImageClassifier
    estimator = cls(tiny, epochs=epochs, batch_size=8, learning_rate=0.02, random_state=0)
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    estimator.fit_dataset(dataset).save(file)
    return file


@pytest.fixture(scope="session")
def model(photos, tmp_path_factory):
    """Return a model file for the photos."""
    return trained(photos, tmp_path_factory, epochs=20)


@pytest.fixture(scope="session")
def regression_model(values, tmp_path_factory):
    """Return a model file for the values."""
    return trained(values, tmp_path_factory, epochs=5)
