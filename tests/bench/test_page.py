"""The page of results: one file that loads nothing, whatever the results are."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from bench.page import write_page

MACHINE = {"cpu": "Some <CPU>", "llvm_cpu": "some", "usable_cores": 2, "cores": 4, "convoi": "1"}
OPTIONS = {"threads": 2, "quick": False, "networks": ["A & B", "C"]}
SIDE = {"side": "PyTorch", "setting": "eager", "seconds": 0.03, "ratio": 3.0}
RESULTS = {
    "training": [
        {"network": "A & B", "samples": 64, "convoi": {"seconds": 0.01}, "peers": [SIDE]},
    ],
    "scaling": [
        {
            "axis": "batch", "value": value, "side": side, "setting": "x", "samples": value,
            "threads": 2, "seconds": 0.001 * value, "memory": value << 20,
            "seconds_per_sample": 0.001,
        }
        for value in (64, 128)
        for side in ("Convoi", "PyTorch")
    ],
    "roofline": [
        {
            "network": "A", "mode": "training", "layer": str(number), "kernel": "Correlate",
            "seconds": 1e-5, "operations": operations, "bytes": 1e4, "gflops": operations / 1e4,
            "intensity": operations / 1e4, "of_peak": 0.9, "of_bandwidth": 0.5,
            "peak_gflops": 120.0, "bandwidth_gbytes": 10.0,
        }
        for number, operations in enumerate((10**6, 10**5, 0))
    ],
    "accuracy": [{"side": "Convoi", "seed": 0, "accuracy": 0.92, "seconds": 3.0}],
    "startup": [],
}  # fmt: skip


class Page(HTMLParser):
    """Collects tags and what they would load, and checks that they are closed in order."""

    void = ("meta",)

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loaded, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        del attrs
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path):
    for measure, results in RESULTS.items():
        content = {"measure": measure, "machine": MACHINE, "options": OPTIONS, "results": results}
        (tmp_path / f"{measure}.json").write_text(json.dumps(content))
    parsed = Page()
    parsed.feed(write_page(tmp_path).read_text("utf-8"))
    assert parsed.open == []
    return parsed


def test_the_page_loads_nothing(page):
    assert page.loaded == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)


def test_each_measure_has_its_command_and_the_machine(page):
    for measure in RESULTS:
        command = f"python -m bench {measure} --threads 2 --networks 'A & B,C'"
        assert command in page.text
    assert page.text.count("Some <CPU>") == len(RESULTS)


def test_figures_are_in_tables_and_pictures(page):
    assert "A & B" in page.text
    assert "PyTorch 30 (3.00x)" in page.text
    assert page.tags.count("svg") == 1 + 2 + 1
    assert "µs per sample" in page.text
    # A kernel without products has no place below the roofs.
    assert page.tags.count("title") == 1 + 2


@pytest.mark.usefixtures("page")
def test_it_is_readable_on_a_phone_and_in_the_dark(tmp_path):
    text = (tmp_path / "benchmarks.html").read_text("utf-8")
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_without_results_there_is_no_page(tmp_path):
    with pytest.raises(FileNotFoundError, match="run a measure first"):
        write_page(tmp_path)
