"""``convoi report``: what is in a model, as a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convoi.cli.options import (
    ArrayLayout,
    AsJson,
    DataDir,
    Layout,
    ModelFile,
    SkipUnreadable,
    Source,
    Threads,
    check_writable,
    examples,
)
from convoi.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from convoi.data import Dataset

EXAMPLES = examples(
    "convoi report model.safetensors digits",
    "convoi report photos.safetensors photos/ --output photos.html",
    "convoi report gunpoint.safetensors GunPoint_TEST.ts",
)

MOST_BYTES = 2**28
"""Memory of the samples that a report reads."""


def report(
    model: ModelFile,
    source: Source,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file; an old one is replaced.")
    ] = Path("report.html"),
    title: Annotated[
        str | None, typer.Option(help="Title of the report.", show_default=False)
    ] = None,
    layout: ArrayLayout = Layout.auto,
    skip_unreadable: SkipUnreadable = False,
    data_dir: DataDir = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Write a report on a model and its predictions as one HTML file.

    It shows the test set of SOURCE, or all of it if it has none: samples, the layers and their
    costs, training curves, errors, kernels and feature maps, what predictions come from, what
    shifts do to them, and calibration. Of series of unequal lengths, it is on those of the length
    that most have. The file loads nothing from elsewhere.
    """
    check_writable(output, "--output")
    from convoi.cli.samples import load_network_model, open_labelled
    from convoi.estimators.reporting import write_report

    estimator = load_network_model(model, "report", threads=threads)
    dataset = open_labelled(
        estimator, source, data_dir=data_dir, layout=layout, skip_unreadable=skip_unreadable
    )
    shown = _bounded(dataset)
    name = f"{model.name} on {Path(source).name}" if title is None else title
    count = write_report(estimator, shown, output, title=name)
    size = output.stat().st_size
    if as_json:
        print_json({"report": str(output), "samples": count, "bytes": size})
        return
    part = f"{count:,} of {len(dataset):,}" if count < len(dataset) else f"{count:,}"
    print_lines(f"Report on {part} samples written to {output}, {size / 1e6:.1f} MB")


def _bounded(dataset: Dataset) -> Dataset:
    """Return the data set, or random samples of it that fit into memory."""
    import numpy as np

    per_sample = int(np.prod(dataset.sample_shape)) * dataset.dtype.itemsize
    most = max(MOST_BYTES // per_sample, 1)
    if len(dataset) <= most:
        return dataset
    chosen = np.random.default_rng(0).choice(len(dataset), most, replace=False)
    return dataset.subset(np.sort(chosen))
