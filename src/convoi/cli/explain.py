"""``convoi explain``: which kernels compute a network, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from convoi.cli.options import NETWORKS, AsJson, examples, parse_sizes
from convoi.cli.output import print_json, print_record
from convoi.cli.summary import open_network

EXAMPLES = examples(
    "convoi explain model.safetensors",
    "convoi explain resnet --input-shape 3x32x32 --training",
)


def explain(
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
        int, typer.Option(min=1, help="Samples of the batch that threads share.")
    ] = 128,
    training: Annotated[
        bool, typer.Option("--training", help="Explain a step of training, not predictions.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which kernel computes each layer of a network, in which tiles, and why."""
    shape = parse_sizes(input_shape, counts=(1, 2, 3, 4), example="3x32x32")
    network = open_network(model, shape, outputs)
    found = network.explain(show=False, training=training, batch_size=batch_size)
    if as_json:
        print_json(found.as_dict())
        return
    print_record(found)
