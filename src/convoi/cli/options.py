"""Arguments that several commands have in common."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

NETWORKS = "lenet5, two_conv, vgg, resnet, mobilenet, fcn, resnet_1d, inception_time, lite, tcn"
"""The names of networks, which are written out so that ``--help`` need not import them."""

SOURCE_HELP = (
    "A named data set (digits, fashion-mnist), a folder with one folder of images per class, an "
    ".npz file, IDX files, or series in a .ts or .csv file."
)


class Task(str, Enum):
    """What labels are."""

    auto = "auto"
    classification = "classification"
    regression = "regression"


class Augmentation(str, Enum):
    """Augmentations by name."""

    auto = "auto"
    light = "light"
    natural = "natural"
    strong = "strong"
    none = "none"


class Layout(str, Enum):
    """How the axes of stored arrays are meant."""

    auto = "auto"
    no_channels = "no_channels"
    channels_first = "channels_first"
    channels_last = "channels_last"


class Missing(str, Enum):
    """What is done about missing values of series."""

    error = "error"
    mask = "mask"


class Kind(str, Enum):
    """What is trained."""

    network = "network"
    minirocket = "minirocket"
    rocket = "rocket"


class Precision(str, Enum):
    """How exactly convolutions are computed."""

    default = "default"
    high = "high"


Source = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP, show_default=False)]
ModelFile = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A file that 'convoi train' wrote.", show_default=False),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the named data sets.", metavar="FOLDER", show_default=False),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Number of threads; by default all processors.", show_default=False),
]
Exactness = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="How exactly convolutions are computed; high is slower and has smaller errors.",
    ),
]
ArrayLayout = Annotated[Layout, typer.Option(help="Meaning of the axes of stored arrays.")]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def parse_sizes(
    text: str | None, *, counts: tuple[int, ...], example: str
) -> tuple[int, ...] | None:
    """Return numbers like ``3x32x32`` (or with commas) of an option.

    Parameters
    ----------
    text : str or None
        What was given.
    counts : tuple of int
        How many numbers there may be.
    example : str
        For the message of the error.

    Raises
    ------
    typer.BadParameter
        If the text is something else.
    """
    if text is None:
        return None
    parts = re.split(r"[x,]", text.strip().strip("()").replace(" ", ""))
    if len(parts) not in counts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r} is no size like {example}.")
    return tuple(int(part) for part in parts)


def check_network(name: str) -> str:
    """Return the name of a network, or raise typer.BadParameter."""
    names = ("auto", *NETWORKS.split(", "))
    if name not in names:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(names)}.")
    return name


def check_writable(file: Path, option: str) -> None:
    """Raise before the work is done what would otherwise be found out after it."""
    if file.is_dir() or not file.resolve().parent.is_dir():
        raise typer.BadParameter(
            f"{str(file)!r} must be a file in a folder that exists.", param_hint=option
        )


def examples(*commands: str) -> str:
    """Return the end of a help text, with a line for each command."""
    return "\n\n".join(("Examples:", *commands))
