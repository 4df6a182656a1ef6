"""``convoi summary``: what a network consists of and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convoi.cli.options import NETWORKS, AsJson, examples, parse_sizes
from convoi.cli.output import print_json, print_record

if TYPE_CHECKING:
    from convoi.nn import Network

EXAMPLES = examples(
    "convoi summary model.safetensors",
    "convoi summary resnet --input-shape 3x32x32 --outputs 100",
    "convoi summary model.safetensors --measure --batch-size 1",
)


def summary(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|NETWORK",
            help=f"A model file, or the name of a network: {NETWORKS}.",
            show_default=False,
        ),
    ],
    *,
    input_shape: Annotated[
        str | None,
        typer.Option(
            help="Shape of a sample, channels first, such as 3x32x32; for names of networks.",
            metavar="CxHxW",
            show_default=False,
        ),
    ] = None,
    outputs: Annotated[
        int, typer.Option(min=1, help="Number of classes; for names of networks.")
    ] = 10,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Samples of the batch whose memory is planned.")
    ] = 128,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Also measure the time of each layer, on one thread."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the layers of a network, what they see of its input, and what they cost."""
    shape = parse_sizes(input_shape, counts=(1, 2, 3, 4), example="3x32x32")
    network = open_network(model, shape, outputs)
    records = network.summary(show=False, batch_size=batch_size, measure=measure)
    if as_json:
        shapes = {"input_shape": network.input_shape, "output_shape": network.output_shape}
        print_json({**shapes, "trainable_parameters": records.trainable, **records.as_dict()})
        return
    print_record(
        records, f"Input {_shape(network.input_shape)}, output {_shape(network.output_shape)}"
    )


def open_network(model: str, shape: tuple[int, ...] | None, outputs: int) -> Network:
    """Return the network of a file, or the one with a name."""
    from convoi.nn import Network, load, networks

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


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
