"""``convoi cache``: the compiled code on disk."""

from __future__ import annotations

import typer

from convoi.cli.options import AsJson
from convoi.cli.output import print_json, print_lines

app = typer.Typer(help="Show or clear the compiled code on disk.", no_args_is_help=True)


@app.command()
def info(*, as_json: AsJson = False) -> None:
    """Show where compiled code is kept, and how much of it there is."""
    from convoi.runtime.object_store import store_info

    stored = store_info()
    if as_json:
        print_json({"folder": stored.folder, "files": stored.files, "bytes": stored.bytes})
    elif stored.folder is None:
        print_lines("Compiled code is kept in memory only.")
    else:
        print_lines(f"{stored.folder}: {stored.files:,} files, {stored.bytes / 1e6:.1f} MB")


@app.command()
def clear(*, as_json: AsJson = False) -> None:
    """Delete the compiled code; networks are compiled again when they are used."""
    from convoi.runtime.object_store import clear_store

    removed = clear_store()
    if as_json:
        print_json({"folder": removed.folder, "files": removed.files, "bytes": removed.bytes})
    elif removed.folder is None:
        print_lines("Compiled code is kept in memory only: there is nothing on disk.")
    else:
        print_lines(f"Deleted {removed.files:,} files, {removed.bytes / 1e6:.1f} MB")
