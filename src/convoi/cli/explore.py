"""``convoi explore``: a page on which the operator and a network can be seen at work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convoi.cli.options import Exactness, Precision, Threads, examples
from convoi.cli.output import print_lines

EXAMPLES = examples(
    "convoi explore",
    "convoi explore model.safetensors --port 8000 --no-browser",
)


def explore(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A file that 'convoi train' wrote; without it a network learns scikit-learn's "
            "digits first.",
            show_default=False,
        ),
    ] = None,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes one that is free.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Whether to open the page.")
    ] = True,
    threads: Threads = None,
    precision: Exactness = Precision.default,
) -> None:
    """Show convolution and a network at work, on a page in the browser.

    Slide a kernel over pictures and signals, compare dense, local and convolutional layers, shift
    an input, draw a digit and watch every layer. Only this machine can reach the page. Ctrl-C ends
    it.
    """
    from convoi.explorer import check_dependencies, open_listener, serve

    check_dependencies()
    from convoi.cli.samples import load_network_model
    from convoi.explorer.recognition import train_on_digits

    listener = open_listener(port)
    if model is None:
        print_lines("Training a network on scikit-learn's digits ...")
        estimator, name = train_on_digits(threads, precision.value), "digits"
    else:
        estimator = load_network_model(model, "explore", threads=threads, precision=precision.value)
        name = model.name

    def started(address: str) -> None:
        import sys

        print_lines(f"{address} shows the model {name}. Ctrl-C ends it.")
        sys.stdout.flush()
        if browser:
            _open(address)

    serve(estimator, name, listener, started)


def _open(address: str) -> None:
    """Open a page in a graphical browser, if any; a textual one would take the terminal."""
    import os
    import sys
    import webbrowser

    graphical = sys.platform in {"darwin", "win32"} or any(
        os.environ.get(variable) for variable in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if graphical:
        webbrowser.open(address)
