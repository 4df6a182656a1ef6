"""``convoi summary``: what a network consists of and what it costs."""

from __future__ import annotations

from typing import Annotated

import typer

from convoi.cli.networks import FileOrName, InputShape, Outputs, open_network
from convoi.cli.options import AsJson, examples
from convoi.cli.output import print_json, print_record

EXAMPLES = examples(
    "convoi summary model.safetensors",
    "convoi summary resnet --input-shape 3x32x32 --outputs 100",
    "convoi summary model.safetensors --measure --batch-size 1",
)


def summary(
    model: FileOrName,
    *,
    input_shape: InputShape = None,
    outputs: Outputs = 10,
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
    network = open_network(model, input_shape, outputs)
    records = network.summary(show=False, batch_size=batch_size, measure=measure)
    if as_json:
        shapes = {"input_shape": network.input_shape, "output_shape": network.output_shape}
        print_json({**shapes, "trainable_parameters": records.trainable, **records.as_dict()})
        return
    print_record(
        records, f"Input {_shape(network.input_shape)}, output {_shape(network.output_shape)}"
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
