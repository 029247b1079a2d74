"""What tables share: columns and entries, written as CSV with every digit and as HTML rounded to be read."""

import csv
import io
from dataclasses import dataclass

from bytegap.report import format as fmt
from bytegap.schema.base import Quantity

UNKNOWN = Quantity(value=None)


@dataclass(frozen=True)
class Column:
    """The name of a column in the CSV, with its unit, and its heading in the page."""

    name: str
    heading: str
    numeric: bool = True


@dataclass(frozen=True)
class Entry:
    """One entry of a table: the value in the CSV, the text in the page, and the URL that the text links to."""

    value: str | float | int | bool | None
    text: str
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row."""

    name: str
    """Stem of its CSV file, and its id in the page."""
    title: str
    caption: str
    source: str
    """URL, relative to the page, of the record that holds its numbers; empty if there are several."""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]

    def csv(self) -> str:
        """Comma-separated values with one header line; an unknown value is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(column.name for column in self.columns)
        writer.writerows(["" if entry.value is None else _exact(entry.value) for entry in row] for row in self.rows)
        return out.getvalue()


def _exact(value: str | float) -> str:
    """A float in its shortest exact form: reading it back gives the number in the record."""
    return repr(value) if isinstance(value, float) else str(value)


def text(value: str, href: str = "") -> Entry:
    """An entry of text, linking to `href` if given; a dash if empty."""
    return Entry(value, value or fmt.MISSING, href)


def number(value: float | None, formatter: fmt.Formatter = str) -> Entry:
    """An entry of a number; a dash if it is unknown."""
    return Entry(value, fmt.MISSING if value is None else formatter(value))


def with_interval(quantity: Quantity, formatter: fmt.Formatter) -> tuple[Entry, Entry, Entry]:
    """Three entries: a number and the two ends of its 95 % confidence interval."""
    low, high = quantity.ci95 or (None, None)
    return number(quantity.value, formatter), number(low, formatter), number(high, formatter)


def yes_no(value: bool) -> Entry:  # noqa: FBT001 - the value is the entry
    """An entry that is true or false."""
    return Entry(value, "yes" if value else "no")
