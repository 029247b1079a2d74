"""Figures as PDF and PNG, drawn by vl-convert: no browser, no network."""

import json
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from bytegap.report import theme
from bytegap.report.answers import objectives
from bytegap.report.figures import Figure
from bytegap.report.inputs import Inputs
from bytegap.store import write_bytes

FONT = "Helvetica, Arial, Liberation Sans, sans-serif"
# The version whose schema Altair writes ("v6.1.0" -> "6.1").
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def configs(inputs: Inputs, figure: Figure, font: str) -> dict[theme.Scheme, dict[str, Any]]:
    """The figure's configuration in both schemes."""
    traits = [inputs.traits(arm) for arm in inputs.drawn_arms]
    budgets = len({cell.budget_flops for cell in inputs.cells})
    result: dict[theme.Scheme, dict[str, Any]] = {}
    for scheme in ("light", "dark"):
        category = (
            theme.arm_colours(traits, scheme)
            if figure.colours == "arms"
            else theme.objective_colours(len(objectives(inputs)), scheme)
        )
        result[scheme] = theme.config(category, theme.budget_colours(budgets, scheme), scheme, font)
    return result


def spec(figure: Figure) -> dict[str, Any]:
    """The chart as Vega-Lite, without Altair's own configuration."""
    result = json.loads(figure.chart.to_json(validate=True))
    result.pop("config", None)
    return result | {"description": figure.alt}


def write(figure: Figure, inputs: Inputs, folder: Path, schemes: tuple[theme.Scheme, ...] = ("light",)) -> None:
    """NAME.pdf and NAME.png in `folder`, and NAME-dark.png where asked."""
    looks = configs(inputs, figure, FONT)
    for scheme in schemes:
        chart = spec(figure) | {
            "config": looks[scheme] | {"background": theme.page_colour(scheme)},
            "padding": 12,
        }
        name = figure.name if scheme == "light" else f"{figure.name}-{scheme}"
        png = vl_convert.vegalite_to_png(chart, vl_version=VEGA_LITE, scale=2)
        write_bytes(folder / f"{name}.png", png)
        if scheme == "light":
            write_bytes(folder / f"{name}.pdf", vl_convert.vegalite_to_pdf(chart, vl_version=VEGA_LITE))


def overview(isoflop: Figure, frontiers: Figure) -> Figure:
    """Both figures side by side, for a README: drawn to files only."""
    grid = isoflop.chart.copy(deep=True)
    lines = frontiers.chart.copy(deep=True)
    for panel in grid.concat:
        panel.width, panel.height = 230, 190
    rows = -(-len(grid.concat) // isoflop.columns)
    lines.width, lines.height = 430, 190 * rows + 72 * (rows - 1)
    lines.title = "Compute-optimal frontiers"
    chart = alt.hconcat(grid, lines, spacing=36).resolve_scale(
        color="independent",
        shape="independent",
        x="independent",
        y="independent",
        opacity="independent",
    )
    return Figure(
        name="overview",
        title="IsoFLOP grid and frontiers",
        caption=f"{isoflop.caption} {frontiers.caption}",
        alt=f"{isoflop.alt} {frontiers.alt}",
        source="../fit.json",
        chart=chart,
        columns=1,
        colours="arms",
    )
