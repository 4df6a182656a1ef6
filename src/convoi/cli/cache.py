"""``convoi cache``: the compiled code on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from convoi.cli.options import AsJson, examples
from convoi.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from convoi.runtime.object_store import StoreInfo

app = typer.Typer(help="Show, trim or clear the compiled code on disk.", no_args_is_help=True)


@app.command()
def info(*, as_json: AsJson = False) -> None:
    """Show where compiled code is kept, how much of it there is, and how much there may be."""
    from convoi.config import settings
    from convoi.runtime.object_store import store_info

    stored, limit = store_info(), settings().cache_size
    if as_json:
        figures = {"folder": stored.folder, "files": stored.files, "bytes": stored.bytes}
        print_json({**figures, "limit": limit})
    elif stored.folder is None:
        print_lines("Compiled code is kept in memory only.")
    else:
        most = "no limit" if limit is None else f"at most {limit / 1e6:.1f} MB"
        size = f"{stored.files:,} files, {stored.bytes / 1e6:.1f} MB"
        print_lines(f"{stored.folder}: {size} ({most})")


@app.command(epilog=examples("convoi cache trim '200 MB'"))
def trim(
    size: Annotated[
        str,
        typer.Argument(
            metavar="SIZE", help="What may be left, such as '200 MB'.", show_default=False
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Delete the code that was used longest ago, until no more than SIZE is left.

    This happens by itself where there is more than CONVOI_CACHE_SIZE.
    """
    from convoi.config import parse_size
    from convoi.runtime.object_store import trim_store

    try:
        limit = parse_size(size)
    except ValueError:
        limit = None
    if limit is None:
        message = f"SIZE must be a size such as '500 MB' or '2 GB'. Got {size!r} instead."
        raise typer.BadParameter(message, param_hint="SIZE")
    _print_deleted(trim_store(limit), as_json=as_json)


@app.command()
def clear(*, as_json: AsJson = False) -> None:
    """Delete the compiled code; networks are compiled again when they are used."""
    from convoi.runtime.object_store import clear_store

    _print_deleted(clear_store(), as_json=as_json)


def _print_deleted(removed: StoreInfo, *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": removed.folder, "files": removed.files, "bytes": removed.bytes})
    elif removed.folder is None:
        print_lines("Compiled code is kept in memory only: there is nothing on disk.")
    else:
        print_lines(f"Deleted {removed.files:,} files, {removed.bytes / 1e6:.1f} MB")
