"""What a study that names hours will identify, before it is trained, or what hours it would take.

Reads tokens/, pilot.json if there is one; writes nothing.
Before the pilot the laws are those of the committed studies' arms, with the uncertainty that a pilot leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.console import say, warn
from bytegap.plan import hours
from bytegap.plan.pilot import PilotArm
from bytegap.plan.placement import Comparison, Placement
from bytegap.plan.rough_law import RoughLaw
from bytegap.power.simulate import Simulation
from bytegap.schema.pilot import Pilot
from bytegap.schema.plan import Plan
from bytegap.study.config import Study
from bytegap.study.directory import StudyDir

LIKELY = 0.8
"""Share of the draws in which a comparison must be estimated to be promised."""
_BISECTIONS = 2
"""Of the hours that would do, between two that differ by a factor of 2."""
_AFTER_PILOT_SD = np.array([0.04, 0.15, 0.3, 0.08, 0.25, 0.2])
"""Standard deviations of a law's parameters (`rough_law`) that a pilot leaves, for forecasts before it (assumption)."""


@dataclass(frozen=True)
class Forecast:
    """A placement, and what it rests on."""

    pilot: Pilot
    prospect: hours.Prospect
    placement: Placement


def forecast(study: Study, study_dir: StudyDir) -> Forecast:
    """Place the budgets as well as is known now, and say what they are likely to identify."""
    pilot = hours.current_pilot(study, study_dir) or hours.unstarted_pilot(study, study_dir)
    say("plan", f"placing budgets for {pilot.hours:g} hours")  # takes up to a minute where hours are many
    arms = hours.pilot_arms(study, study_dir, pilot)
    laws = None if pilot.finished else [_before_pilot(arm, index) for index, arm in enumerate(arms)]
    prospect = hours.prospect(study, study_dir, pilot, laws)
    found = Forecast(pilot, prospect, prospect.placement(hours.hours_left(pilot)))
    _say(found)
    return found


def plan_of(study: Study, study_dir: StudyDir, found: Forecast) -> Plan:
    """The plan of a forecast's placement."""
    runs = hours.runs_of(study, study_dir, (found.pilot, found.prospect, found.placement))
    return Plan(
        inputs_sha256=found.pilot.inputs_sha256,
        study=study.name,
        workers=found.pilot.workers,
        rounds=0,
        runs=tuple(runs),
    )


def simulation_of(study: Study, study_dir: StudyDir, found: Forecast) -> Simulation:
    """Simulated studies of that plan, each under other draws of the laws."""
    prospect = found.prospect
    draws = min(len(law.parameters_K6) for law in prospect.laws)
    return Simulation(
        study,
        plan_of(study, study_dir, found),
        study_dir.windows(),
        [dict(zip(prospect.names, (law.draw(k) for law in prospect.laws), strict=True)) for k in range(1, draws)],
        {name: law.noise for name, law in zip(prospect.names, prospect.laws, strict=True)},
    )


def _before_pilot(arm: PilotArm, seed: int) -> RoughLaw:
    """The law that is assumed of an arm, with draws as after a pilot."""
    law = arm.law([])
    noise_K6 = np.random.default_rng(seed).standard_normal(law.parameters_K6.shape) * _AFTER_PILOT_SD
    noise_K6[0] = 0.0
    return RoughLaw(law.reference_flops, law.unigram_bpb, law.parameters_K6[0] + noise_K6, law.noise)


def _say(found: Forecast) -> None:
    """What the hours identify; a warning where it is nothing, or not all."""
    pilot, placement, comparisons = found.pilot, found.placement, found.prospect.comparisons
    say("plan", f"forecast for {pilot.hours:g} hours with {pilot.workers} workers, from {_basis(pilot)}:")
    if not comparisons:
        say("plan", "no byte arm has a counterpart of another tokenizer, so no overhead is estimated")
        return
    for comparison, share, sd in zip(comparisons, placement.identified, placement.sd, strict=True):
        say("plan", f"  {sentence(found.prospect.names, comparison, share, sd)}")
    missing = [each for each, share in zip(comparisons, placement.identified, strict=True) if share < LIKELY]
    if missing:
        names = ", ".join(title(found.prospect.names, each) for each in missing)
        what = "nothing is likely to be identified" if len(missing) == len(comparisons) else f"not likely: {names}"
        warn("plan", f"with {pilot.hours:g} hours {what}; {_what_would_do(found, missing)}")


def _basis(pilot: Pilot) -> str:
    """Where the laws are from."""
    assumed = "laws of the committed studies, which your text may not follow"
    reached, other = hours.reached_arms(pilot)
    if not pilot.finished or not reached:
        return assumed
    own = "the pilot's runs"
    return f"{own} of {', '.join(reached)}, and for {', '.join(other)} {assumed}" if other else own


def _what_would_do(found: Forecast, missing: Sequence[Comparison]) -> str:
    """The hours that all missing comparisons need; where no hours suffice, those that some of them need."""
    if needed := hours_needed(found, missing):
        return f"{needed:.2g} hours would do"
    some = [(each, needed) for each in missing[:-1] if (needed := hours_needed(found, [each]))]
    parts = [f"{needed:.2g} hours would do for the {title(found.prospect.names, each)}" for each, needed in some]
    most = f"even {hours.MOST_HOURS_FACTOR * found.pilot.hours:.2g} hours would not do"
    return "; ".join([*parts, f"{most} for all" if parts else most])


def title(names: Sequence[str], comparison: Comparison) -> str:
    """A comparison in words."""
    arms = [names[arm] for arm in comparison]
    return (
        f"overhead {' / '.join(arms)}"
        if len(arms) == 2
        else f"interaction of {arms[0]} / {arms[1]} over {arms[2]} / {arms[3]}"
    )


def sentence(names: Sequence[str], comparison: Comparison, share: float, sd: float) -> str:
    """How probably a comparison is estimated, and how wide its 95 % interval is then."""
    found = f"{title(names, comparison)}: estimated with probability {share:.0%}"
    if share == 0 or np.isnan(sd):
        return found
    width = f"within a factor of {np.exp(1.96 * sd):.2f}" if len(comparison) == 2 else f"+- {1.96 * sd:.2f}"
    return f"{found}, 95 % interval {width}"


def hours_needed(found: Forecast, comparisons: Sequence[Comparison]) -> float | None:
    """About the least hours at which these comparisons are likely to be estimated; None where no hours are enough."""
    for_runs = hours.hours_left(found.pilot) / found.pilot.hours
    index = [found.prospect.comparisons.index(comparison) for comparison in comparisons]

    def suffice(total: float) -> bool:
        placement = found.prospect.placement(total * for_runs)
        return min(placement.identified[own] for own in index) >= LIKELY

    high = 2 * found.pilot.hours
    while not suffice(high):
        high *= 2
        if high > hours.MOST_HOURS_FACTOR * found.pilot.hours:
            return None
    low = high / 2
    for _ in range(_BISECTIONS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if suffice(middle) else (middle, high)
    return high
