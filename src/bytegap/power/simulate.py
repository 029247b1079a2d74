"""Power analysis: simulates studies of a plan under assumed laws, fits them, and prints what the fits found.

Reads tokens/windows.json; writes nothing.
A run's loss is that of its arm's law at its N and C, times log-normal noise.
The fit is the one that `bytegap fit` makes, with fewer bootstraps.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Protocol

import numpy as np
from rich.table import Table

from bytegap.console import say, show, track
from bytegap.data.vocabulary import Vocabulary
from bytegap.fit.stage import fit_rows
from bytegap.models.base import model_family
from bytegap.objectives.base import objective
from bytegap.power.laws_file import AssumedLaws
from bytegap.runs.row import Outcome, run_row
from bytegap.scaling.laws import Array, Numbers
from bytegap.schema.data import WindowsManifest
from bytegap.schema.fit import Estimand
from bytegap.schema.plan import Plan, RunSpec
from bytegap.schema.runs import RunRow
from bytegap.study.config import Study
from bytegap.study.directory import StudyDir

BOOTSTRAPS = 200
ESTIMATOR_NOISE = 0.2
"""Standard error of a Monte Carlo likelihood as a share of the noise between runs (assumption)."""


class ArmWorld(Protocol):
    """The law of one arm in a simulated study."""

    def bpb_of(self, parameters: float, flops: float, /) -> Numbers | Array:
        """L of one size at one compute."""
        ...

    def flops(self, bpb: float, /) -> float:
        """C(L) at the best size."""
        ...


@dataclass(frozen=True)
class Simulation:
    """What all simulated studies share."""

    study: Study
    plan: Plan
    windows: WindowsManifest
    worlds: Sequence[Mapping[str, ArmWorld]]
    """The law of each arm; simulated studies take them in turn."""
    noise: Mapping[str, float]
    """Standard deviation between runs of each arm, as a share of BPB."""

    def world(self, seed: int) -> Mapping[str, ArmWorld]:
        """The laws of one simulated study."""
        return self.worlds[seed % len(self.worlds)]


@dataclass(frozen=True)
class HeadlineInterval:
    """One headline estimand of one simulated study, with the value that the assumed laws imply.

    For an overhead, the natural logarithm of the ratio; for an interaction, the value as it is.
    """

    name: str
    objective: str
    arms: tuple[str, ...]
    truth: float
    low: float
    """Of the 95 % interval."""
    high: float


@dataclass(frozen=True)
class ExponentTest:
    """A one-sided test of one simulated study: whether the first arm's exponent was shown to be not below."""

    arms: tuple[str, str]
    margin: float
    passed: bool


@dataclass(frozen=True)
class SimulatedFit:
    """What the fit of one simulated study found."""

    intervals: tuple[HeadlineInterval, ...]
    """Of the headlines that it estimated."""
    tests: tuple[ExponentTest, ...]
    """Those that the study's [fit] table names."""
    cells_in_frontier: int
    """IsoFLOP cells whose minimum was bracketed and used."""


def assumed(study: Study, study_dir: StudyDir, plan: Plan, laws: AssumedLaws) -> Simulation:
    """Studies of a plan that all have the same laws."""
    return Simulation(study, plan, study_dir.windows(), [laws.world], dict.fromkeys(study.arms, laws.noise))


def simulate_studies(simulation: Simulation, n_studies: int) -> None:
    """Simulate that many studies of the plan and print what their fits found."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        results = pool.map(partial(simulate_fit, simulation), range(n_studies))
        fits = list(track(results, "simulating studies", total=n_studies))
    _print(simulation, fits)


def simulate_fit(simulation: Simulation, seed: int) -> SimulatedFit:
    """Simulate one study with all its repeats, and fit it with its own [fit] table."""
    rng = np.random.default_rng((simulation.study.seed, seed))
    laws = simulation.world(seed)
    rows = [simulate_row(simulation, run, laws[run.arm], rng) for run in simulation.plan.runs]
    fit = fit_rows(rows, BOOTSTRAPS, seed, simulation.study.fit)
    headlines = [estimand for estimand in fit.estimands if estimand.headline and estimand.label == "estimated"]
    intervals = [interval for estimand in headlines if (interval := headline_interval(estimand, laws))]
    tests = tuple(ExponentTest(test.arms, test.margin, test.not_below) for test in fit.slopes_not_below)
    return SimulatedFit(tuple(intervals), tests, sum(cell.in_frontier for cell in fit.cells))


def headline_interval(estimand: Estimand, laws: Mapping[str, ArmWorld]) -> HeadlineInterval | None:
    """The interval of an overhead or interaction at equal loss; None for other estimands."""
    if estimand.at_bpb is None or estimand.quantity.ci95 is None:
        return None
    log_flops = [np.log(laws[arm].flops(estimand.at_bpb)) for arm in estimand.arms]
    truth, interval = log_flops[0] - log_flops[1], estimand.quantity.ci95
    if estimand.name == "interaction":
        truth -= log_flops[2] - log_flops[3]
    else:
        interval = np.log(interval)
    low, high = map(float, interval)
    return HeadlineInterval(estimand.name, estimand.objective, tuple(estimand.arms), float(truth), low, high)


def simulate_row(simulation: Simulation, run: RunSpec, law: ArmWorld, rng: np.random.Generator) -> RunRow:
    """The row of runs.jsonl that a run would leave if this law of its arm held."""
    noise = simulation.noise[run.arm]
    bpb = float(law.bpb_of(run.non_embedding_parameters, run.flops) * np.exp(noise * rng.standard_normal()))
    is_exact = objective(run.objective, run.objective_options).is_exact
    return run_row(
        run,
        simulation.windows,
        simulation.study.tokenizers[run.tokenizer].name,
        Vocabulary.from_n_ids(model_family(run.model).config(run.model_shape).n_ids).vocab_size,
        Outcome(
            status="finished",
            reason="",
            spent_flops=run.flops,
            bpb=bpb,
            bpb_se=0.0 if is_exact else ESTIMATOR_NOISE * noise * bpb,
            validation_bpb=bpb,
            windows_sha256=simulation.windows.splits["test"].sha256,
            mc_passes=1 if is_exact else run.mc_passes,
        ),
    )


def _print(simulation: Simulation, fits: list[SimulatedFit]) -> None:
    """Print for each headline how often it was estimated, how wide its interval was, and what it detected."""
    cells = len({(run.arm, run.budget_flops) for run in simulation.plan.runs})
    used = np.mean([fit.cells_in_frontier for fit in fits])
    say(
        "plan",
        f"simulated studies: {len(fits)}, with a noise of {_range(simulation.noise)} between runs; on average "
        f"{used:.1f} of {cells} minima are bracketed and used in a frontier",
    )
    table = Table()
    headings = ("headline", "arms", "truth", "estimated", "95 % interval covers the truth", "half-width", "detected")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in headings[:2] else "right")
    by_headline: dict[tuple[str, tuple[str, ...]], list[HeadlineInterval]] = {}
    for interval in (interval for fit in fits for interval in fit.intervals):
        by_headline.setdefault((interval.name, interval.arms), []).append(interval)
    for intervals in by_headline.values():
        table.add_row(*_cells(intervals, len(fits)))
    if by_headline:
        show(table)
    else:
        say("plan", "no headline was ever estimated: the arms share no loss, or too few minima are used")
    for tests in zip(*(fit.tests for fit in fits), strict=True):
        first, passed = tests[0], float(np.mean([test.passed for test in tests]))
        say(
            "plan",
            f"the exponent of {first.arms[0]} is shown to be above that of {first.arms[1]} less {first.margin:g} in "
            f"{passed:.0%} of the studies",
        )


def _range(noise: Mapping[str, float]) -> str:
    """The noise of all arms, or the least and the most."""
    ends = dict.fromkeys(f"{each:.2%}" for each in (min(noise.values()), max(noise.values())))
    return " to ".join(ends)


def _cells(intervals: list[HeadlineInterval], n_studies: int) -> list[str]:
    """The table's row for one headline."""
    first, truth = intervals[0], float(np.median([each.truth for each in intervals]))
    half_width = float(np.median([each.high - each.low for each in intervals])) / 2
    covered = np.mean([each.low <= each.truth <= each.high for each in intervals])
    excludes_zero = np.mean([each.low > 0 or each.high < 0 for each in intervals])
    is_ratio = first.name == "overhead"
    return [
        f"{first.name}, {first.objective}",
        " / ".join(first.arms),
        f"k = {np.exp(truth):.3g}" if is_ratio else f"I = {truth:.2f}",
        f"{len(intervals) / n_studies:.0%}",
        f"{covered:.0%}",
        f"within a factor of {np.exp(half_width):.2f}" if is_ratio else f"+- {half_width:.2f}",
        f"{excludes_zero * len(intervals) / n_studies:.0%}",
    ]
