"""What a person sees while a stage works: one line a stage, a bar on long work, on standard error; tables on output.

All text is shown as it is. Names of files, arms and runs may hold square brackets or colons: nothing reads them as
rich's markup or emoji codes. Styles are given apart from the text.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

_WIDTH = 160  # of a table in a file or a pipe


def literal(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that shows the text of lines, table cells, headings and titles as it is."""
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


_console = literal(stderr=True)


def console() -> Console:
    """The one console, for live displays."""
    return _console


def say(stage: str, text: str, style: str = "") -> None:
    """One line: the stage, then what it has to say, in one of rich's styles."""
    _console.print(Text.assemble((f"{stage:>7}", "bold"), "  ", (text, style)), soft_wrap=True)


def show(table: Table) -> None:
    """A table, on standard output, never squeezed where nobody's window is in the way."""
    literal(width=None if sys.stdout.isatty() else _WIDTH).print(table)


def track(items: Iterable[T], description: str, total: float | None = None) -> Iterator[T]:
    """The items, with a bar that shows how far along they are."""
    progress = Progress(
        TextColumn("{task.description}", style="progress.description", markup=False),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=_console,
        transient=True,
        disable=not _console.is_terminal,
    )
    with progress:
        yield from progress.track(items, total=total, description=f"         {description}")
