"""The stage `fit`. Reads runs.jsonl, writes fit.json; needs neither torch nor a GPU nor the runs themselves."""

from collections.abc import Sequence

import numpy as np

from bytegap import console
from bytegap.fit import conventions, gap_closed, goodness_of_fit, reestimate, repeats, sensitivity, sentences
from bytegap.fit.cells import fit_cells
from bytegap.fit.check_rows import check_rows
from bytegap.fit.claims import Evidence, conclude, identified
from bytegap.fit.equal_compute import loss_differences, without_common_budget
from bytegap.fit.equal_size import equal_size
from bytegap.fit.estimands import estimate
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.fit.likelihoods import likelihoods
from bytegap.fit.nested import separate_laws
from bytegap.fit.not_below import exponents_not_below
from bytegap.fit.slopes import compare_slopes
from bytegap.runs.row import rows_by_repeat
from bytegap.schema.base import FrozenDict, digest
from bytegap.schema.fit import Fit, NgramBaseline
from bytegap.schema.runs import RunRow
from bytegap.study.comparisons import comparisons
from bytegap.study.config import Fit as FitOptions
from bytegap.study.config import Study
from bytegap.study.directory import FIT, PLAN, RUNS, StudyDir

BOOTSTRAPS = 2000
NO_OPTIONS = FitOptions()


def run(study: Study, study_dir: StudyDir) -> Fit:
    """Fit the study's runs, unless fit.json is up to date.

    StudyDirError where there is no runs.jsonl, FitError where its rows are too few or not comparable.
    """
    rows = study_dir.runs()
    _warn_of_missing(study_dir, rows)
    current = study_dir.load_if_current(FIT, _inputs(rows, BOOTSTRAPS, study.seed, study.fit))
    if current:
        console.say("fit", "up to date")
        return current
    fit = fit_rows(rows, BOOTSTRAPS, study.seed, study.fit)
    study_dir.write(FIT, fit)
    used = sum(cell.in_frontier for cell in fit.cells)
    console.say("fit", f"{used} of {len(fit.cells)} IsoFLOP cells used in {len(fit.frontiers)} frontier fits")
    for line in fit.verdict:
        console.say("", line)
    return fit


def _warn_of_missing(study_dir: StudyDir, rows: Sequence[RunRow]) -> None:
    """Say how many runs of the plan, where there is one, have no row."""
    if (plan := study_dir.find_readable(PLAN)) is None:
        return
    present = len({row.run for row in rows} & {spec.id for spec in plan.runs})
    if present < len(plan.runs):
        console.warn(
            "fit",
            f"{present} of {len(plan.runs)} planned runs are in {study_dir.path(RUNS)}: "
            "run 'bytegap train', then 'bytegap collect', for the others",
        )


def fit_rows(
    rows: Sequence[RunRow], bootstraps: int = BOOTSTRAPS, seed: int = 0, options: FitOptions = NO_OPTIONS
) -> Fit:
    """All estimates and conclusions of a study's runs; a pure function of its arguments.

    FitError where the rows are too few or not comparable.
    """
    check_rows(rows)
    cells = fit_cells(rows, bootstraps, np.random.default_rng(seed))
    arms = arms_of(rows, cells.cells)
    frontiers, warnings = fit_frontiers(arms)
    compared = comparisons(arms, options.pairs, options.interactions)
    estimands = [*estimate(arms, frontiers, compared), *equal_size(arms, cells.cells)]
    recorded = tuple(fitted.cell for fitted in cells.cells)
    baselines = _ngram_baselines(rows)
    differences = tuple(loss_differences(arms, cells.cells, options.losses))
    slopes = compare_slopes(options.slopes, options.slope_margin, frontiers)
    default = reestimate.DefaultFit(arms, frontiers, estimands, compared)
    adjusted = conventions.fit_conventions(rows, default, bootstraps, seed)
    not_below = exponents_not_below(options.slopes_not_below, options.slope_margin, arms, frontiers)
    closed = conventions.with_executed(gap_closed.gaps_closed(options.gaps_closed, arms, frontiers), adjusted)
    claims = conclude(
        Evidence(
            arms=arms,
            comparisons=compared,
            cells=recorded,
            frontiers=frontiers,
            estimands=estimands,
            unigram_bpb={each.tokenizer: each.unigram_bpb for each in baselines},
            executed=conventions.executed(default, adjusted),
            slopes=slopes,
            slopes_not_below=not_below,
            gaps_closed=closed,
            margin=options.margin,
        )
    )
    documents, of_repeat = _held_out_documents(rows), rows_by_repeat(rows)
    by_repeat, about_repeats = repeats.by_repeat(of_repeat, default, bootstraps, seed)
    spread = tuple(repeats.spreads(by_repeat, estimands, claims))
    return Fit(
        inputs_sha256=_inputs(rows, bootstraps, seed, options),
        convention=conventions.DEFAULT,
        bootstraps=bootstraps,
        noise_log_bpb=FrozenDict(cells.noise_log_bpb),
        noise=tuple(cells.noise),
        curvature=FrozenDict(cells.curvature),
        skew=FrozenDict(cells.skew),
        ngram_baselines=baselines,
        cells=recorded,
        frontiers=tuple(frontier.record for frontier in frontiers),
        estimands=tuple(estimands),
        loss_differences=differences,
        by_convention=tuple(conventions.by_convention(default, adjusted, bootstraps)),
        by_edge=tuple(sensitivity.by_edge(rows, default, bootstraps, seed)),
        by_gate=tuple(sensitivity.by_gate(rows, default, bootstraps, seed)),
        by_repeat=tuple(by_repeat),
        repeat_spread=spread,
        likelihoods=likelihoods(rows, default, bootstraps, seed),
        margin=options.margin,
        separate_laws=separate_laws(arms),
        slopes=tuple(slopes),
        slopes_not_below=tuple(not_below),
        gaps_closed=tuple(closed),
        held_out_documents=documents,
        claims=tuple(claims),
        identified=identified(claims),
        verdict=tuple(sentences.verdict(claims, documents, spread, len(of_repeat))),
        warnings=(
            *cells.warnings,
            *warnings,
            *goodness_of_fit.warnings(frontiers),
            *about_repeats,
            *without_common_budget(options.losses, differences),
        ),
    )


def _inputs(rows: Sequence[RunRow], bootstraps: int, seed: int, options: FitOptions) -> str:
    """Hash of all that the fit depends on."""
    return digest(
        {
            "rows": sorted(row.content_sha256 for row in rows),
            "bootstraps": bootstraps,
            "refit_bootstraps": reestimate.BOOTSTRAPS,
            "seed": seed,
            # Without defaults, so that an option added to the program later leaves earlier fits up to date.
            "options": options.model_dump(mode="json", exclude_defaults=True),
        }
    )


def _held_out_documents(rows: Sequence[RunRow]) -> int | None:
    """Test documents that all finished runs were scored on; None where a row does not say."""
    numbers = [len(row.document_bytes) for row in rows if row.status == "finished"]
    return min(numbers, default=0) or None


def _ngram_baselines(rows: Sequence[RunRow]) -> tuple[NgramBaseline, ...]:
    """One per tokenizer, sorted by name."""
    first = {row.tokenizer: row for row in reversed(rows)}
    return tuple(
        NgramBaseline(
            tokenizer=tokenizer,
            vocab_size=row.vocab_size,
            unigram_bpb=row.unigram_bpb,
            bigram_bpb=row.bigram_bpb,
        )
        for tokenizer, row in sorted(first.items())
    )
