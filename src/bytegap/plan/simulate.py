"""What a planned grid could find, before anything is spent: studies drawn from known laws, through the real fit.

Reads tokens/windows.json and a law file, one table an arm:

    noise = 0.005            # deviation between runs, as a share of BPB
    [arms.byte-ar]
    bpb = 2.4                # the best model's ...
    flops = 1e12             # ... at this compute ...
    parameters = 50_000      # ... has this many
    floor = 0.9              # E; floor, alpha and beta may be left out
    alpha = 0.34
    beta = 0.30

Writes nothing. In these worlds a run's BPB is that of a Chinchilla law at its N and C, D = C / 6N.
"""

import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError
from rich.table import Table as Grid

from bytegap import plugins
from bytegap.console import say, show, track
from bytegap.errors import StudyError, nearest
from bytegap.laws import Law
from bytegap.records import Estimand, Fit, Plan, RunRow, RunSpec, WindowsManifest
from bytegap.store import Folder, read_record
from bytegap.study import Study, Table, explain

FitRows = Callable[[Sequence[RunRow], int, int], Fit]
"""(rows, bootstraps, seed) to a fit; handed in, since a stage imports no other."""

BOOTSTRAPS = 200
EVALUATION_SHARE = 0.2  # of the noise, where a likelihood is an estimate (assumption)


class ArmLaw(Table):
    """One arm's world."""

    bpb: float = Field(gt=0)
    flops: float = Field(gt=0)
    parameters: float = Field(gt=0)
    floor: float = Field(default=0.9, ge=0)
    alpha: float = Field(default=0.34, gt=0)
    beta: float = Field(default=0.30, gt=0)

    @property
    def law(self) -> Law:
        """As a law."""
        return Law.through(self.bpb, self.flops, self.parameters, self.floor, (self.alpha, self.beta))


class World(Table):
    """A law an arm, and how far runs scatter about it."""

    noise: float = Field(default=0.005, gt=0, lt=1)
    arms: dict[str, ArmLaw]


def load(path: Path, study: Study) -> World:
    """Read a law file; StudyError where it is no world for the study's arms."""
    try:
        world = World.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        message = f"{path}: no such law file; 'bytegap plan --help' shows one"
        raise StudyError(message) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError, RecursionError) as error:
        message = f"{path}: not TOML: {error}"
        raise StudyError(message) from None
    except ValidationError as error:
        message = f"{path}: {explain(error, _known)}"
        raise StudyError(message) from None
    for name in world.arms:
        if name not in study.arms:
            message = f"{path}: [arms.{name}]: {nearest(name, study.arms)}"
            raise StudyError(message)
    for name in study.arms:
        if name not in world.arms:
            message = f"{path}: [arms.{name}] is missing: every arm of the study needs a law"
            raise StudyError(message)
    for name, arm in world.arms.items():
        if arm.bpb <= arm.floor:
            message = f"{path}: [arms.{name}] bpb = {arm.bpb:g} is not above its floor of {arm.floor:g}"
            raise StudyError(message)
    return world


def _known(path: list[str]) -> set[str]:
    """The keys that the table at `path` of a law file may have."""
    return set((ArmLaw if path else World).model_fields)


def assumed(study: Study) -> World:
    """A world to plan with where none is known: its numbers are assumptions, of the size a quickstart finds.

    BPE-AR reaches 1.8 BPB at 1e12 FLOPs; bytes cost AR 3 and MDM 7 times the compute, MDM costs BPE 45 times; what is
    not AR, with its exact likelihood, counts as MDM. Each arm's best size is what the study expects.
    """
    base = Law.through(1.8, 1e12, 1e5)
    arms = {}
    for name, arm in study.arms.items():
        is_bytes = study.tokens[arm.tokens].name == "bytes"
        exact = plugins.load("objectives", arm.objective.name).EXACT
        cost = (3.0 if exact else 7.0) if is_bytes else 1.0
        cost *= 1.0 if exact else 45.0
        arms[name] = ArmLaw(bpb=base.bpb(1e12 / cost), flops=1e12, parameters=arm.optimum)
    return World(arms=arms)


@dataclass(frozen=True)
class Finding:
    """One headline of one drawn study."""

    name: str
    objective: str
    arms: tuple[str, ...]
    truth: float
    """Of the logarithm."""
    low: float
    high: float


def run(  # noqa: PLR0913, PLR0917 - a simulation has this many settings
    study: Study, folder: Folder, plan: Plan, world: World, fit: FitRows, studies: int
) -> None:
    """Draw that many studies of the plan and say what their fits found."""
    windows = read_record(folder.windows_manifest, WindowsManifest, "tokens")
    draw = partial(_one, plan=plan, windows=windows, study=study, world=world, fit=fit)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        drawn = list(track(pool.map(draw, range(studies)), "drawing studies", total=studies))
    _print(plan, world, [findings for findings, _ in drawn], [kept for _, kept in drawn])


def _one(  # noqa: PLR0913 - as above
    seed: int, *, plan: Plan, windows: WindowsManifest, study: Study, world: World, fit: FitRows
) -> tuple[list[Finding], int]:
    rng = np.random.default_rng((study.seed, seed))
    rows = [_row(spec, windows, study, world, rng) for spec in plan.runs]
    found = fit(rows, BOOTSTRAPS, seed)
    laws = {name: arm.law for name, arm in world.arms.items()}
    headlines = [row for row in found.estimands if row.headline and row.label == "estimated"]
    findings = [finding for row in headlines if (finding := _finding(row, laws))]
    return findings, sum(cell.in_frontier for cell in found.cells)


def _finding(row: Estimand, laws: dict[str, Law]) -> Finding | None:
    if row.at_bpb is None or row.quantity.ci95 is None:
        return None
    cost = [np.log(laws[arm].flops(row.at_bpb)) for arm in row.arms]
    truth = cost[0] - cost[1] - (cost[2] - cost[3] if row.name == "interaction" else 0.0)
    low, high = row.quantity.ci95 if row.name == "interaction" else np.log(row.quantity.ci95)
    return Finding(row.name, row.objective, tuple(row.arms), float(truth), float(low), float(high))


def _row(spec: RunSpec, windows: WindowsManifest, study: Study, world: World, rng: np.random.Generator) -> RunRow:
    """The row that a run of these laws would leave."""
    law, exact = world.arms[spec.arm].law, plugins.load("objectives", spec.objective).EXACT
    bpb = float(law.bpb_of(spec.non_embedding_parameters, spec.flops) * np.exp(world.noise * rng.standard_normal()))
    test = windows.splits["test"]
    return RunRow(
        **spec.planned,
        status="finished",
        reason="",
        tokens_kind=study.tokens[spec.tokens].name,
        vocabulary=spec.shape["vocabulary"] - 3,
        context_bytes=windows.context_bytes,
        spent_flops=spec.flops,
        bpb=bpb,
        bpb_se=0.0 if exact else EVALUATION_SHARE * world.noise * bpb,
        validation_bpb=bpb,
        unigram_bpb=test.tokens[spec.tokens].unigram_bpb,
        bigram_bpb=test.tokens[spec.tokens].bigram_bpb,
        windows_sha256=test.sha256,
    )


def _print(plan: Plan, world: World, drawn: list[list[Finding]], kept: list[int]) -> None:
    """Show, for every headline, how often it is estimated, how wide its interval, what it could detect."""
    cells = len({(spec.arm, spec.budget_flops) for spec in plan.runs})
    say(
        "plan",
        f"{len(drawn)} studies drawn, runs scattered by {world.noise:.2%}: on average {np.mean(kept):.1f} of {cells} "
        "minima are bracketed and learn context",
    )
    table = Grid()
    headings = ("headline", "arms", "truth", "estimated", "interval holds the truth", "95 % interval", "detects")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in headings[:2] else "right")
    keys = list(dict.fromkeys((f.name, f.arms) for findings in drawn for f in findings))
    for name, arms in keys:
        own = [f for findings in drawn for f in findings if (f.name, f.arms) == (name, arms)]
        wide = float(np.median([f.high - f.low for f in own])) / 2
        truth = float(np.median([f.truth for f in own]))
        is_ratio = name == "overhead"
        table.add_row(
            f"{name}, {own[0].objective}",
            " / ".join(arms),
            f"k = {np.exp(truth):.3g}" if is_ratio else f"I = {truth:.2f}",
            f"{len(own) / len(drawn):.0%}",
            f"{np.mean([f.low <= f.truth <= f.high for f in own]):.0%}",
            f"times or by {np.exp(wide):.2f}" if is_ratio else f"+- {wide:.2f}",
            f"{np.mean([f.low > 0 or f.high < 0 for f in own]) * len(own) / len(drawn):.0%}",
        )
    show(table)
    if not keys:
        say("plan", "no headline was ever estimated: the arms share no loss, or too few minima are left to tell")
