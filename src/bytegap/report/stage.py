"""The report stage: reads the records of a study and writes `report/`.

    report/index.html               the page, which contains its charts and the library that draws them
    report/figures/NAME.{pdf,png}   every figure, and `overview`: the first two in one, for a README
    report/tables/NAME.csv          every table

The page holds the digest of its inputs in `<meta name="bytegap-inputs">`; it is written again when that changes.
"""

import re
from pathlib import Path

from bytegap.console import say
from bytegap.io.atomic import replace_dir, write_bytes
from bytegap.report import html_page, render
from bytegap.report.figures import (
    conventions,
    equal_compute,
    estimands,
    frontiers,
    gaps_closed,
    isoflop,
    likelihoods,
    mutual_information,
    overview,
    probes,
    residuals,
    side_by_side,
    tuning,
)
from bytegap.report.figures.base import Figure
from bytegap.report.inputs import Inputs, read_inputs
from bytegap.report.tables import (
    compressors,
    exponents,
    fit,
    length_mass,
    order_controls,
    provenance,
    runs,
    sensitivity,
)
from bytegap.report.tables import likelihoods as likelihood_tables
from bytegap.report.tables import probes as probe_tables
from bytegap.report.tables.base import Table
from bytegap.study.config import Study
from bytegap.study.directory import StudyDir


def run(study: Study, study_dir: StudyDir) -> Path:
    """Write the report of `study_dir` unless it is up to date; the path of its page.

    Raises:
        StudyDirError: fit.json or runs.jsonl is missing, or a record is damaged.
    """
    inputs = read_inputs(study_dir, study.name, study.arms, study.report.compare_to)
    page = study_dir.report_dir / "index.html"
    if _is_current(page, inputs.digest):
        say("report", f"up to date: {page}")
        return page
    figures, tables = all_figures(inputs), all_tables(inputs)
    with replace_dir(study_dir.report_dir) as building:
        for figure in figures:
            render.write_images(figure, inputs, building / "figures")
        if overview_figure := overview.figure(inputs):
            render.write_images(overview_figure, inputs, building / "figures", schemes=("light", "dark"))
        for table in tables:
            write_bytes(building / "tables" / f"{table.about.name}.csv", table.csv().encode())
        write_bytes(building / "index.html", html_page.render(inputs, figures, tables).encode())
    say("report", f"{len(figures)} figures, {len(tables)} tables: {page}")
    return page


def _is_current(page: Path, digest: str) -> bool:
    """Whether the page was made from inputs with this digest and every file it links to is there."""
    try:
        html = page.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    files = re.findall(r'href="((?:figures|tables)/[^"]+)"', html)
    return f'content="{digest}"' in html and all((page.parent / name).is_file() for name in files)


def all_figures(inputs: Inputs) -> list[Figure]:
    """Every figure that the records have data for, in the order of the page: results first."""
    figures = [
        frontiers.figure(inputs),
        isoflop.figure(inputs),
        residuals.figure(inputs),
        estimands.figure(inputs, "overhead"),
        estimands.figure(inputs, "interaction"),
        estimands.figure(inputs, "gap"),
        equal_compute.figure(inputs),
        *side_by_side.figures(inputs),
        *likelihoods.figures(inputs),
        gaps_closed.figure(inputs),
        conventions.figure(inputs),
        tuning.figure(inputs),
        mutual_information.figure(inputs),
        *probes.figures(inputs),
    ]
    return [figure for figure in figures if figure]


def all_tables(inputs: Inputs) -> list[Table]:
    """Every table that the records have rows for, in the order of the page."""
    tables = [
        fit.cells(inputs),
        fit.loss_differences(inputs),
        fit.estimands(inputs),
        likelihood_tables.shares(inputs),
        likelihood_tables.gains(inputs),
        length_mass.table(inputs),
        sensitivity.conventions(inputs),
        sensitivity.edges(inputs),
        sensitivity.gates(inputs),
        sensitivity.spread(inputs),
        sensitivity.repeats(inputs),
        fit.frontiers(inputs),
        exponents.separate_laws(inputs),
        exponents.slopes(inputs),
        exponents.slopes_not_below(inputs),
        exponents.gaps_closed(inputs),
        fit.noise(inputs),
        fit.curves(inputs),
        compressors.table(inputs),
        order_controls.table(inputs),
        *probe_tables.tables(inputs),
        runs.runs(inputs),
        runs.audit(inputs),
        runs.tuning(inputs),
        provenance.table(inputs),
    ]
    return [table for table in tables if table]
