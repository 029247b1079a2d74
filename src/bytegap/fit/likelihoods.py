"""Other likelihoods of masked models: what they gain over the NELBO, and what share of an interaction they explain.

    order gain   NELBO - nats of the deterministic unmasking rule that is best on the arm's validation scores
    slack        NELBO - log-mean-exp bound over K orders, of the largest K
    share        1 - I_other(L) / I_NELBO(L) at the same L

Both likelihoods of a run are on the same windows. Their ratio R = other / NELBO has errors paired by document: the
documents are resampled jointly for all runs, the deviations widened by (n / (n - 1))^1/2. Without nats of documents,
the errors are the estimates' own, taken as independent.

Only the best size of a cell has other likelihoods, so for the share the minimum of its cell is moved by its R. A
budget without R gets one by interpolation in ln C between the arm's others. Frontiers and interaction follow as usual.

Suffixes: K = point estimate and draws, B = draws, D = documents, M = measured budgets, P = budgets in the frontier.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bytegap.cost.bits import bits_per_byte
from bytegap.fit.censoring import ArmPair, bpb_of_same_models
from bytegap.fit.estimands import pair_in_form
from bytegap.fit.frontiers import Arm, fit_frontiers
from bytegap.fit.reestimate import DefaultFit
from bytegap.scaling.bootstrap import quantity
from bytegap.scaling.laws import Array
from bytegap.schema.base import FrozenDict
from bytegap.schema.fit import Estimand, ExplainedShare, Gain, Label, LikelihoodGain, Likelihoods
from bytegap.schema.runs import RuleScore, RunRow

GAINS: tuple[Gain, Gain] = ("order gain", "slack")
_ORDERS = "orders:"


@dataclass(frozen=True)
class _Measured:
    """A likelihood of the best size of a cell, on the test split."""

    row: RunRow
    score: RuleScore
    ln_ratio_K: Array
    """ln R."""

    @property
    def gain(self) -> LikelihoodGain:
        """As recorded, not yet marked as chosen."""
        nelbo_bpb = bits_per_byte(self.score.nelbo_nats, self.score.bytes)
        return LikelihoodGain(
            arm=self.row.arm,
            budget_flops=self.row.budget_flops,
            run=self.row.run,
            gain=_gain(self.score.likelihood),
            likelihood=self.score.likelihood,
            chosen=False,
            gain_bpb=quantity(nelbo_bpb * -np.expm1(self.ln_ratio_K)),
            documents=len(self.score.document_nats),
            windows=self.score.windows,
        )


def likelihoods(rows: Sequence[RunRow], default: DefaultFit, bootstraps: int, seed: int) -> Likelihoods | None:
    """Gains of every measured run, and the share of each headlined interaction; None where no run is measured."""
    best = _best_rows(rows)
    if not best:
        return None
    measured = _measure(best, bootstraps, np.random.default_rng(seed))
    chosen = {gain: _chosen(best, gain) for gain in GAINS}
    gains: list[LikelihoodGain] = []
    for each in measured:
        found = each.gain
        is_chosen = chosen[found.gain].get(found.arm) == found.likelihood
        gains.append(found.model_copy(update={"chosen": is_chosen}))
    shares = [share for gain in GAINS for share in _shares(gain, chosen[gain], measured, default)]
    return Likelihoods(gains=tuple(gains), shares=tuple(shares))


def _gain(likelihood: str) -> Gain:
    return "slack" if likelihood.startswith(_ORDERS) else "order gain"


def _best_rows(rows: Sequence[RunRow]) -> list[RunRow]:
    """Of each cell, the finished run of lowest BPB among those that have other likelihoods; by arm and budget."""
    best: dict[tuple[str, float], RunRow] = {}
    for row in rows:
        if row.status == "finished" and row.bpb and row.likelihoods:
            key = row.arm, row.budget_flops
            best[key] = min(row, best.get(key, row), key=lambda each: (each.bpb or np.inf, each.run))
    return [best[key] for key in sorted(best)]


def _measure(rows: Sequence[RunRow], bootstraps: int, rng: np.random.Generator) -> list[_Measured]:
    """Ln R of every test score, point estimate and draws."""
    weights_by_n: dict[int, Array] = {}
    measured: list[_Measured] = []
    for row in rows:
        for score in row.likelihoods:
            n = len(score.document_nats)
            if score.split != "test":
                continue
            if n > 1 and n not in weights_by_n:
                weights_by_n[n] = rng.multinomial(n, np.full(n, 1 / n), bootstraps).astype(np.float64)
            deviation_B = _deviations(score, weights_by_n[n]) if n > 1 else _sd(score) * rng.standard_normal(bootstraps)
            ln_ratio = float(np.log(score.nats / score.nelbo_nats))
            measured.append(_Measured(row, score, np.concatenate([[ln_ratio], ln_ratio + deviation_B])))
    return measured


def _deviations(score: RuleScore, weights_BD: Array) -> Array:
    """Deviations of ln R over resampled documents, (B,)."""
    n = len(score.document_nats)
    other_D, nelbo_D = np.array(score.document_nats), np.array(score.nelbo_document_nats)
    ln_ratio_B = np.log((weights_BD @ other_D) / (weights_BD @ nelbo_D))
    return (n / (n - 1)) ** 0.5 * (ln_ratio_B - np.log(other_D.sum() / nelbo_D.sum()))


def _sd(score: RuleScore) -> float:
    """Standard deviation of ln R from the estimates' own errors."""
    return float(np.hypot(score.nats_se / score.nats, score.nelbo_se / score.nelbo_nats))


def _chosen(rows: Sequence[RunRow], gain: Gain) -> dict[str, str]:
    """The likelihood that stands for each arm: of bounds, the most orders; of rules, the best on validation.

    It must be scored at each of the arm's budgets that has other likelihoods.
    """
    split = "test" if gain == "slack" else "validation"
    by_arm: dict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        by_arm[row.arm].append(row)
    chosen: dict[str, str] = {}
    for arm, own in by_arm.items():
        names = set[str].intersection(
            *({each.likelihood for each in row.likelihoods if each.split == split} for row in own)
        )
        names = sorted(name for name in names if _gain(name) == gain)
        if names and gain == "slack":
            chosen[arm] = max(names, key=lambda name: int(name.removeprefix(_ORDERS)))
        elif names:
            ln_ratios = {name: _validation_ln_ratio(own, name) for name in names}
            chosen[arm] = min(names, key=ln_ratios.__getitem__)
    return chosen


def _validation_ln_ratio(rows: Sequence[RunRow], likelihood: str) -> float:
    """Sum over runs of ln R on the validation split."""
    scores = [
        score
        for row in rows
        for score in row.likelihoods
        if (score.likelihood, score.split) == (likelihood, "validation")
    ]
    return float(sum(np.log(score.nats / score.nelbo_nats) for score in scores))


def _shares(
    gain: Gain, chosen: Mapping[str, str], measured: Sequence[_Measured], default: DefaultFit
) -> Iterator[ExplainedShare]:
    """The share of each headlined interaction whose first two arms both have a likelihood of this kind."""
    arms = [_moved(arm, chosen.get(arm.name), measured) if arm.budgets else arm for arm in default.arms]
    frontiers, _ = fit_frontiers(arms)
    moved = replace(default, arms=arms, frontiers=frontiers)
    for row in default.estimands:
        if not (row.headline and row.name == "interaction" and all(name in chosen for name in row.arms[:2])):
            continue
        pairs = _pairs(row, default), _pairs(row, moved)
        found = [_interaction(row, *pair) for pair in pairs]
        if row.form == "minima" or row.at_bpb is None or found[0] is None or found[1] is None:
            continue
        (nelbo_K, label), (other_K, other_label) = found[0], found[1]
        yield ExplainedShare(
            gain=gain,
            likelihoods=FrozenDict({name: chosen[name] for name in row.arms if name in chosen}),
            arms=row.arms,
            form=row.form,
            at_bpb=row.at_bpb,
            interaction=quantity(nelbo_K),
            other_interaction=quantity(other_K),
            share=quantity(1 - other_K / nelbo_K),
            label="estimated" if label == other_label == "estimated" else "extrapolated",
        )


def _moved(arm: Arm, likelihood: str | None, measured: Sequence[_Measured]) -> Arm:
    """The arm with its minima multiplied by R of a likelihood; as it is without one."""
    own = [each for each in measured if (each.row.arm, each.score.likelihood) == (arm.name, likelihood)]
    if not own:
        return arm
    own.sort(key=lambda each: each.row.flops)
    ln_flops_M = np.log([each.row.flops for each in own])
    share_MP = np.array([np.interp(arm.ln_flops_P, ln_flops_M, unit_M) for unit_M in np.eye(len(own))])
    ln_ratio_KP = np.array([each.ln_ratio_K for each in own]).T @ share_MP
    # Without runs: the law of all sizes, the form `parametric`, does not follow from the best sizes' R.
    run_KP = None if arm.ln_bpb_run_KP is None else arm.ln_bpb_run_KP + ln_ratio_KP
    return replace(arm, ln_bpb_KP=arm.ln_bpb_KP + ln_ratio_KP, ln_bpb_run_KP=run_KP, runs=())


def _pairs(row: Estimand, fit: DefaultFit) -> tuple[ArmPair, ArmPair]:
    """The two pairs of an interaction, with their frontiers in its form."""
    by_name = {arm.name: arm for arm in fit.arms}
    byte, other, base_byte, base_other = (by_name[name] for name in row.arms)
    assert row.form != "minima"
    return (
        pair_in_form((byte, other), row.form, fit.frontiers),
        pair_in_form((base_byte, base_other), row.form, fit.frontiers),
    )


def _interaction(row: Estimand, pair: ArmPair, base: ArmPair) -> tuple[Array, Label] | None:
    """I at the loss of `row`, by the frontiers, and whether all arms were observed there."""
    assert row.at_bpb is not None
    bpb_K = bpb_of_same_models([*pair.arms, *base.arms], row.at_bpb)
    ln_k_K, base_ln_k_K = (each.ln_overhead_extrapolated(bpb_K) for each in (pair, base))
    if ln_k_K is None or base_ln_k_K is None:
        return None
    ranges = [arm.bpb_observed for each in (pair, base) for arm in each.arms]
    observed = all(low <= row.at_bpb <= high for low, high in ranges)
    return ln_k_K - base_ln_k_K, "estimated" if observed else "extrapolated"
