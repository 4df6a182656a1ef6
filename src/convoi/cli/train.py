"""``convoi train``: from data to a model file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convoi.cli.options import (
    NETWORKS,
    ArrayLayout,
    AsJson,
    Augmentation,
    DataDir,
    Exactness,
    Kind,
    Layout,
    Missing,
    Precision,
    SkipUnreadable,
    Source,
    Task,
    Threads,
    check_network,
    check_writable,
    examples,
    parse_sizes,
)
from convoi.cli.output import print_json, print_lines
from convoi.cli.train_features import described_features, train_features

if TYPE_CHECKING:
    from convoi.cli.samples import NetworkModel
    from convoi.data import Dataset, DatasetSplits

EXAMPLES = examples(
    "convoi train digits",
    "convoi train photos/ --image-size 64 --validation 0.1 --output photos.safetensors",
    "convoi train fashion-mnist --checkpoint run.checkpoint --resume",
    "convoi train GunPoint_TRAIN.ts --test GunPoint_TEST.ts",
    "convoi train GunPoint_TRAIN.ts --model minirocket",
)


def train(
    source: Source,
    *,
    model: Annotated[
        Kind,
        typer.Option(
            help="What is trained: a network; or, for series, a linear classifier of many features "
            "of random convolutions (minirocket, rocket), which has --seed and --threads only."
        ),
    ] = Kind.network,
    network: Annotated[
        str,
        typer.Option(
            help=f"{NETWORKS}; or auto, which chooses by the size of the samples and their number.",
            callback=check_network,
        ),
    ] = "auto",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How often each sample is used; by default it depends on the data.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Samples in a step; by default it depends on the data.", show_default=False
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="The largest learning rate; by default it depends on the data.",
            show_default=False,
        ),
    ] = None,
    augment: Annotated[
        Augmentation,
        typer.Option(
            help="Random changes of the images: shifts (light), also mirroring (natural), also "
            "cutting a box out (strong)."
        ),
    ] = Augmentation.auto,
    no_augment: Annotated[
        bool, typer.Option("--no-augment", help="The same as --augment none.")
    ] = False,
    test: Annotated[
        str | None,
        typer.Option(
            help="A source to measure the model on at the end, instead of the test set of SOURCE.",
            metavar="SOURCE",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The model file; an old one is replaced.")
    ] = Path("model.safetensors"),
    validation: Annotated[
        float | None,
        typer.Option(
            help="Part of the training set to measure on after each epoch, between 0 and 1.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same model.")
    ] = 0,
    threads: Threads = None,
    precision: Exactness = Precision.default,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File to save the run in after each epoch.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run that the checkpoint holds.")
    ] = False,
    task: Annotated[
        Task, typer.Option(help="What labels are; auto takes decimal numbers for values.")
    ] = Task.auto,
    image_size: Annotated[
        str | None,
        typer.Option(
            help="Size that image files are brought to, such as 64 or 48x64.",
            metavar="HEIGHTxWIDTH",
            show_default=False,
        ),
    ] = None,
    missing: Annotated[
        Missing,
        typer.Option(
            help="Missing values of series: refuse them, or tell the network where they are."
        ),
    ] = Missing.error,
    layout: ArrayLayout = Layout.auto,
    skip_unreadable: SkipUnreadable = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Train a network on images or series and write it to a model file.

    If SOURCE has a test set, the figures at the end are measured on it; nothing else uses it.
    """
    if resume and checkpoint is None:
        raise typer.BadParameter("Give the file with --checkpoint.", param_hint="--resume")
    sizes = parse_sizes(image_size, counts=(1, 2), example="64 or 48x64")
    check_writable(output, "--output")
    splits = _opened(
        source,
        test,
        data_dir=data_dir,
        layout=layout.value,
        task=task.value,
        image_size=sizes[0] if sizes is not None and len(sizes) == 1 else sizes,
        on_error="skip" if skip_unreadable else "raise",
    )
    if model is not Kind.network:
        given = {
            "--network": network != "auto",
            "--epochs": epochs is not None,
            "--batch-size": batch_size is not None,
            "--learning-rate": learning_rate is not None,
            "--augment": no_augment or augment is not Augmentation.auto,
            "--validation": validation is not None,
            "--precision": precision is not Precision.default,
            "--checkpoint": checkpoint is not None,
            "--missing": missing is not Missing.error,
        }
        options = [option for option, is_given in given.items() if is_given]
        record = train_features(splits, model, options, seed=seed, threads=threads, output=output)
        record |= {"source": source, "model": str(output), "seed": seed}
        if as_json:
            print_json(record)
        else:
            print_lines(*described_features(record))
        return
    _check_series(splits.train, checkpoint, missing)
    estimator = _estimator(
        splits.train,
        "mask" if missing is Missing.mask else "error",
        network=network,
        epochs="auto" if epochs is None else epochs,
        batch_size="auto" if batch_size is None else batch_size,
        learning_rate="auto" if learning_rate is None else learning_rate,
        augment=None if no_augment or augment is Augmentation.none else augment.value,
        validation_fraction=validation,
        random_state=seed,
        threads=threads,
        precision=precision.value,
        verbose="auto",
    )
    began = time.monotonic()
    try:
        _fit(estimator, splits.train, checkpoint=checkpoint, resume=resume)
    except KeyboardInterrupt:
        if checkpoint is not None and checkpoint.exists():
            hint = f"Resume with the same command and --checkpoint {checkpoint} --resume."
            typer.echo(f"convoi: the run is saved. {hint}", err=True)
        raise
    seconds = time.monotonic() - began
    estimator.save(output)
    report = _report(estimator, splits.train, splits.test)
    report |= {"source": source, "model": str(output), "seed": seed, "seconds": seconds}
    if as_json:
        print_json(report)
    else:
        print_lines(*_described(report))


def _opened(source: str, test: str | None, **options: Any) -> DatasetSplits:  # noqa: ANN401
    """Return the training set, and the test set that was asked for or stored with it."""
    from convoi.data import DatasetSplits, open_source

    splits = open_source(source, **options)
    if test is None:
        return splits
    classes = splits.train.classes
    kind = "regression" if classes is None else "classification"
    held_out = open_source(test, **{**options, "task": kind}, classes=classes).held_out
    return DatasetSplits(splits.train, held_out)


def _check_series(dataset: Dataset, checkpoint: Path | None, missing: Missing) -> None:
    """Raise for options that do not go with the samples."""
    if missing is Missing.mask and not dataset.is_series:
        raise typer.BadParameter("It is for series.", param_hint="--missing")
    unequal = dataset.is_series and isinstance(dataset.X, tuple)
    if unequal and checkpoint is not None:
        raise typer.BadParameter(
            "Runs on series of unequal lengths are not saved.", param_hint="--checkpoint"
        )


def _estimator(
    dataset: Dataset,
    missing: Literal["error", "mask"],
    **parameters: Any,  # noqa: ANN401 - the estimator's
) -> NetworkModel:
    from convoi.estimators import (
        ImageClassifier,
        ImageRegressor,
        SeriesClassifier,
        SeriesRegressor,
    )

    if dataset.is_series:
        kind = SeriesRegressor if dataset.classes is None else SeriesClassifier
        return kind(**parameters, missing=missing)
    cls = ImageRegressor if dataset.classes is None else ImageClassifier
    return cls(**parameters)


def _fit(
    estimator: NetworkModel, dataset: Dataset, *, checkpoint: Path | None, resume: bool
) -> None:
    labels = dataset.labels
    if isinstance(dataset.X, tuple) and labels is not None:
        estimator.fit(list(dataset.X), labels)
    else:
        estimator.fit_dataset(dataset, checkpoint=checkpoint, resume=resume)


def _report(estimator: NetworkModel, train: Dataset, test: Dataset | None) -> dict[str, Any]:
    history = estimator.history_
    last = history.epochs[-1].metrics if history.epochs else {}
    return {
        "task": "regression" if train.classes is None else "classification",
        "samples": len(train),
        "sample_shape": train.sample_shape,
        "classes": train.classes,
        "network": {
            "parameters": sum(p.size for p in estimator.network_.parameters.values()),
            "outputs": estimator.network_.output_shape[0],
        },
        "epochs": len(history),
        "training": {name: last[name] for name in last if not name.startswith("validation_")},
        "validation": {
            name.removeprefix("validation_"): last[name]
            for name in last
            if name.startswith("validation_")
        }
        or None,
        "test": None if test is None else _test_figures(estimator, test),
    }


def _test_figures(estimator: NetworkModel, test: Dataset) -> dict[str, Any]:
    from convoi.cli.figures import classification_figures, regression_figures
    from convoi.cli.samples import classifies

    if classifies(estimator):
        test = test.with_classes(estimator.classes_.tolist())
        figures = classification_figures(estimator, test)
        return {"samples": figures["samples"], "accuracy": figures["accuracy"]}
    figures = regression_figures(estimator, test)
    return {"samples": figures["samples"], "r2": figures["r2"]}


def _described(report: dict[str, Any]) -> list[str]:
    shape = "x".join(map(str, report["sample_shape"]))
    kind = f"{len(report['classes'])} classes" if report["classes"] else "values"
    lines = [
        (
            f"Trained on {report['samples']:,} samples of {shape}, {kind}: {report['epochs']} "
            f"epochs in {report['seconds']:.1f} s, {report['network']['parameters']:,} parameters"
        ),
    ]
    for part in ("training", "validation", "test"):
        figures = report[part]
        if figures:
            name = "accuracy" if "accuracy" in figures else "r2"
            text = f"{part.capitalize()} {'R2' if name == 'r2' else name} {figures[name]:.4f}"
            lines.append(text + (f" on {figures['samples']:,} samples" if part == "test" else ""))
    if report["test"] is None:
        lines.append("The source has no test set: nothing was measured on unseen samples.")
    lines.append(f"Model written to {report['model']}")
    return lines
