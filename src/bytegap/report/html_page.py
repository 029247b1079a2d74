"""The HTML page of a report: the template in `page/` filled with the figures, tables and conclusions of a study.

All text passes through Jinja's autoescape, except the style and script of this package.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import vl_convert
from markupsafe import Markup

from bytegap.report import render as images
from bytegap.report import style
from bytegap.report.cards import cards
from bytegap.report.figures.base import Figure
from bytegap.report.inputs import Inputs
from bytegap.report.style import JsonObject
from bytegap.report.tables.base import Table
from bytegap.schema.fit import Fit

_PAGE = Path(__file__).parent / "page"
_MAX_OPEN_ROWS = 24
"""A table with more rows is folded."""
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, sans-serif"
_CONTENTS_TITLES = {
    "isoflop": "IsoFLOP grid",
    "residuals": "Residuals",
    "frontiers": "Frontiers",
    "overhead": "Overhead",
    "interaction": "Interaction",
    "gap": "Gap",
    "conventions": "FLOPs conventions",
    "mutual_information": "Mutual information",
    "boundaries": "Boundaries",
    "linear_probes": "Linear probes",
}
"""Titles of figures in the table of contents, where it shortens them."""


@dataclass(frozen=True)
class PageFiles:
    """Where the files of a page are, relative to it."""

    figures: str = "figures/"
    """What the name of a figure's file begins with."""
    vector: str = "pdf"
    """Ending of its drawing; the other is a PNG."""
    tables: str = "tables/"
    """What the name of a table's file begins with."""


STUDY_FILES = PageFiles()


def render(inputs: Inputs, figures: Sequence[Figure], tables: Sequence[Table], files: PageFiles = STUDY_FILES) -> str:
    """The page as HTML, complete in itself."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        study=inputs.study_name,
        digest=inputs.digest,
        arms=inputs.arms,
        run_count=len(inputs.runs) if inputs.has_records else sum(len(cell.runs) for cell in inputs.fit.cells),
        loss="test bits per byte (BPB)" if inputs.has_records else f"{inputs.loss_name}, as the table has it",
        files=files,
        has_records=inputs.has_records,
        fit=inputs.fit,
        audit=inputs.audit,
        cards=cards(inputs.fit),
        figures=[
            {
                **vars(figure),
                "contents_title": _CONTENTS_TITLES.get(figure.name, figure.title),
                "caption": _unbroken(figure.caption),
            }
            for figure in figures
        ],
        figure_names=[figure.name for figure in figures],
        arm_switches=_arm_switches(inputs),
        max_open_rows=_MAX_OPEN_ROWS,
        verdict=[_unbroken(sentence) for sentence in inputs.fit.verdict],
        identified=_identified(inputs.fit),
        tables=[replace(table, about=replace(table.about, caption=_unbroken(table.about.caption))) for table in tables],
        warnings=_warnings(inputs),
        charts=[_chart(inputs, figure) for figure in figures],
        css=Markup((_PAGE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - this package's own file
        script=_script(),
    )


def _unbroken(text: str) -> str:
    """The text without line breaks between a number and its percent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _arm_switches(inputs: Inputs) -> list[dict[str, str]]:
    """Every arm that a figure may show, with its colour in both schemes."""
    arms = inputs.drawn_arms or inputs.arms
    traits = [inputs.traits(arm) for arm in arms]
    colours = zip(arms, style.arm_colours(traits, "light"), style.arm_colours(traits, "dark"), strict=True)
    return [{"name": name, "light": light, "dark": dark} for name, light, dark in colours]


def _identified(fit: Fit) -> str:
    """Whether the study identifies all, some or none of its claims."""
    if fit.identified:
        return "Identified"
    return "Partly identified" if any(claim.is_estimate for claim in fit.claims) else "Not identified at this scale"


def _warnings(inputs: Inputs) -> list[tuple[str, str]]:
    """Pairs (warning, URL of the record that holds it)."""
    audit = inputs.audit.warnings if inputs.audit else ()
    source = "../fit.json" if inputs.has_records else ""
    return [(warning, source) for warning in inputs.fit.warnings] + [(warning, "../audit.json") for warning in audit]


def _chart(inputs: Inputs, figure: Figure) -> JsonObject:
    """What the page's script needs to draw a figure."""
    return {
        "name": figure.name,
        "columns": figure.columns,
        "spec": figure.spec,
        "alternative": figure.alternative_spec,
        "config": {**images.configs(inputs, figure, _FONT)},
    }


@functools.cache
def _script() -> Markup:
    """Vega, Vega-Lite and page.js as one bundle that cannot close its script element."""
    bundle = vl_convert.javascript_bundle(
        (_PAGE / "page.js").read_text(encoding="utf-8"), vl_version=images.VEGA_LITE_VERSION
    )
    # In strings and regular expressions of JavaScript, \\x3c is "<": the same program without any tag or comment.
    return Markup(re.sub(r"<(?=/?script|!--)", r"\\x3c", bundle, flags=re.IGNORECASE))  # noqa: S704 - no user's text
