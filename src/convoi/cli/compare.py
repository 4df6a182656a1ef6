"""``convoi compare``: what local connections, shared weights and pooling buy on data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoi.cli.options import (
    NETWORKS,
    ArrayLayout,
    AsJson,
    DataDir,
    Layout,
    SkipUnreadable,
    Source,
    Threads,
    examples,
    parse_sizes,
)
from convoi.cli.output import print_json, print_record

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from convoi.data import Dataset, DatasetSplits
    from convoi.nn import Sequential

EXAMPLES = examples(
    "convoi compare digits",
    "convoi compare digits --margin 2",
    "convoi compare fashion-mnist --samples 10000 --epochs 10",
    "convoi compare photos/ --image-size 32 --kinds local,convolutional --json",
)
KINDS = "dense, local, tiled, convolutional"
"""Written out so that ``--help`` need not import them."""


def compare(
    source: Source,
    *,
    kinds: Annotated[
        str, typer.Option(help=f"Which members to train: some of {KINDS}.", metavar="KIND,...")
    ] = KINDS.replace(" ", ""),
    network: Annotated[
        str | None,
        typer.Option(
            help=f"The topology, {NETWORKS}; by default a small one like LeNet-5.",
            show_default=False,
        ),
    ] = None,
    tile: Annotated[
        int, typer.Option(min=1, help="Positions after which tiled weights repeat.")
    ] = 2,
    margin: Annotated[
        int,
        typer.Option(
            min=0,
            help="Move each sample at random by at most so many pixels, in a frame that is as "
            "much larger on each side.",
        ),
    ] = 0,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Random part of the training samples to use.", show_default=False),
    ] = None,
    fractions: Annotated[
        str, typer.Option(help="Parts of the training samples to draw the learning curve with.")
    ] = "0.1,0.25,0.5,1",
    epochs: Annotated[int, typer.Option(min=1, help="How often each sample is used.")] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="The learning rate at the start.")] = 0.01,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same figures.")
    ] = 0,
    image_size: Annotated[
        str | None,
        typer.Option(
            help="Size that image files are brought to, such as 32 or 24x32.",
            metavar="HEIGHTxWIDTH",
            show_default=False,
        ),
    ] = None,
    layout: ArrayLayout = Layout.auto,
    skip_unreadable: SkipUnreadable = False,
    data_dir: DataDir = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Train the dense, local, tiled and convolutional versions of a network on SOURCE.

    All have outputs of the same shapes and the same budget. Shown are accuracies and learning
    curves, what each costs, and what each idea saves. If SOURCE has a test set, accuracies are
    measured on it; else on a quarter that is set aside.
    """
    from convoi.data import open_source
    from convoi.inspection import compare as run

    sizes = parse_sizes(image_size, counts=(1, 2), example="32 or 24x32")
    splits = open_source(
        source,
        data_dir=data_dir,
        layout=layout.value,
        task="classification",
        image_size=sizes[0] if sizes is not None and len(sizes) == 1 else sizes,
        on_error="skip" if skip_unreadable else "raise",
    )
    names: Any = tuple(part.strip() for part in kinds.split(","))  # compare checks them
    X, y = _arrays(_part(splits.train, samples, seed))
    found = run(
        X,
        y,
        layers=_topology(network),
        kinds=names,
        tile=tile,
        test_data=_test_data(splits),
        margin=margin,
        fractions=_numbers(fractions),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        random_state=seed,
        threads=threads,
        report=_progress if sys.stderr.isatty() else None,
    )
    if as_json:
        print_json({"source": source, "seed": seed, **found.as_dict()})
    else:
        print_record(found)


def _part(dataset: Dataset, samples: int | None, seed: int) -> Dataset:
    import numpy as np

    if samples is None or samples >= len(dataset):
        return dataset
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:samples]
    return dataset.subset(np.sort(chosen))


def _arrays(dataset: Dataset) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    from convoi.errors import DataError

    if dataset.y is None:
        raise DataError(f"compare needs classes, and {dataset.name!r} has no labels.")
    return dataset.source.take(range(len(dataset))), dataset.y


def _test_data(splits: DatasetSplits) -> Any:  # noqa: ANN401 - arrays, or None
    return None if splits.test is None else _arrays(splits.test)


def _topology(name: str | None) -> Callable[[int], Sequential] | None:
    from convoi.nn import networks

    if name is None:
        return None
    known = [each for each in networks.NETWORKS if each != "auto"]
    if name not in known:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}.", param_hint="--network")
    return lambda classes: networks.by_name(name, classes=classes)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no list of numbers like 0.1,1.", param_hint="--fractions"
        ) from None


def _progress(line: str) -> None:
    print(f"convoi: {line}", file=sys.stderr)  # noqa: T201 - for the user
