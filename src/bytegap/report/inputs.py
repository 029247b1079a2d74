"""What a report is made from: every file of the study folder that it shows, and the links back to them.

Reads fit.json and runs.jsonl, which must be there; corpus, tokens, windows, controls, plan, audit, probe and baselines
where they are.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bytegap.console import say
from bytegap.records import (
    Audit,
    Baselines,
    Cell,
    Controls,
    CorpusManifest,
    Fit,
    Plan,
    Probe,
    Record,
    RunRow,
    TokensManifest,
    WindowsManifest,
)
from bytegap.store import Folder, file_digest, read_record, read_table

R = TypeVar("R", bound=Record)
_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Inputs:
    """The files, read."""

    folder: Folder
    study_name: str
    arm_order: tuple[str, ...]
    runs: list[RunRow]
    fit: Fit
    corpus: CorpusManifest | None
    tokens: list[TokensManifest]
    windows: WindowsManifest | None
    plan: Plan | None
    audit: Audit | None
    controls: Controls | None
    probe: Probe | None
    baselines: Baselines | None
    """Of the windows that the runs were scored on."""
    over: tuple[str, Fit] | None
    """Another study to lie behind this one: its name and its fit."""
    digest: str

    @property
    def arms(self) -> list[str]:
        """Every arm in the study file's order, then any that only the runs know."""
        return list(dict.fromkeys([*self.arm_order, *(row.arm for row in self.runs)]))

    def row(self, run: str) -> RunRow | None:
        """A run's row."""
        return next((row for row in self.runs if row.run == run), None)

    def traits(self, arm: str) -> tuple[str, str]:
        """(tokens, objective) of an arm, as its runs say; empty where it has none."""
        return next(((row.tokens, row.objective) for row in self.runs if row.arm == arm), ("", ""))

    def link(self, run: str) -> str:
        """Relative address of a run's record; of the table where only the table was handed over."""
        record = self.folder.run(run) / "record.json"
        return f"../runs/{run}/record.json" if record.is_file() else "../runs.jsonl"

    @property
    def forms(self) -> list[str]:
        """The frontier's forms, the one that the headlines use first."""
        return forms_of(self.fit)

    @property
    def drawn_arms(self) -> list[str]:
        """Arms with a cell, as a grid is read: objectives down (AR first), symbol sets across (bytes last)."""
        have = {cell.arm for cell in self.fit.cells}
        arms = [arm for arm in self.arms if arm in have]
        bytes_last = {row.tokens: row.tokens_kind == "bytes" for row in self.runs}
        objectives = list(dict.fromkeys(self.traits(arm)[1] for arm in arms))
        objectives.sort(key=lambda name: name != "ar")
        return sorted(
            arms,
            key=lambda arm: (
                objectives.index(self.traits(arm)[1]),
                bytes_last.get(self.traits(arm)[0], False),
            ),
        )

    @property
    def cells(self) -> list[Cell]:
        """Cells by arm, as drawn, then by budget."""
        place = {arm: number for number, arm in enumerate(self.drawn_arms)}
        return sorted(self.fit.cells, key=lambda cell: (place.get(cell.arm, len(place)), cell.budget_flops))


def forms_of(fit: Fit) -> list[str]:
    """A fit's forms of the frontier: the one that its headlines use leads, else its first."""
    known = list(dict.fromkeys(frontier.form for frontier in fit.frontiers))
    lead = next((item.form for item in fit.estimands if item.headline), None)
    return sorted(known, key=lambda form: form != lead)


def read(folder: Folder, study_name: str, arm_order: Iterable[str], over: Path | None = None) -> Inputs:
    """Read the folder, and the fit of the study `over` which it is drawn; StoreError names what is missing."""
    fit = read_record(folder.fit, Fit, "fit")
    runs = read_table(folder.table, RunRow, "runs")
    manifests = _token_manifests(folder)
    arms = tuple(arm_order)
    behind = Folder(over).fit if over else None
    return Inputs(
        folder=folder,
        study_name=study_name,
        arm_order=arms,
        runs=runs,
        fit=fit,
        corpus=_optional(folder.corpus_manifest, CorpusManifest, "corpus"),
        tokens=[read_record(path, TokensManifest, "tokens") for path in manifests],
        windows=_optional(folder.windows_manifest, WindowsManifest, "tokens"),
        plan=_optional(folder.plan, Plan, "plan"),
        audit=_optional(folder.audit, Audit, "runs --audit"),
        controls=_optional(folder.controls, Controls, "controls"),
        probe=_optional(folder.probe, Probe, "probe"),
        baselines=_baselines(folder, runs),
        over=(behind.parent.name, read_record(behind, Fit, "fit")) if behind else None,
        digest=_digest(folder, manifests, study_name, arms, behind),
    )


def _optional(path: Path, model: type[R], made_by: str) -> R | None:
    """A record that a refit from `runs.jsonl` alone does without; damage is an error all the same."""
    return read_record(path, model, made_by) if path.exists() else None


def _baselines(folder: Folder, runs: list[RunRow]) -> Baselines | None:
    """Compressors on the runs' own test windows; on others they are told of and left out."""
    made = _optional(folder.baselines, Baselines, "evaluate STUDY.toml --baselines")
    if made and {row.windows_sha256 for row in runs} != {made.windows_sha256}:
        say("report", f"{folder.baselines} is of other windows than the runs' and left out: delete it or make it anew")
        return None
    return made


def _token_manifests(folder: Folder) -> list[Path]:
    return sorted(folder.tokens.glob("*/manifest.json"))


def _digest(folder: Folder, manifests: list[Path], study_name: str, arms: tuple[str, ...], behind: Path | None) -> str:
    """Of everything that can change the page: the files, which records exist, and this package itself."""
    files = [
        folder.fit,
        folder.table,
        folder.corpus_manifest,
        *manifests,
        folder.windows_manifest,
        folder.plan,
        folder.audit,
        folder.controls,
        folder.probe,
        folder.baselines,
        *([behind] if behind else []),
        *sorted(path for path in _PACKAGE.iterdir() if path.is_file()),
    ]
    parts = [
        study_name,
        *arms,
        *sorted(path.parent.name for path in folder.runs.glob("*/record.json")),
    ]
    parts += [f"{path.name} {file_digest(path)}" for path in files if path.is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
