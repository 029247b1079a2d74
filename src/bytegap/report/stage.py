"""The report stage: reads the study folder, writes `report/`, computes nothing.

    report/index.html               the page, its charts and their library inside
    report/figures/NAME.{pdf,png}   every figure, and `overview` of the first two for a README
    report/tables/NAME.csv          every table

It stands while its inputs do: their digest is in the page's `bytegap-inputs` meta.
"""

import re
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from bytegap.console import say
from bytegap.records import Estimand, Fit
from bytegap.report import (
    answers,
    baselines,
    controls,
    conventions,
    exponents,
    export,
    frontiers,
    inputs,
    isoflop,
    probe_figures,
    probes,
    provenance,
    run_tables,
    tables,
    text,
    theme,
    tuning,
)
from bytegap.report.figures import Figure
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Table
from bytegap.store import Folder, new_folder, write_bytes
from bytegap.study import Study

_PACKAGE = Path(__file__).parent
_FEW_ROWS = 24  # a longer table is folded
_PAGE_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, sans-serif"
_SHORT = {
    "isoflop": "IsoFLOP",
    "frontiers": "Frontiers",
    "overhead": "Overhead",
    "interaction": "Interaction",
    "kinds": "Overhead side by side",
    "gaps": "Gap side by side",
    "conventions": "FLOPs conventions",
    "tuning": "Learning rate and batch",
    "information": "Mutual information",
    "boundaries": "Token boundaries",
    "states": "Hidden states",
}


def run(study: Study, folder: Folder) -> Path:
    """Write the report of `folder` unless it stands; the page's path.

    Raises StoreError where fit.json or runs.jsonl is missing or any file it shows is damaged.
    """
    given = inputs.read(folder, study.name, study.arms, study.report.over)
    page = folder.report / "index.html"
    if _stands(page, given.digest):
        say("report", f"up to date: {page}")
        return page
    drawn = _figures(given)
    shown = _tables(given)
    with new_folder(folder.report) as building:
        for figure in drawn:
            export.write(figure, given, building / "figures")
        main = {figure.name: figure for figure in drawn if figure.name in {"isoflop", "frontiers"}}
        if len(main) == 2:
            overview = export.overview(**main)
            export.write(overview, given, building / "figures", schemes=("light", "dark"))
        for table in shown:
            write_bytes(building / "tables" / f"{table.name}.csv", table.csv().encode())
        write_bytes(building / "index.html", _page(given, drawn, shown).encode())
    say("report", f"{len(drawn)} figures, {len(shown)} tables: {page}")
    return page


def _stands(page: Path, digest: str) -> bool:
    """Whether the page was made from exactly these inputs and every file it offers is there."""
    try:
        html = page.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    files = re.findall(r'href="((?:figures|tables)/[^"]+)"', html)
    return f'content="{digest}"' in html and all((page.parent / name).is_file() for name in files)


def _figures(given: Inputs) -> list[Figure]:
    found = [frontiers.figure(given), isoflop.figure(given)]  # what the study found comes first
    found += [answers.figure(given, name) for name in ("overhead", "interaction", "gap")]
    found += [
        *answers.side_by_side(given),
        conventions.figure(given),
        tuning.figure(given),
        controls.figure(given),
        *probe_figures.figures(given),
    ]
    return [figure for figure in found if figure]


def _tables(given: Inputs) -> list[Table]:
    found = [
        tables.cells(given),
        tables.estimands(given),
        conventions.table(given),
        tables.frontiers(given),
        exponents.separate_laws(given),
        exponents.slopes(given),
        baselines.table(given),
        controls.table(given),
        *probes.tables(given),
        run_tables.runs(given),
        run_tables.audit(given),
        run_tables.tuning(given),
        provenance.table(given),
    ]
    return [table for table in found if table]


def _headline(item: Estimand) -> dict[str, str]:
    return {
        "answer": text.answer(item),
        "interval": text.interval(item.quantity, text.SHOW[item.name]),
        "unit": text.UNIT[item.name],
        "name": text.LONG[item.name],
        "who": " / ".join(item.arms) if len(item.arms) == 2 else item.objective,
        "place": text.place(item),
        "label": item.label,
    }


def _switches(given: Inputs) -> list[dict[str, str]]:
    """Every arm that a figure may show, with its colour in both schemes."""
    arms = given.drawn_arms or given.arms
    traits = [given.traits(arm) for arm in arms]
    colours = zip(arms, theme.arm_colours(traits, "light"), theme.arm_colours(traits, "dark"), strict=True)
    return [{"name": name, "light": light, "dark": dark} for name, light, dark in colours]


def _identified(fit: Fit) -> str:
    """Whether the verdict answers all that it speaks of."""
    if fit.identified:
        return "Identified"
    some = any(item.headline and item.label == "estimated" for item in fit.estimands)
    return "Identified in part" if some else "Not identified at this scale"


def _page(given: Inputs, drawn: list[Figure], shown: list[Table]) -> str:
    """The page: everything through Jinja's autoescape but our own style and script."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    warnings = [(warning, "../fit.json") for warning in given.fit.warnings]
    warnings += [(warning, "../audit.json") for warning in (given.audit.warnings if given.audit else [])]
    charts: list[dict[str, Any]] = [
        {
            "name": figure.name,
            "columns": figure.columns,
            "spec": export.spec(figure),
            "config": export.configs(given, figure, _PAGE_FONT),
        }
        for figure in drawn
    ]
    return environment.get_template("page.html.j2").render(
        study=given.study_name,
        digest=given.digest,
        arms=given.arms,
        run_count=len(given.runs),
        fit=given.fit,
        audit=given.audit,
        headlines=[_headline(item) for item in given.fit.estimands if item.headline],
        figures=[{"short": _SHORT.get(figure.name, figure.name.capitalize()), **vars(figure)} for figure in drawn],
        figure_names=[figure.name for figure in drawn],
        switches=_switches(given),
        few=_FEW_ROWS,
        # The fit's sentences hold several where there are several pairs of arms.
        verdict=[[part.rstrip(".") for part in re.split("; (?=[A-Z])", sentence)] for sentence in given.fit.verdict],
        identified=_identified(given.fit),
        tables=shown,
        warnings=warnings,
        charts=charts,
        css=Markup((_PACKAGE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        script=_script(),
    )


def _script() -> Markup:
    """Vega, Vega-Lite and our own script as one bundle, unable to close its element."""
    bundle = vl_convert.javascript_bundle(
        (_PACKAGE / "page.js").read_text(encoding="utf-8"), vl_version=export.VEGA_LITE
    )
    # In JavaScript's strings and regular expressions \\x3c is "<": the same program, and no tag or comment in it.
    return Markup(re.sub(r"<(?=/?script|!--)", r"\\x3c", bundle, flags=re.IGNORECASE))  # noqa: S704 - no user's text
