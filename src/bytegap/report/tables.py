"""Tables as CSV, every digit of the files kept, and as HTML, rounded to be read."""

import csv
import io
from dataclasses import dataclass

from bytegap.records import Cell, Quantity
from bytegap.report import text
from bytegap.report.inputs import Inputs

UNKNOWN = Quantity(value=None)
_PURE_SHIFT = (
    " At equal compute an interaction above 0 need not be more than one thing at a constant multiple of the other's "
    "compute: the last columns say what that shift alone would give."
)


@dataclass(frozen=True)
class Column:
    """A CSV header with its unit, and what the page calls it."""

    name: str
    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Item:
    """One entry: the CSV's value, the page's text, where it links to."""

    value: str | float | int | bool | None
    text: str
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row."""

    name: str
    title: str
    caption: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Item, ...], ...]

    def csv(self) -> str:
        """Comma-separated values, one header line; what is not known is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(column.name for column in self.columns)
        writer.writerows(["" if item.value is None else _exact(item.value) for item in row] for row in self.rows)
        return out.getvalue()


def _exact(value: str | float) -> str:
    """A float by its shortest exact form, so that reading it back gives the file's own number."""
    return repr(value) if isinstance(value, float) else str(value)


def words(value: str, href: str = "") -> Item:
    """Words, linking to `href` where given."""
    return Item(value, value or text.NONE, href)


def number(value: float | None, show: text.Show = str) -> Item:
    """A number and how the page writes it; a dash where it is not known."""
    return Item(value, text.NONE if value is None else show(value))


def interval(item: Quantity, show: text.Show) -> tuple[Item, Item, Item]:
    """A number and the two ends of its interval."""
    low, high = item.ci95 or (None, None)
    return number(item.value, show), number(low, show), number(high, show)


def yes(value: bool) -> Item:  # noqa: FBT001 - the value is the subject
    """A finding that is or is not."""
    return Item(value, "yes" if value else "no")


def cells(inputs: Inputs) -> Table:
    """A row a cell: the compute-optimal size and loss of an arm at a budget."""
    floors = {floor.tokens: floor for floor in inputs.fit.floors}

    def row(cell: Cell) -> tuple[Item, ...]:
        floor = floors.get(inputs.traits(cell.arm)[0])
        return (
            words(cell.arm),
            number(cell.budget_flops, text.flops),
            *interval(cell.optimum_parameters, text.count),
            number(cell.optimum_symbols.value, text.count),
            *interval(cell.optimum_bpb, text.bpb),
            number(floor.unigram_bpb if floor else None, text.bpb),
            yes(cell.bracketed),
            yes(cell.learns_context),
            yes(cell.in_frontier),
            words(cell.note),
        )

    return Table(
        name="cells",
        title="Cells",
        caption="Each arm at each budget: its compute-optimal size and loss (95 % intervals), beside its own unigram.",
        source="../fit.json",
        columns=(
            Column("arm", "arm", numeric=False),
            Column("budget_flops", "budget, FLOPs"),
            Column("optimum_parameters", "optimum N"),
            Column("optimum_parameters_low", "low"),
            Column("optimum_parameters_high", "high"),
            Column("optimum_symbols", "optimum D, symbols"),
            Column("optimum_bpb", "BPB"),
            Column("optimum_bpb_low", "low"),
            Column("optimum_bpb_high", "high"),
            Column("unigram_bpb", "unigram BPB"),
            Column("bracketed", "bracketed", numeric=False),
            Column("learns_context", "learns context", numeric=False),
            Column("in_frontier", "in frontier", numeric=False),
            Column("note", "note", numeric=False),
        ),
        rows=tuple(row(cell) for cell in inputs.cells),
    )


def estimands(inputs: Inputs) -> Table:
    """A row an estimand, headline or not, with its label; what a pure shift predicts where the fit says so."""
    shifted = any(item.pure_shift for item in inputs.fit.estimands)
    rows = [
        (
            words(item.name),
            words(item.objective),
            words(" / ".join(item.arms)),
            words(item.form),
            number(item.at_bpb, text.bpb),
            number(item.at_flops, text.flops),
            words(item.bound),
            *interval(item.quantity, text.SHOW[item.name]),
            words(item.label),
            yes(item.headline),
            *(interval(item.pure_shift or UNKNOWN, text.SHOW[item.name]) if shifted else ()),
        )
        for item in inputs.fit.estimands
    ]
    return Table(
        name="estimands",
        title="Estimands",
        caption=(
            "Every answer with its 95 % interval. Estimated: every frontier it uses was observed there. Censored: only "
            "a bound is known. Extrapolated: beyond what was observed, never headlined."
            + (_PURE_SHIFT if shifted else "")
        ),
        source="../fit.json",
        columns=(
            Column("name", "estimand", numeric=False),
            Column("objective", "objective", numeric=False),
            Column("arms", "arms", numeric=False),
            Column("form", "form of frontier", numeric=False),
            Column("at_bpb", "at BPB"),
            Column("at_flops", "at FLOPs"),
            Column("bound", "bound", numeric=False),
            Column("value", "value"),
            Column("low", "low"),
            Column("high", "high"),
            Column("label", "label", numeric=False),
            Column("headline", "headline", numeric=False),
            *(
                (
                    Column("pure_shift", "by a pure shift"),
                    Column("pure_shift_low", "low"),
                    Column("pure_shift_high", "high"),
                )
                if shifted
                else ()
            ),
        ),
        rows=tuple(rows),
    )


def frontiers(inputs: Inputs) -> Table:
    """A row a frontier: its form and constants."""
    rows = [
        (
            words(item.arm),
            words(item.form),
            *interval(item.floor_bpb, text.general),
            *interval(item.amplitude, text.general),
            *interval(item.exponent, text.general),
            number(item.flops_observed[0], text.flops),
            number(item.flops_observed[1], text.flops),
        )
        for item in inputs.fit.frontiers
    ]
    names = (
        ("floor_bpb", "floor E, BPB"),
        ("amplitude", "amplitude A"),
        ("exponent", "exponent g"),
    )
    return Table(
        name="frontiers",
        title="Frontiers",
        caption=f"{text.LAW} of each arm, with 95 % intervals.",
        source="../fit.json",
        columns=(
            Column("arm", "arm", numeric=False),
            Column("form", "form", numeric=False),
            *(
                column
                for name, title in names
                for column in (
                    Column(name, title),
                    Column(f"{name}_low", "low"),
                    Column(f"{name}_high", "high"),
                )
            ),
            Column("flops_observed_low", "observed from, FLOPs"),
            Column("flops_observed_high", "to, FLOPs"),
        ),
        rows=tuple(rows),
    )
