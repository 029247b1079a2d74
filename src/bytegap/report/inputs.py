"""The records that a report shows, read from the study directory, and the links from the page back to them.

Reads fit.json and runs.jsonl, which must exist, and the corpus, tokenizer and windows manifests, order-controls.json,
plan.json, audit.json, probe.json and baselines.json where they exist.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bytegap.console import warn
from bytegap.io.atomic import file_sha256
from bytegap.schema.base import label
from bytegap.schema.data import CorpusManifest, OrderControls, TokenizerManifest, WindowsManifest
from bytegap.schema.evaluate import Baselines
from bytegap.schema.fit import Cell, Fit
from bytegap.schema.plan import Plan
from bytegap.schema.probe import Probe
from bytegap.schema.runs import Audit, RunRow
from bytegap.study.directory import (
    ARTIFACTS,
    AUDIT,
    BASELINES,
    CORPUS,
    FIT,
    JOBS,
    LIKELIHOODS,
    LM_EVAL,
    ORDER_CONTROLS,
    PILOT,
    PLAN,
    PROBE,
    RECORD,
    SPEC,
    TIMINGS,
    TOKENIZER,
    TUNING,
    WINDOWS,
    StudyDir,
)

NOT_SHOWN = (JOBS, PILOT, SPEC, TIMINGS, LIKELIHOODS, TUNING, LM_EVAL)
"""Files of a study directory that the report does not depend on. Of RECORD it only needs to know which exist."""
_PACKAGE = Path(__file__).parent


class ArmTraits(NamedTuple):
    """What decides an arm's colour and its position in a grid of panels."""

    tokenizer: str
    objective: str
    """With its options, if it has any."""


@dataclass(frozen=True)
class ReferenceStudy:
    """Another study whose frontiers are drawn behind this one's: `[report] compare_to`."""

    name: str
    fit: Fit


@dataclass(frozen=True)
class Inputs:
    """All records that a report shows; None for an optional one that does not exist."""

    study_dir: StudyDir
    study_name: str
    study_arms: tuple[str, ...]
    """Arms in the order of the study file."""
    runs: list[RunRow]
    fit: Fit
    corpus: CorpusManifest | None
    tokenizers: list[TokenizerManifest]
    windows: WindowsManifest | None
    plan: Plan | None
    audit: Audit | None
    order_controls: OrderControls | None
    probe: Probe | None
    baselines: Baselines | None
    """Compressors, measured on the same test windows as the runs."""
    reference: ReferenceStudy | None
    digest: str
    """SHA-256 of everything that can change the report."""
    loss_name: str = "bits per byte"
    """What the losses are, in words."""
    loss_unit: str = "BPB"
    """The same, short, after a number."""
    size_name: str = "non-embedding parameters N"
    """What the sizes are."""

    @property
    def loss_of_runs(self) -> str:
        """The loss, as the beginning of a sentence."""
        return f"Test {self.loss_name}" if self.has_records else self.loss_name.capitalize()

    @property
    def has_records(self) -> bool:
        """Whether there is a study's folder with records that a page can link to."""
        return True

    @property
    def arms(self) -> list[str]:
        """Every arm in the order of the study file, then any that only the runs name."""
        return list(dict.fromkeys([*self.study_arms, *(row.arm for row in self.runs)]))

    def cell(self, arm: str, budget_flops: float) -> Cell:
        """The IsoFLOP cell of an arm at one of its budgets."""
        return next(cell for cell in self.fit.cells if (cell.arm, cell.budget_flops) == (arm, budget_flops))

    def run_row(self, run: str) -> RunRow | None:
        """The row of runs.jsonl of the run with this id."""
        return next((row for row in self.runs if row.run == run), None)

    def traits(self, arm: str) -> ArmTraits:
        """An arm's tokenizer and objective according to its runs; empty if it has no runs."""
        row = next((row for row in self.runs if row.arm == arm), None)
        return ArmTraits(row.tokenizer, label(row.objective, row.objective_options)) if row else ArmTraits("", "")

    def is_bytes(self, arm: str) -> bool:
        """Whether the arm's tokens are bytes, according to its runs."""
        return any(row.tokenizer_kind == "bytes" for row in self.runs if row.arm == arm)

    def run_flops(self, run: str) -> float | None:
        """The training FLOPs of a run; None where it has no row."""
        row = self.run_row(run)
        return row.flops if row else None

    def run_link(self, run: str) -> str:
        """URL, relative to the page, of a run's record; of runs.jsonl where the run directory does not exist."""
        return f"../runs/{run}/record.json" if self.study_dir.run(run).has_record else "../runs.jsonl"

    @property
    def forms(self) -> list[str]:
        """Forms of the frontier, see `forms_of`."""
        return forms_of(self.fit)

    @property
    def drawn_arms(self) -> list[str]:
        """Arms that have an IsoFLOP cell, sorted by objective (AR first), then with the byte arms last."""
        have_cell = {cell.arm for cell in self.fit.cells}
        arms = [arm for arm in self.arms if arm in have_cell]
        objectives = list(dict.fromkeys(self.traits(arm).objective for arm in arms))
        objectives.sort(key=lambda name: name != "ar")
        return sorted(
            arms,
            key=lambda arm: (
                objectives.index(self.traits(arm).objective),
                self.is_bytes(arm),
            ),
        )

    @property
    def cells(self) -> list[Cell]:
        """IsoFLOP cells, sorted by arm as in `drawn_arms`, then by budget."""
        rank = {arm: number for number, arm in enumerate(self.drawn_arms)}
        return sorted(self.fit.cells, key=lambda cell: (rank.get(cell.arm, len(rank)), cell.budget_flops))


def forms_of(fit: Fit) -> list[str]:
    """The forms of frontier in a fit; the one that its headline estimands use comes first."""
    forms = list(dict.fromkeys(frontier.form for frontier in fit.frontiers))
    preferred = next((estimand.form for estimand in fit.estimands if estimand.headline), None)
    return sorted(forms, key=lambda form: form != preferred)


def read_inputs(
    study_dir: StudyDir, study_name: str, study_arms: Iterable[str], compare_to: Path | None = None
) -> Inputs:
    """Read every record that the report shows, and the fit of the study in directory `compare_to`.

    Raises:
        StudyDirError: fit.json or runs.jsonl is missing, or a file that exists is damaged.
    """
    fit = study_dir.fit()
    runs = study_dir.runs()
    arms = tuple(study_arms)
    reference = StudyDir(compare_to) if compare_to else None
    return Inputs(
        study_dir=study_dir,
        study_name=study_name,
        study_arms=arms,
        runs=runs,
        fit=fit,
        corpus=study_dir.find(CORPUS),
        tokenizers=[study_dir.tokenizer(name) for name in study_dir.names(TOKENIZER)],
        windows=study_dir.find(WINDOWS),
        plan=study_dir.find(PLAN),
        audit=study_dir.find(AUDIT),
        order_controls=study_dir.find(ORDER_CONTROLS),
        probe=study_dir.find(PROBE),
        baselines=_baselines(study_dir, runs),
        reference=ReferenceStudy(reference.root.name, reference.fit()) if reference else None,
        digest=_digest(study_dir, [study_name, *arms], reference),
    )


def _baselines(study_dir: StudyDir, runs: list[RunRow]) -> Baselines | None:
    """baselines.json, if it was measured on the test windows of the runs; otherwise a warning and None."""
    found = study_dir.find(BASELINES)
    if found and {row.windows_sha256 for row in runs} != {found.windows_sha256}:
        warn(
            "report",
            f"{study_dir.path(BASELINES)} was measured on other test windows than the runs and is left out: "
            "run 'bytegap baselines' again",
        )
        return None
    return found


def _digest(study_dir: StudyDir, names: list[str], reference: StudyDir | None) -> str:
    """SHA-256 of everything that can change the report: the records, which runs have one, and this package's files."""
    shown = [artifact for artifact in ARTIFACTS if artifact not in (*NOT_SHOWN, RECORD)]
    files = [study_dir.path(artifact, name) for artifact in shown for name in study_dir.names(artifact)]
    files += [reference.path(FIT)] if reference else []
    files += sorted(path for path in _PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    parts = [*names, *study_dir.names(RECORD)]
    parts += [f"{path.name} {file_sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
