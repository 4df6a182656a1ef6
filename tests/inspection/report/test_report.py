"""Reports: what stands in the file, and that it loads nothing."""

from __future__ import annotations

import itertools
import re
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest

from convoi import Network, inspection, nn
from convoi.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    MissingDependencyError,
    ShapeError,
)
from convoi.training import EpochRecord, History
from tests.inspection.networks import samples, small

VOID = {"meta", "link", "img", "br", "hr", "input"}
HOSTILE = ['<script>alert("1")</script>', "b & 'c' \"d\"", "{{ 7 * 7 }}"]
SECTIONS = {
    "data": "Data",
    "architecture": "Architecture",
    "training": "Training",
    "predictions": "Predictions",
    "kernels": "Kernels",
    "maps": "Feature maps",
    "units": "What units look at",
    "attention": "Where predictions come from",
    "equivariance": "Equivariance",
    "calibration": "Calibration",
}
HISTORY = History(
    tuple(
        EpochRecord(n, {"loss": 1 / n, "accuracy": 0.5, "validation_loss": 2 / n}, 0.1, 1.0)
        for n in (1, 2, 3)
    ),
    monitor="validation_loss",
    reason="epochs",
)


class Page(HTMLParser):
    """Reads a page, and fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def written(shape=(1, 9, 8), n=12, **options):
    network, X = small(shape, dtype="float32"), samples(n, shape)
    return inspection.report(network, X, np.arange(n) % 3, **options)


@pytest.fixture(scope="module", params=[(1, 9, 8), (2, 20)], ids=["images", "series"])
def html(request):
    return written(request.param, classes=HOSTILE, history=HISTORY, title=HOSTILE[0])


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_section_is_there_and_in_the_contents(page):
    assert [a["id"] for a in page.all("section")] == list(SECTIONS)
    links = [a["href"] for a in page.all("a") if a.get("class") != "skip"]
    assert links == [f"#{anchor}" for anchor in SECTIONS]
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    for title in SECTIONS.values():
        assert title in page.text


def test_nothing_is_loaded_from_elsewhere(html, page):
    sources = [attrs["src"] for attrs in page.all("img")]
    assert len(sources) > 20
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", source) for source in sources)
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"} == set()
    plain = re.sub(r"data:[^\"]*", "", html)
    assert not re.search(r"https?:|url\(|@import|//", plain)


def test_drawings_load_nothing_either(page):
    drawings = [a["src"] for a in page.all("img") if a["src"].startswith("data:image/svg")]
    for source in drawings:
        text = b64decode(source.partition(",")[2]).decode()
        # Names of vocabularies, which nobody fetches, are the only addresses.
        text = re.sub(r'xmlns(:\w+)?="[^"]*"|rdf:resource="[^"]*"', "", text)
        text = re.sub(r"url\(#\w+\)|href=\"(#\w+|data:image/png[^\"]*)\"", "", text)
        assert not re.search(r"href=|url\(|<script|@import", text)
        assert "prefers-color-scheme:dark" in text


def test_every_picture_has_words_and_a_size(page):
    for attrs in page.all("img"):
        assert len(attrs["alt"]) > 5
        assert int(attrs["width"]) > 0
        assert int(attrs["height"]) > 0


def test_names_are_text_and_never_markup(html, page):
    assert "<script" not in html
    assert "onerror" not in html
    for name in HOSTILE:
        assert name in page.text
    alternatives = " ".join(attrs["alt"] for attrs in page.all("img"))
    assert all(name in alternatives for name in HOSTILE)


def test_the_page_is_made_for_phones_and_for_both_schemes(html, page):
    metas = {attrs.get("name"): attrs.get("content") for attrs in page.all("meta")}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    assert "prefers-color-scheme: dark" in html
    assert page.all("html") == [{"lang": "en"}]
    scrolled = [attrs for attrs in page.all("div") if attrs.get("class") == "scroll"]
    assert len(scrolled) == len(page.all("table"))
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in scrolled)


def test_headings_have_no_gaps(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_figures_are_those_of_the_predictions(page):
    network, X = small(dtype="float32"), samples(12)
    if "1x9x8" not in page.text:
        network, X = small((2, 20), dtype="float32"), samples(12, (2, 20))
    predicted, y = network(X).argmax(axis=1), np.arange(12) % 3
    assert f"{(predicted == y).sum()} of 12 samples are recognised" in page.text
    logits = network(X).astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = inspection.calibration(p, y).expected_error
    assert f"The expected calibration error is {error:.4f}" in page.text
    assert "The best validation loss was 0.6667, in epoch 3" in page.text


def test_the_same_report_is_the_same_file(html, page, tmp_path):
    if "1x9x8" not in page.text:
        pytest.skip("one of them will do")
    file = tmp_path / "again.html"
    again = written(classes=HOSTILE, history=HISTORY, title=HOSTILE[0], path=file)
    assert again == html
    assert file.read_text(encoding="utf-8") == html


def test_values_have_errors_instead_of_confusion():
    network, X = small(outputs=2), samples(12)
    y = np.random.default_rng(0).normal(size=(12, 2))
    page = Page(inspection.report(network, X, y, predictions=y + 0.5))
    assert "Mean absolute error" in page.text
    assert "0.5" in page.text
    assert "calibration" not in [attrs["id"] for attrs in page.all("section")]


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        (nn.Sequential(nn.Dense(3), nn.ReLU(), nn.Dense(2)), (5,)),
        (nn.Sequential(nn.Flatten(), nn.Dense(2)), (1, 4, 4)),
        (nn.Sequential(nn.Conv(2, 1), nn.GlobalAveragePool(), nn.Softmax()), (2, 1, 1)),
        (nn.Sequential(nn.Conv(2, 2), nn.GlobalMaxPool()), (1, 3, 3, 3)),
    ],
    ids=["flat", "dense", "one pixel", "volumes"],
)
def test_networks_without_convolutions_or_pictures_have_reports_too(layers, shape):
    network = Network(layers, shape, random_state=0)
    page = Page(inspection.report(network, samples(1, shape), [1]))
    assert "Architecture" in page.text


def test_many_classes_have_short_tables():
    layers = nn.Sequential(nn.Flatten(), nn.Dense(60))
    network = Network(layers, (1, 3, 3), random_state=0)
    page = Page(inspection.report(network, samples(70, (1, 3, 3)), np.arange(70) % 60))
    assert "The 50 largest of 60 classes" in page.text
    assert "The 60 classes are too many for a table of all pairs" in page.text


def test_refuses_what_cannot_be_reported_on():
    network, X = small(), samples()
    y = np.zeros(6, int)
    with pytest.raises(ArgumentError, match=r"must name the 3 outputs .* Got 2 names instead"):
        inspection.report(network, X, y, classes=["a", "b"])
    with pytest.raises(ArgumentError, match=r"class numbers, integers of shape .* from 0 to 2"):
        inspection.report(network, X, y + 3)
    with pytest.raises(ShapeError, match="a number for each of the 6 samples"):
        inspection.report(network, X, y[:2])
    with pytest.raises(ShapeError, match=r"'predictions' .* must have the shape \(6, 3\)"):
        inspection.report(network, X, y * 1.0, predictions=np.zeros((6, 2)))
    with pytest.raises(DataError, match="'y' parameter of report has NaN"):
        inspection.report(network, X, np.full((6, 3), np.nan))
    with pytest.raises(DataError, match="outputs are NaN or infinite"):
        inspection.report(network, X * np.nan, y)
    with pytest.raises(DataError, match="report needs at least one sample"):
        inspection.report(network, X[:0], y[:0])
    with pytest.raises(ArgumentTypeError, match="'history' parameter"):
        inspection.report(network, X, y, history={"loss": [1.0]})


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_says_what_to_install(package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"{package}.*pip install 'convoi\[plot\]'"):
        inspection.report(small(), samples(), np.zeros(6, int))
