"""``convoi predict``: what a model makes of images or series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoi.cli.options import (
    ArrayLayout,
    AsJson,
    Exactness,
    Layout,
    ModelFile,
    Precision,
    Threads,
    examples,
)
from convoi.cli.output import print_json, print_table
from convoi.errors import DataError, DataFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.cli.samples import Classifier, ImageModel, Model, Regressor
    from convoi.data import Dataset

EXAMPLES = examples(
    "convoi predict photos.safetensors cat.jpg dog.jpg",
    "convoi predict photos.safetensors holiday/ --top 3 --json",
    "convoi predict photos.safetensors arrays.npz",
    "convoi predict gunpoint.safetensors new_series.ts",
)

_AT_A_TIME = 64  # image files that are decoded into one array


def predict(
    model: ModelFile,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Images, folders of images, .npz files with an array X, .ts or .csv files of "
            "series, or other sources.",
            show_default=False,
        ),
    ],
    *,
    top: Annotated[int, typer.Option(min=1, help="Number of labels to show for each sample.")] = 1,
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="The values that stood for black and white in the training set, if the model "
            "does not say.",
            metavar="BLACK WHITE",
            show_default=False,
        ),
    ] = None,
    layout: ArrayLayout = Layout.auto,
    threads: Threads = None,
    precision: Exactness = Precision.default,
    as_json: AsJson = False,
) -> None:
    """Predict the labels, or values, of images or series.

    Images are brought to the size that the model was trained with. A classifier of features tells
    distances to the planes between the classes, no probabilities. What cannot be read is
    reported, and the exit status is then 1; the others are predicted all the same.
    """
    from dataclasses import replace

    from convoi.cli.samples import classifies, load_model, takes_series

    estimator = load_model(model, threads=threads, precision=precision.value)
    if value_range is not None:
        if takes_series(estimator):
            raise typer.BadParameter("The model takes series.", param_hint="--value-range")
        estimator.pixel_format_ = replace(estimator.pixel_format_, value_range=value_range)
    records: list[dict[str, Any]] = []
    failed = False
    for names, outcome in _opened(estimator, files, layout):
        if isinstance(outcome, DataError):
            failed = True
            typer.echo(f"convoi: {outcome}", err=True)
        elif classifies(estimator):
            records += _labels(estimator, names, outcome, top)
        else:
            records += _values(estimator, names, outcome)
    if as_json:
        print_json(records)
    elif classifies(estimator):
        _print_labels(records)
    else:
        print_table(("File", "Value"), [(r["file"], _joined(r["value"])) for r in records])
    if failed:
        raise typer.Exit(1)


def _opened(
    model: Model, files: list[str], layout: Layout
) -> Iterator[tuple[list[str], Dataset | DataError]]:
    """Iterate over names of samples and the samples, or the error that they gave."""
    from convoi.cli.samples import takes_series
    from convoi.data.decoding import SUFFIXES

    if takes_series(model):
        yield from (_source(model, file, layout) for file in files)
        return
    images: list[str] = []
    for file in files:
        if Path(file).suffix.lower() in SUFFIXES:
            images.append(file)
            if len(images) < _AT_A_TIME:
                continue
        if images:
            yield from _read(model, images)
            images = []
        if Path(file).suffix.lower() not in SUFFIXES:
            yield _source(model, file, layout)
    if images:
        yield from _read(model, images)


def _read(model: ImageModel, files: list[str]) -> Iterator[tuple[list[str], Dataset | DataError]]:
    """Decode images; each that cannot be read gives an error of its own."""
    import numpy as np

    from convoi.cli.samples import image_form
    from convoi.data import Dataset, read_images

    channels, size = image_form(model)
    _check_pixels(model, channels)
    fit = model.pixel_format_.fit
    names, images = [], []
    for file in files:
        try:
            images.append(read_images([file], image_size=size, channels=channels, fit=fit))
            names.append(file)
        except DataFileError as error:  # noqa: PERF203 - one bad file must not end the loop
            yield [file], error
    if images:
        yield names, Dataset("images", np.concatenate(images), value_range=(0.0, 255.0))


def _check_pixels(model: ImageModel, channels: int) -> None:
    if channels not in {1, 3}:
        raise DataError(
            f"The model takes images of {channels} channels, and image files have 1 or 3. Store "
            "the samples in an .npz file."
        )
    if model.pixel_format_.value_range is None:
        raise DataError(
            "The model does not say which values stood for black and white in its training set. "
            "Give them with --value-range, such as --value-range 0 1."
        )


def _source(model: Model, source: str, layout: Layout) -> tuple[list[str], Dataset | DataError]:
    import numpy as np

    from convoi.cli.samples import open_for_model
    from convoi.data import ImageFiles, Subset

    try:
        dataset = open_for_model(model, source, labelled=False, layout=layout.value)
    except DataError as error:
        return [source], error
    if dataset.is_series:
        return [f"{source}[{index}]" for index in range(len(dataset))], dataset
    indices, samples = np.arange(len(dataset)), dataset.source
    while isinstance(samples, Subset):
        indices, samples = samples.indices[indices], samples.source
    if isinstance(samples, ImageFiles):
        return [str(samples.files[index]) for index in indices], dataset
    return [f"{source}[{index}]" for index in range(len(dataset))], dataset


def _labels(
    model: Classifier, names: list[str], dataset: Dataset, top: int
) -> list[dict[str, Any]]:
    from convoi.cli.samples import class_scores, model_input, uses_features

    scores = class_scores(model, model_input(dataset))
    name_of_score = "distance" if uses_features(model) else "probability"
    best = (-scores).argsort(axis=1, kind="stable")[:, :top]
    labels = model.classes_.tolist()
    records = []
    for name, row, order in zip(names, scores, best, strict=True):
        ranked = [{"label": labels[k], name_of_score: float(row[k])} for k in order]
        records.append({"file": name, **ranked[0], "top": ranked})
    return records


def _values(model: Regressor, names: list[str], dataset: Dataset) -> list[dict[str, Any]]:
    from convoi.cli.samples import model_input

    values = model.predict(model_input(dataset)).tolist()
    return [{"file": name, "value": value} for name, value in zip(names, values, strict=True)]


def _print_labels(records: list[dict[str, Any]]) -> None:
    shown = max((len(record["top"]) for record in records), default=1)
    score = "distance" if any("distance" in record for record in records) else "probability"
    headers = ["File", "Label", score.capitalize()]
    for rank in range(2, shown + 1):
        headers += [f"Label {rank}", score.capitalize()]
    rows = [
        [record["file"], *(x for r in record["top"] for x in (str(r["label"]), r[score]))]
        for record in records
    ]
    print_table(headers, rows)


def _joined(value: float | list[float]) -> str:
    return " ".join(f"{number:.6g}" for number in (value if isinstance(value, list) else [value]))
