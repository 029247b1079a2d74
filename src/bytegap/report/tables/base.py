"""What tables share: columns, each declared once with its value and format, written as CSV and as HTML.

The CSV holds every digit of the records, the page numbers rounded to be read.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bytegap.report import format as fmt
from bytegap.schema.base import Quantity

Value = str | float | int | bool | None
R = TypeVar("R")
S = TypeVar("S")
R_contra = TypeVar("R_contra", contravariant=True)


@dataclass(frozen=True)
class Entry:
    """One entry of a table: the value in the CSV, the text in the page, and the URL that the text links to."""

    value: Value
    text: str
    href: str = ""


@dataclass(frozen=True)
class Column(Generic[R_contra]):
    """A column: its names, and how its value and its text follow from the object that a row shows."""

    key: str
    """Name in the CSV, with its unit."""
    heading: str
    """Name in the page."""
    value: Callable[[R_contra], Value]
    """The value, as the CSV holds it; None where it is unknown."""
    format: fmt.Formatter | None = None
    """How the page writes numbers, which are aligned to the right; None where values are text or true and false."""
    text: Callable[[R_contra], str] | None = None
    """What the page shows of a known value, where that depends on more than the value."""
    href: Callable[[R_contra], str] | None = None
    """URL that the text links to; empty for none."""

    @property
    def columns(self) -> "tuple[Column[R_contra], ...]":
        """Itself, as an `Interval` has three."""
        return (self,)

    def entry(self, row: R_contra) -> Entry:
        """The entry of a row in this column."""
        value = self.value(row)
        if value is None or value == "":
            text = fmt.MISSING
        elif self.text:
            text = self.text(row)
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        else:
            text = value if isinstance(value, str) else (self.format or str)(value)
        return Entry(value, text, self.href(row) if self.href else "")

    def applied_to(self, part: Callable[[S], R_contra]) -> "Column[S]":
        """The same column for rows of another kind, of which `part` gives what this column shows."""
        text, href = self.text, self.href
        return Column(
            self.key,
            self.heading,
            lambda row: self.value(part(row)),
            self.format,
            (lambda row: text(part(row))) if text else None,
            (lambda row: href(part(row))) if href else None,
        )


@dataclass(frozen=True)
class Interval(Generic[R_contra]):
    """Three columns: a quantity and the two ends of its 95 % interval."""

    key: str
    """Name in the CSV; the ends are named after it."""
    heading: str
    quantity: Callable[[R_contra], Quantity | None]
    format: fmt.Formatter = fmt.four_digits
    format_of: Callable[[R_contra], fmt.Formatter] | None = None
    """The format, if rows differ in it."""

    @property
    def columns(self) -> tuple[Column[R_contra], ...]:
        """The three columns."""
        prefix = "" if self.key == "value" else f"{self.key}_"
        return (
            self._column(self.key, self.heading, lambda found: found.value),
            self._column(f"{prefix}low", "low", lambda found: found.ci95[0] if found.ci95 else None),
            self._column(f"{prefix}high", "high", lambda found: found.ci95[1] if found.ci95 else None),
        )

    def _column(self, key: str, heading: str, part: Callable[[Quantity], float | None]) -> Column[R_contra]:
        def value(row: R_contra) -> float | None:
            found = self.quantity(row)
            return part(found) if found else None

        def text(row: R_contra) -> str:
            return (self.format_of(row) if self.format_of else self.format)(value(row) or 0.0)

        return Column(key, heading, value, self.format, text)

    def applied_to(self, part: Callable[[S], R_contra]) -> "Interval[S]":
        """The same columns for rows of another kind, of which `part` gives what these columns show."""
        format_of = self.format_of
        return Interval(
            self.key,
            self.heading,
            lambda row: self.quantity(part(row)),
            self.format,
            (lambda row: format_of(part(row))) if format_of else None,
        )


@dataclass(frozen=True)
class About:
    """What a table says about itself."""

    name: str
    """Stem of its CSV file, and its id in the page."""
    title: str
    caption: str
    source: str
    """URL, relative to the page, of the record that holds its numbers; empty if there are several."""


@dataclass(frozen=True)
class Heading:
    """The head of a column, as the page needs it."""

    key: str
    text: str
    numeric: bool


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row; made by `of`, so that every row has an entry under each heading."""

    about: About
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Entry, ...], ...]

    @classmethod
    def of(cls, about: About, rows: Iterable[R], columns: Sequence[Column[R] | Interval[R]]) -> "Table":
        """One row per object in `rows`, with the given columns."""
        single = [column for group in columns for column in group.columns]
        headings = tuple(Heading(column.key, column.heading, column.format is not None) for column in single)
        return cls(about, headings, tuple(tuple(column.entry(row) for column in single) for row in rows))

    def csv(self) -> str:
        """Comma-separated values with one header line; an unknown value is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(heading.key for heading in self.headings)
        writer.writerows(["" if entry.value is None else _exact(entry.value) for entry in row] for row in self.rows)
        return out.getvalue()


def _exact(value: str | float) -> str:
    """A float in its shortest exact form: reading it back gives the number in the record."""
    return repr(value) if isinstance(value, float) else str(value)
