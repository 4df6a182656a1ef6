"""``convoi tune``: measure which kernels compute a network quickest on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from convoi.cli.options import NETWORKS, AsJson, examples, parse_sizes
from convoi.cli.output import print_json, print_lines, print_table
from convoi.cli.summary import open_network

EXAMPLES = examples(
    "convoi tune model.safetensors",
    "convoi tune resnet --input-shape 3x32x32 --training",
    "convoi tune --clear",
)


def tune(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|NETWORK",
            help=f"A model file, or the name of a network: {NETWORKS}.",
            show_default=False,
        ),
    ] = None,
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
    training: Annotated[
        bool, typer.Option("--training", help="Measure the gradients of inputs, too.")
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete what was measured on this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure which kernels compute a network quickest on this machine, and keep the winners.

    Networks that are compiled from then on use them, wherever they have such layers. Without the
    file a cost model chooses, as with CONVOI_TUNE=off. Measure on an idle machine.
    """
    from convoi.compiler.tuned import clear_choices, store_choices, tuning_file
    from convoi.compiler.tuning import tune as measure

    file = tuning_file()
    if clear:
        count = clear_choices()
        if as_json:
            print_json({"file": file, "deleted": count})
        else:
            print_lines(f"Deleted {count} measured choices.")
        return
    if model is None:
        raise typer.BadParameter(
            "Give a model file or the name of a network, or --clear.", param_hint="MODEL|NETWORK"
        )
    shape = parse_sizes(input_shape, counts=(1, 2, 3, 4), example="3x32x32")
    network = open_network(model, shape, outputs)
    found = list(measure(network.graph, network.dtype.name, training=training))
    file = store_choices({each.signature: each.best for each in found})
    if as_json:
        rows = [{**vars(each), "gain": each.gain} for each in found]
        print_json({"file": file, "layers": rows})
        return
    print_table(
        ("layer", "pass", "cost model", "measured", "us", "gain"),
        [
            (
                each.layer,
                each.part,
                each.model,
                each.best,
                f"{1e6 * each.seconds[each.best]:.1f}",
                f"{each.gain:.2f}",
            )
            for each in found
        ],
        left=4,
    )
    kept = "CONVOI_CACHE_DIR is 'off': nothing is kept." if file is None else f"Kept in {file}"
    print_lines(
        "",
        "us: per sample, on one thread. gain: how many times as quick as the model's choice.",
        kept,
    )
