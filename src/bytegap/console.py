"""What a person sees while a stage works: one line a stage, a bar on long work, on standard error; tables on output."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track
from rich.table import Table

T = TypeVar("T")

_console = Console(stderr=True, highlight=False)


def console() -> Console:
    """The one console, for live displays."""
    return _console


def say(stage: str, text: str) -> None:
    """One line: the stage, then what it has to say."""
    _console.print(f"[bold]{stage:>7}[/bold]  {text}", soft_wrap=True)


def show(table: Table) -> None:
    """A table, on standard output, never squeezed where nobody's window is in the way."""
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def track(items: Iterable[T], description: str, total: float | None = None) -> Iterable[T]:
    """The items, with a bar that shows how far along they are."""
    return rich_track(
        items,
        description=f"         {description}",
        total=total,
        console=_console,
        transient=True,
        disable=not _console.is_terminal,
    )
