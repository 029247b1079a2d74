"""Figures as Vega-Lite for the page, and as PDF and PNG files drawn by vl-convert without browser or network."""

from pathlib import Path

import altair as alt
import vl_convert

from bytegap.io.atomic import write_bytes
from bytegap.report import style
from bytegap.report.figures.base import Figure
from bytegap.report.figures.estimand_points import objectives
from bytegap.report.inputs import Inputs
from bytegap.report.style import JsonObject

FONT = "Helvetica, Arial, Liberation Sans, sans-serif"
# The Vega-Lite version whose schema Altair writes ("v6.1.0" -> "6.1").
VEGA_LITE_VERSION = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def configs(inputs: Inputs, figure: Figure, font: str) -> dict[style.Scheme, JsonObject]:
    """The figure's Vega-Lite configuration in both colour schemes."""
    traits = [inputs.traits(arm) for arm in inputs.drawn_arms]
    budgets = len({cell.budget_flops for cell in inputs.cells})
    result: dict[style.Scheme, JsonObject] = {}
    for scheme in ("light", "dark"):
        category = (
            style.arm_colours(traits, scheme)
            if figure.palette == "arms"
            else style.objective_colours(len(objectives(inputs)), scheme)
        )
        result[scheme] = style.config(category, style.budget_colours(budgets, scheme), scheme, font)
    return result


def images(figure: Figure, inputs: Inputs) -> dict[str, bytes]:
    """The figure in the light scheme by the ending of a file: svg, png."""
    config = configs(inputs, figure, FONT)["light"] | {"background": style.page_colour("light")}
    chart = figure.spec | {"config": config, "padding": 12}
    return {
        "svg": vl_convert.vegalite_to_svg(chart, vl_version=VEGA_LITE_VERSION).encode(),
        "png": vl_convert.vegalite_to_png(chart, vl_version=VEGA_LITE_VERSION, scale=2),
    }


def write_images(figure: Figure, inputs: Inputs, folder: Path, schemes: tuple[style.Scheme, ...] = ("light",)) -> None:
    """Write NAME.pdf and NAME.png into `folder`; NAME-dark.png too if `schemes` contains dark."""
    figure_configs = configs(inputs, figure, FONT)
    for scheme in schemes:
        config = figure_configs[scheme] | {"background": style.page_colour(scheme)}
        chart = figure.spec | {"config": config, "padding": 12}
        name = figure.name if scheme == "light" else f"{figure.name}-{scheme}"
        png = vl_convert.vegalite_to_png(chart, vl_version=VEGA_LITE_VERSION, scale=2)
        write_bytes(folder / f"{name}.png", png)
        if scheme == "light":
            write_bytes(folder / f"{name}.pdf", vl_convert.vegalite_to_pdf(chart, vl_version=VEGA_LITE_VERSION))
