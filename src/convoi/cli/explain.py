"""``convoi explain``: which kernels compute a network, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from convoi.cli.networks import FileOrName, InputShape, Outputs, open_network
from convoi.cli.options import AsJson, examples
from convoi.cli.output import print_json, print_record

EXAMPLES = examples(
    "convoi explain model.safetensors",
    "convoi explain resnet --input-shape 3x32x32 --training",
)


def explain(
    model: FileOrName,
    *,
    input_shape: InputShape = None,
    outputs: Outputs = 10,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Samples of the batch that threads share.")
    ] = 128,
    training: Annotated[
        bool, typer.Option("--training", help="Explain a step of training, not predictions.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which kernel computes each layer of a network, in which tiles, and why."""
    network = open_network(model, input_shape, outputs)
    found = network.explain(show=False, training=training, batch_size=batch_size)
    if as_json:
        print_json(found.as_dict())
        return
    print_record(found)
