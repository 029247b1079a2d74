"""What figures share: the chart with its caption, the rows that it draws, its FLOPs axis, its legend filter."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import altair as alt
from altair.typing import ChartType

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.style import JsonObject
from bytegap.schema.fit import Cell

DataRow = Mapping[str, str | float | Sequence[str] | None]
"""One data point of a chart, by field."""

_MAX_COLUMNS = 4
_LOG_LABEL = "replace(format(datum.value, '~e'), 'e+', 'e')"  # 1e15, as in the study file
_BUDGET_ERROR = 0.02  # runs spend their budget within 1 %
_TICK, _MINOR_TICK = 5, 2  # pixels


@dataclass(frozen=True)
class Alternative:
    """Another version of a chart, off until the reader switches it on."""

    label: str
    """Of the switch: what it adds."""
    chart: ChartType


@dataclass(frozen=True)
class Figure:
    """A chart and the text around it."""

    name: str
    """Stem of its image files, and its id in the page."""
    title: str
    caption: str
    alt: str
    """What the chart shows, for readers who do not see it."""
    source: str
    """URL, relative to the page, of the record that holds its numbers."""
    chart: ChartType
    columns: int
    """Panels side by side where there is room; a narrow page stacks them."""
    palette: Literal["arms", "objectives"]
    """What its categorical colours stand for."""
    tables: tuple[str, ...] = ()
    """Names of the tables that hold its numbers."""
    notes: tuple[str, ...] = ()
    """Sentences on cells that were left out of the frontiers, for a folded list below the caption."""
    alternative: "Alternative | None" = None
    """Another version of the chart, which a switch on the page shows in place of this one."""

    @cached_property
    def spec(self) -> JsonObject:
        """The chart as Vega-Lite, without Altair's default configuration."""
        return self._vega_lite(self.chart)

    @property
    def alternative_spec(self) -> JsonObject | None:
        """The other version as Vega-Lite; None if there is none."""
        return self._vega_lite(self.alternative.chart) if self.alternative else None

    def _vega_lite(self, chart: ChartType) -> JsonObject:
        result: JsonObject = json.loads(chart.to_json(validate=True))
        result.pop("config", None)
        return result | {"description": self.alt}


def inline(rows: Iterable[DataRow]) -> alt.InlineData:
    """Data that is stored inside the chart."""
    return alt.InlineData(values=list(rows))


def with_data(*charts: alt.Chart) -> list[alt.Chart]:
    """The charts that have rows to draw; Vega warns about a scale without data."""
    return [chart for chart in charts if chart.data.values]


def flops_axis(inputs: Inputs, drawn: Sequence[float]) -> alt.Axis:
    """A FLOPs axis with a named tick per power of ten and a short one per budget, written as in the study file.

    `drawn`: the compute of the figure's points, whose range is that of the axis.
    """
    low, high = min(drawn) * (1 - _BUDGET_ERROR), max(drawn) * (1 + _BUDGET_ERROR)
    budgets = sorted({cell.budget_flops for cell in inputs.cells if low <= cell.budget_flops <= high})
    named = named_flops(budgets)
    is_named = f"indexof({json.dumps(named)}, datum.value) >= 0"
    return alt.Axis(
        title="training compute C, FLOPs",
        values=sorted({*named, *budgets}),
        labelExpr=f"{is_named} ? {_LOG_LABEL} : ''",
        labelOverlap="greedy",
        labelSeparation=8,
        tickSize={"condition": {"test": is_named, "value": _TICK}, "value": _MINOR_TICK},
    )


def named_flops(budgets: Sequence[float]) -> list[float]:
    """The powers of ten within the budgets; the least and the greatest budget where that is fewer than two."""
    if not budgets:
        return []
    low, high = min(budgets), max(budgets)
    powers = [float(f"1e{power}") for power in range(int(math.log10(low)), int(math.log10(high)) + 2)]
    within = [power for power in powers if low <= power <= high]
    return within if len(within) > 1 else sorted({low, high})


def with_legend_filter(layers: Sequence[alt.Chart], selection: alt.Parameter) -> alt.LayerChart | alt.FacetChart:
    """The layers as one chart. The selection belongs to the last layer: a legend controls only layers it describes."""
    return alt.layer(*layers[:-1], layers[-1].add_params(selection))


def size_ticks(sizes: Sequence[int]) -> list[float]:
    """Ticks at 1 and 3 times powers of ten, within the sizes drawn."""
    ticks = [leading * 10.0**power for power in range(2, 13) for leading in (1, 3)]
    return [tick for tick in ticks if min(sizes) <= tick <= max(sizes)]


def panel_columns(objectives: list[str]) -> int:
    """Panels per row, at most four: one objective's arms fill whole rows if they can, two objectives' if many."""
    per_objective = max(objectives.count(objectives[0]), min(len(objectives), 2))
    if per_objective > _MAX_COLUMNS:
        return next((n for n in (4, 3) if per_objective % n == 0), _MAX_COLUMNS)
    return 2 * per_objective if per_objective == 2 and len(objectives) > 2 * _MAX_COLUMNS else per_objective


def panels(
    charts: Sequence[alt.LayerChart | alt.FacetChart], columns: int, selection: alt.Parameter
) -> alt.ConcatChart:
    """Charts in rows, with common axes and one legend, which selects in all of them."""
    with warnings.catch_warnings():
        # Altair warns that the panels share one selection, which is intended.
        warnings.filterwarnings("ignore", message="Automatically deduplicated")
        return alt.concat(
            *charts,
            columns=columns,
            spacing={"row": 26, "column": 26},
            resolve={
                "scale": {"x": "shared", "y": "shared", "color": "shared", "shape": "shared"},
                "legend": {"color": "shared", "shape": "shared"},
            },
        ).add_params(selection)


def tooltips(*fields: tuple[str, str]) -> list[alt.Tooltip]:
    """Lines of a tooltip, from pairs (field of the row, label)."""
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields]


def minimum_row(cell: Cell) -> dict[str, str | float | None]:
    """The fitted IsoFLOP minimum of a cell, with the ends of its intervals; both are the value if there is none."""
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
        "budget": fmt.flops(cell.budget_flops),
        "N_text": fmt.with_interval(n, fmt.count),
        "D_text": fmt.with_interval(cell.optimum_tokens, fmt.count),
        "bpb_text": fmt.with_interval(bpb, fmt.bpb),
    }
