"""``convoi tune``: measure which kernels compute a network quickest on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from convoi.cli.networks import FileOrNameIfAny, InputShape, Outputs, open_network
from convoi.cli.options import AsJson, examples
from convoi.cli.output import print_json, print_lines, print_table

EXAMPLES = examples(
    "convoi tune model.safetensors",
    "convoi tune resnet --input-shape 3x32x32 --training",
    "convoi tune --clear",
)


def tune(
    model: FileOrNameIfAny = None,
    *,
    input_shape: InputShape = None,
    outputs: Outputs = 10,
    training: Annotated[
        bool, typer.Option("--training", help="Measure a step of training, too.")
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
    network = open_network(model, input_shape, outputs)
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
        "us: per sample, on one thread; of convoys, for the segment. gain: how many times as quick",
        "as the model's choice.",
        kept,
    )
