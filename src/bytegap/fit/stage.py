"""Reads `runs.jsonl`, writes `fit.json`: whoever holds the rows can refit them, without torch or a GPU."""

from collections.abc import Sequence

import numpy as np

from bytegap import console
from bytegap.errors import FitError
from bytegap.fit import conventions, misfit
from bytegap.fit.estimands import estimate
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.fit.isoflop import fit_cells
from bytegap.fit.nested import separate_laws
from bytegap.fit.slopes import sentence, slopes
from bytegap.fit.verdict import verdict
from bytegap.records import Fit, Floor, RunRow, digest
from bytegap.store import Folder, read_table, standing, write_record
from bytegap.study import Fit as Asked
from bytegap.study import Study

BOOTSTRAPS = 2000
NOTHING = Asked()


def run(study: Study, folder: Folder) -> Fit:
    """Fit the study's runs unless their fit stands.

    StoreError where there is no table, FitError where its rows are too few or do not compare.
    """
    rows = read_table(folder.table, RunRow, made_by="runs")
    made = standing(folder.fit, Fit, _inputs(rows, BOOTSTRAPS, study.seed, study.fit))
    if made:
        console.say("fit", "up to date")
        return made
    fit = fit_rows(rows, BOOTSTRAPS, study.seed, study.fit)
    write_record(folder.fit, fit)
    kept = sum(cell.in_frontier for cell in fit.cells)
    console.say("fit", f"{kept} of {len(fit.cells)} cells carry {len(fit.frontiers)} frontiers")
    for line in fit.verdict:
        console.say("", line)
    return fit


def fit_rows(rows: Sequence[RunRow], bootstraps: int = BOOTSTRAPS, seed: int = 0, asked: Asked = NOTHING) -> Fit:
    """Everything the rows say: a pure function of them, the number of bootstraps, the seed and what is `asked`."""
    _check(rows)
    isoflop = fit_cells(rows, bootstraps, np.random.default_rng(seed))
    arms = arms_of(rows, isoflop.cells)
    curves, warnings = fit_frontiers(arms)
    estimands = estimate(arms, curves)
    cells = [fitted.cell for fitted in isoflop.cells]
    steepness = slopes(asked.slopes, asked.slope_margin, curves)
    identified, sentences = verdict(arms, cells, estimands, asked.margin)
    return Fit(
        inputs=_inputs(rows, bootstraps, seed, asked),
        convention=conventions.DEFAULT,
        bootstraps=bootstraps,
        noise_log_bpb=isoflop.noise_log_bpb,
        floors=_floors(rows),
        cells=cells,
        frontiers=[curve.record for curve in curves],
        estimands=estimands,
        by_convention=conventions.by_convention(rows, conventions.Default(arms, curves, estimands), bootstraps, seed),
        margin=asked.margin,
        separate_laws=separate_laws(arms),
        slopes=steepness,
        identified=identified,
        verdict=[*sentences, *map(sentence, steepness)],
        warnings=[*isoflop.warnings, *warnings, *misfit.warnings(curves)],
    )


def _inputs(rows: Sequence[RunRow], bootstraps: int, seed: int, asked: Asked) -> str:
    contents = sorted(row.content for row in rows)
    made_with = {"bootstraps": bootstraps, "recount": conventions.BOOTSTRAPS, "seed": seed, "margin": asked.margin}
    more = asked.model_dump(exclude={"margin"}, exclude_defaults=True)  # a question not put leaves a fit standing
    return digest({"rows": contents} | made_with | more)


def _check(rows: Sequence[RunRow]) -> None:
    """FitError unless each row is there once and all were scored on the same text."""
    if not rows:
        message = "there are no runs to fit: run 'bytegap train', then 'bytegap runs'"
        raise FitError(message)
    names = [row.run for row in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"run {twice[0]} is there twice: keep one line of it"
        raise FitError(message)
    if len({row.windows_sha256 for row in rows if row.status == "finished"}) > 1:
        message = "the runs were scored on different test windows, so their BPB do not compare: fit each text alone"
        raise FitError(message)


def _floors(rows: Sequence[RunRow]) -> list[Floor]:
    """One line a symbol set, by name."""
    first = {row.tokens: row for row in reversed(rows)}
    return [
        Floor(
            tokens=tokens,
            vocabulary=row.vocabulary,
            unigram_bpb=row.unigram_bpb,
            bigram_bpb=row.bigram_bpb,
        )
        for tokens, row in sorted(first.items())
    ]
