"""The IsoFLOP grid and the frontiers in one figure, for a README. It is written as images and not in the page."""

import altair as alt

from bytegap.report.figures import frontiers, isoflop
from bytegap.report.figures.base import Figure
from bytegap.report.inputs import Inputs

_PANEL_WIDTH = 230
_PANEL_HEIGHT = 190
_BETWEEN_ROWS = 72  # pixels between the plots of two rows of panels: axis, title and spacing


def figure(inputs: Inputs) -> Figure | None:
    """Both side by side, the frontiers as high as the grid; None where either is missing."""
    grid = isoflop.figure(inputs, width=_PANEL_WIDTH, height=_PANEL_HEIGHT)
    if grid is None:
        return None
    rows = -(-len(inputs.drawn_arms) // grid.columns)
    lines = frontiers.figure(inputs, width=430, height=_PANEL_HEIGHT * rows + _BETWEEN_ROWS * (rows - 1))
    if lines is None:
        return None
    scales = dict.fromkeys(("color", "shape", "x", "y", "opacity"), "independent")
    return Figure(
        name="overview",
        title="IsoFLOP grid and frontiers",
        caption=f"{grid.caption} {lines.caption}",
        alt=f"{grid.alt} {lines.alt}",
        source="../fit.json",
        chart=alt.hconcat(grid.chart, lines.chart.properties(title=lines.title), spacing=36, resolve={"scale": scales}),
        columns=1,
        palette="arms",
    )
