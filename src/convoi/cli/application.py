"""The command line as a whole: its commands, and what becomes of errors.

Every import that takes time stands in the function that needs it, so that ``convoi --help`` is
quick.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import convoi
from convoi.cli import (
    cache,
    compare,
    evaluate,
    explain,
    explore,
    find,
    predict,
    report,
    summary,
    train,
    tune,
)
from convoi.cli import filter as filter_
from convoi.cli.options import examples
from convoi.errors import ConvoiError

if TYPE_CHECKING:
    from typing import TextIO

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

_EPILOG = examples(
    "convoi train digits",
    "convoi predict model.safetensors photo.png",
) + (
    "\n\nExit status: 0 success, 1 error, 2 wrong usage, 130 interrupted, 141 output not read. "
    "With CONVOI_DEBUG=1 errors show their traceback."
)


class _Commands(TyperGroup):
    """The commands, with errors reported on one line."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the context of typer, or of click
        """Run a command; end the process with the status that its error stands for."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            _report("interrupted")
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            # Nobody reads any more. Python would complain when it flushes the stream at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_BROKEN_PIPE)
        except (ConvoiError, OSError, MemoryError) as error:
            if _debugging():
                raise
            _report(str(error) or type(error).__name__)
            sys.exit(EXIT_ERROR)
        return result


app = typer.Typer(
    name="convoi",
    cls=_Commands,
    help="Train and use convolutional networks on images and series.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("find", epilog=find.EXAMPLES)(find.find_in_file)
app.command("filter", epilog=filter_.EXAMPLES)(filter_.filter_file)
app.command("explore", epilog=explore.EXAMPLES)(explore.explore)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("summary", epilog=summary.EXAMPLES)(summary.summary)
app.command("explain", epilog=explain.EXAMPLES)(explain.explain)
app.command("tune", epilog=tune.EXAMPLES)(tune.tune)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line with the arguments of the process."""
    app(prog_name="convoi")


def _print_version(value: bool) -> None:
    if value:
        print(f"convoi {convoi.__version__}")  # noqa: T201 - the output of the command
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    del version


def _report(message: str) -> None:
    print(f"convoi: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - for the user


def _debugging() -> bool:
    from convoi import config

    try:
        return bool(config.settings().debug)
    except ConvoiError:
        return False


def _show_warning(  # noqa: PLR0917 - as Python calls it
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as a user of the command needs it: without a place in the code."""
    del category, filename, lineno, file, line
    print(f"convoi: warning: {message}", file=sys.stderr)  # noqa: T201 - for the user
