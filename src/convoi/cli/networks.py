"""The network that a command looks at: that of a file, or one with a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convoi.cli.options import NETWORKS, parse_sizes

if TYPE_CHECKING:
    from convoi.nn import Network

_MODEL = typer.Argument(
    metavar="MODEL|NETWORK",
    help=f"A model file, or the name of a network: {NETWORKS}.",
    show_default=False,
)
FileOrName = Annotated[str, _MODEL]
FileOrNameIfAny = Annotated[str | None, _MODEL]
InputShape = Annotated[
    str | None,
    typer.Option(
        help="Shape of a sample, channels first, such as 3x32x32; for names of networks.",
        metavar="CxHxW",
        show_default=False,
    ),
]
Outputs = Annotated[int, typer.Option(min=1, help="Number of classes; for names of networks.")]


def open_network(model: str, input_shape: str | None, outputs: int) -> Network:
    """Return the network of a file, or the one with a name.

    Raises
    ------
    typer.BadParameter
        If there is neither, or the shape of a sample is missing or none.
    """
    from convoi.nn import Network, load, networks

    shape = parse_sizes(input_shape, counts=(1, 2, 3, 4), example="3x32x32")
    names = [name for name in networks.NETWORKS if name != "auto"]
    if model not in names or Path(model).exists():
        if not Path(model).exists():
            raise typer.BadParameter(
                f"{model!r} is neither a file nor one of the networks {', '.join(names)}.",
                param_hint="MODEL|NETWORK",
            )
        return load(model)
    if shape is None:
        raise typer.BadParameter(
            "The name of a network needs the shape of a sample, such as 3x32x32.",
            param_hint="--input-shape",
        )
    return Network(networks.by_name(model, classes=outputs), input_shape=shape, random_state=0)
