"""What every figure is made of: a chart with its words, rows that travel inside it, a FLOPs axis."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

from bytegap.records import Cell
from bytegap.report import text
from bytegap.report.inputs import Inputs

Values = list[dict[str, Any]]

_LOG_LABEL = "replace(format(datum.value, '~e'), 'e+', 'e')"


@dataclass(frozen=True)
class Figure:
    """A chart and the words around it."""

    name: str
    title: str
    caption: str
    alt: str
    source: str
    chart: Any
    columns: int
    """Panels side by side where there is room; a narrow page stacks them."""
    colours: Literal["arms", "objectives"]
    tables: tuple[str, ...] = ()
    """Names of the tables that hold its numbers."""
    notes: tuple[str, ...] = ()


def data(values: Iterable[dict[str, Any]]) -> alt.InlineData:
    """Rows that travel inside the chart."""
    return alt.InlineData(values=list(values))


def flops_axis(inputs: Inputs) -> alt.Axis:
    """A FLOPs axis with a tick a budget, written as the study file writes it."""
    return alt.Axis(
        title="training compute C, FLOPs",
        values=sorted({cell.budget_flops for cell in inputs.cells}),
        labelExpr=_LOG_LABEL,
        labelOverlap="greedy",
        labelSeparation=8,
    )


def present(*charts: Any) -> list[Any]:
    """Those that have anything to draw: Vega warns of a scale without data."""
    return [chart for chart in charts if chart.data.values]


def picked(layers: list[Any], pick: alt.Parameter) -> Any:
    """The layers as one chart, the selection on its last: a legend answers only for a layer that it describes."""
    return alt.layer(*layers[:-1], layers[-1].add_params(pick))


def tooltips(*fields: tuple[str, str]) -> list[alt.Tooltip]:
    """Tooltip lines: (field of the row, what it is called)."""
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields]


def optimum(cell: Cell) -> dict[str, Any]:
    """Where a cell's parabola has its minimum, with intervals."""
    n, bpb = cell.optimum_parameters, cell.optimum_bpb
    n_low, n_high = n.ci95 or (n.value, n.value)
    low, high = bpb.ci95 or (bpb.value, bpb.value)
    return {
        "arm": cell.arm,
        "N": n.value,
        "N_low": n_low,
        "N_high": n_high,
        "bpb": bpb.value,
        "low": low,
        "high": high,
        "budget": text.flops(cell.budget_flops),
        "N_text": text.quantity(n, text.count),
        "D_text": text.quantity(cell.optimum_symbols, text.count),
        "bpb_text": text.quantity(bpb, text.bpb),
    }
