"""What the command line prints on, and how it says no.

Results go to standard output; everything else (progress, remarks, errors) to standard error, so
that a result can be piped.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn, TextIO

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PIPED_WIDTH = 120
"""Columns of what nobody sees in a terminal: a file, a pipe, a log."""


def _console(stream: TextIO, *, stderr: bool) -> Console:
    return Console(stderr=stderr, width=None if stream.isatty() else PIPED_WIDTH)


out = _console(sys.stdout, stderr=False)
err = _console(sys.stderr, stderr=True)


class ExitCode(IntEnum):
    """What the shell learns."""

    DONE = 0
    FAILED = 1
    """A run failed, or there is nothing to show."""

    WRONG_USE = 2
    """The command cannot be carried out as it was given."""

    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done; 1 a run failed or there is nothing to show; 2 the command was wrong; "
    "130 interrupted."
)


def stop(message: str, code: ExitCode) -> NoReturn:
    """Print one sentence and leave."""
    err.print(f"[bold red]Error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def refuse(message: str) -> NoReturn:
    """Leave because the command cannot be carried out as it was given."""
    stop(message, ExitCode.WRONG_USE)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn the package's own errors into one sentence without a traceback."""
    from forecast_platform.errors import ForecastPlatformError, UnknownRegion, UnknownWeek

    try:
        yield
    except (UnknownRegion, UnknownWeek) as error:
        refuse(str(error))
    except ForecastPlatformError as error:
        stop(str(error), ExitCode.FAILED)
    except KeyboardInterrupt:
        stop("interrupted; what was finished is kept, run it again", ExitCode.INTERRUPTED)


def is_interactive() -> bool:
    """Whether a person watches: only then are progress bars drawn."""
    return sys.stderr.isatty()


def compact_table(names: Sequence[str], numbers: Sequence[str]) -> Table:
    """Make a table that fits 80 columns: ``names`` at the left, then right-aligned ``numbers``."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", padding=0, show_edge=False)
    for position, name in enumerate(names):
        table.add_column(name, overflow="fold", no_wrap=position > 0)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table
