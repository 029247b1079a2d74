"""Terminal output: log lines and progress bars on standard error, tables on standard output.

All text is printed literally. Names of files, arms and runs may contain square brackets or colons, which rich would
otherwise read as markup or emoji codes. Every rich console in bytegap is therefore made by `literal_console`.

Log lines go through the logger `bytegap`. It prints through this module's handler unless the program that imports
bytegap has added a handler of its own to that logger.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")
Verbosity = Literal["quiet", "normal", "verbose"]

_LEVELS: dict[Verbosity, int] = {"quiet": logging.WARNING, "normal": logging.INFO, "verbose": logging.DEBUG}
_PIPE_WIDTH = 160  # columns of a table that is not printed to a terminal
_UNLIMITED = 10_000
_STAGE_WIDTH = 8
_logger = logging.getLogger("bytegap")


def literal_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A rich console that prints the text of lines, table cells, headings and titles literally."""
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


_console = literal_console(stderr=True)


def console() -> Console:
    """The console on standard error that log lines, bars and live displays share."""
    return _console


class _ConsoleHandler(logging.Handler):
    """Prints a record as one line: the stage in bold, then the message; warnings and errors in yellow."""

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else ""
        stage = str(record.__dict__.get("stage", ""))
        line = Text.assemble((f"{stage:>{_STAGE_WIDTH}}", "bold"), "  ", (record.getMessage(), style))
        _console.print(line, soft_wrap=True)


def set_verbosity(verbosity: Verbosity) -> None:
    """Choose what is printed: only warnings (`quiet`), progress too (`normal`, the default) or details too (`verbose`).

    Tables that a verb was run for are printed in any case.
    """
    _attach_handler()
    _logger.setLevel(_LEVELS[verbosity])


def verbosity() -> Verbosity:
    """The verbosity that is in force, for a worker process to be given the same."""
    level = _logger.level or logging.INFO
    return "quiet" if level > logging.INFO else "normal" if level > logging.DEBUG else "verbose"


def say(stage: str, text: str) -> None:
    """Log one line of progress or result, after the name of the stage that it comes from."""
    _log(logging.INFO, stage, text)


def warn(stage: str, text: str) -> None:
    """Log a warning; it is printed even when quiet."""
    _log(logging.WARNING, stage, text)


def detail(stage: str, text: str) -> None:
    """Log a detail; it is printed only when verbose."""
    _log(logging.DEBUG, stage, text)


def _attach_handler() -> None:
    """Print what the logger `bytegap` and its module loggers get, unless a handler was added to it."""
    if not _logger.handlers:
        _logger.addHandler(_ConsoleHandler())
        _logger.propagate = False


def _log(level: int, stage: str, text: str) -> None:
    _attach_handler()
    if _logger.level == logging.NOTSET:
        _logger.setLevel(logging.INFO)
    _logger.log(level, "%s", text, extra={"stage": stage})


def show(table: Table) -> None:
    """Print a table on standard output; without a terminal, at a fixed width.

    Where it is too wide, cells are broken into lines; none is cut off.
    """
    for column in table.columns:
        column.overflow = "fold"
    _output().print(table)


def fits(table: Table) -> bool:
    """Whether `show` has the width for the table without breaking words, or cells of a column that may not wrap."""
    output = _output()
    return output.measure(table, options=output.options.update(width=_UNLIMITED)).minimum <= output.width


def _output() -> Console:
    return literal_console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def track(items: Iterable[T], description: str, total: float | None = None) -> Iterator[T]:
    """Yield the items while a progress bar shows how many were taken; no bar without a terminal or when quiet.

    `total` is the number of items, needed where `items` has no length.
    """
    progress = Progress(
        TextColumn("{task.description}", style="progress.description", markup=False),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=_console,
        transient=True,
        disable=not _console.is_terminal or _logger.level > logging.INFO,
    )
    with progress:
        yield from progress.track(items, total=total, description=f"{'':{_STAGE_WIDTH + 2}}{description}")
