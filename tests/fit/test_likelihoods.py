"""Other likelihoods: which rule is chosen, paired errors, and the share of the interaction in a known world."""

import numpy as np
import pytest

from bytegap.fit import likelihoods as other_likelihoods
from bytegap.fit.cells import fit_cells
from bytegap.fit.estimands import estimate
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.fit.likelihoods import likelihoods
from bytegap.fit.reestimate import DefaultFit
from bytegap.fit.stage import fit_rows
from bytegap.schema.fit import Fit, LikelihoodGain
from bytegap.schema.runs import RuleScore, RunRow
from bytegap.study.comparisons import comparisons
from tests.helpers.synthetic_runs import LAWS, simulated_rows

DOCUMENTS = 24
BYTES = 200_000
RATIO = {"byte-mdm": 0.95, "bpe512-mdm": 0.99}
"""Nats of the best rule over the NELBO's."""
VALIDATION = {"left": 1.0, "confidence": 0.98}
"""Further factor of each rule on validation."""
TEST = {"left": 1.02, "confidence": 1.0, "orders:4": 0.99, "orders:8": 0.98}


def scores(row: RunRow, spread: float, rng: np.random.Generator) -> list[RuleScore]:
    found: list[RuleScore] = []
    for split, factors in (("validation", VALIDATION), ("test", TEST)):
        nelbo = np.full(DOCUMENTS, row.bpb * np.log(2) * BYTES / DOCUMENTS) * rng.uniform(0.5, 1.5, DOCUMENTS)
        for name, factor in factors.items():
            ratio = factor if name.startswith("orders") else factor * RATIO[row.arm]
            nats = nelbo * ratio * (1 + spread * rng.standard_normal(DOCUMENTS))
            found.append(
                RuleScore(
                    likelihood=name, split=split, nats=nats.sum(), nats_se=0.0, nelbo_nats=nelbo.sum(), nelbo_se=0.0,
                    bytes=BYTES, windows=400, document_nats=tuple(nats), nelbo_document_nats=tuple(nelbo),
                )
            )  # fmt: skip
    return found


def rows(noise: float = 0.0, spread: float = 0.0, seed: int = 0) -> list[RunRow]:
    """The best size of every masked cell has other likelihoods."""
    rng = np.random.default_rng(seed)
    found = simulated_rows(noise=noise, seed=seed)
    best: dict[tuple[str, float], RunRow] = {}
    for row in found:
        best[row.arm, row.budget_flops] = min(
            row, best.get((row.arm, row.budget_flops), row), key=lambda each: each.bpb
        )
    measured = {row.run for row in best.values() if row.objective == "mdm"}
    return [
        row.model_copy(update={"likelihoods": tuple(scores(row, spread, rng))}) if row.run in measured else row
        for row in found
    ]


def gains(fit: Fit, arm: str, likelihood: str) -> list[LikelihoodGain]:
    return [each for each in fit.likelihoods.gains if (each.arm, each.likelihood) == (arm, likelihood)]


def true_interaction(bpb: float, factor: dict[str, float]) -> float:
    """I at a loss where each masked arm's frontier is multiplied by its factor."""
    ln_c = {arm: np.log(law.flops(bpb / factor.get(arm, 1.0))) for arm, law in LAWS.items()}
    return ln_c["byte-mdm"] - ln_c["bpe512-mdm"] - ln_c["byte-ar"] + ln_c["bpe512-ar"]


def test_no_likelihoods_without_scores(noisy: Fit) -> None:
    assert noisy.likelihoods is None


def test_the_rule_is_chosen_on_validation_and_of_bounds_the_most_orders() -> None:
    fit = fit_rows(rows(), bootstraps=20)
    chosen = {(each.arm, each.gain, each.likelihood) for each in fit.likelihoods.gains if each.chosen}
    assert chosen == {
        (arm, gain, name) for arm in RATIO for gain, name in (("order gain", "confidence"), ("slack", "orders:8"))
    }


def test_gains_are_differences_in_bits_per_byte() -> None:
    found = rows()
    fit = fit_rows(found, bootstraps=20)
    by_run = {row.run: row.bpb for row in found}
    for arm, ratio in RATIO.items():
        own = gains(fit, arm, "confidence")
        assert len(own) == 3
        for each in own:
            assert each.gain_bpb.value == pytest.approx(by_run[each.run] * (1 - ratio), rel=0.25)
            assert (each.documents, each.windows) == (DOCUMENTS, 400)


def test_a_gain_in_closed_form() -> None:
    found = rows()
    fit = fit_rows(found, bootstraps=20)
    for each in fit.likelihoods.gains:
        (row,) = [row for row in found if row.run == each.run]
        (score,) = [s for s in row.likelihoods if (s.likelihood, s.split) == (each.likelihood, "test")]
        bits = (score.nelbo_nats - score.nats) / np.log(2) / score.bytes
        assert each.gain_bpb.value == pytest.approx(bits, rel=1e-12)


def test_errors_are_paired_by_document() -> None:
    """NELBOs of documents differ threefold and the rule follows them: only the scatter of the ratio is an error."""
    spread = 0.02
    found = fit_rows(rows(spread=spread), bootstraps=800).likelihoods.gains
    widths = []
    for each in found:
        low, high = each.gain_bpb.ci95
        widths.append((high - low) / 2 / 1.96)
    nelbo_bpb = 2.5
    assert np.mean(widths) == pytest.approx(nelbo_bpb * spread / DOCUMENTS**0.5, rel=0.3)


def test_deviations_over_documents_in_closed_form() -> None:
    """Two documents, of ratios 0.5 and 1: a resample has one of them twice, or both."""
    score = RuleScore(
        likelihood="left", split="test", nats=3.0, nats_se=0.0, nelbo_nats=4.0, nelbo_se=0.0, bytes=8, windows=2,
        document_nats=(1.0, 2.0), nelbo_document_nats=(2.0, 2.0),
    )  # fmt: skip
    deviations = other_likelihoods._deviations(score, np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    assert deviations == pytest.approx(2**0.5 * np.log([0.5 / 0.75, 1.0, 1 / 0.75]))


def test_share_of_the_interaction_in_a_known_world() -> None:
    fit = fit_rows(rows(), bootstraps=50)
    by_gain = {share.gain: share for share in fit.likelihoods.shares}
    (headline,) = [row for row in fit.estimands if row.headline and row.name == "interaction"]
    order, slack = by_gain["order gain"], by_gain["slack"]
    assert order.likelihoods == dict.fromkeys(RATIO, "confidence")
    assert (order.arms, order.at_bpb, order.form) == (headline.arms, headline.at_bpb, headline.form)
    assert order.interaction.value == headline.quantity.value
    truth = 1 - true_interaction(order.at_bpb, RATIO) / true_interaction(order.at_bpb, {})
    assert truth > 0.1
    assert order.share.value == pytest.approx(truth, abs=0.03)
    both = dict.fromkeys(RATIO, TEST["orders:8"])
    assert slack.share.value == pytest.approx(
        1 - true_interaction(slack.at_bpb, both) / true_interaction(slack.at_bpb, {}), abs=0.03
    )


@pytest.mark.slow
def test_the_shares_interval_covers_the_truth() -> None:
    hits = []
    for seed in range(20):
        found = rows(noise=0.003, spread=0.01, seed=seed)
        arms = arms_of(found, fit_cells(found, 200, np.random.default_rng(seed)).cells)
        frontiers, _ = fit_frontiers(arms)
        compared = comparisons(arms)
        default = DefaultFit(arms, frontiers, estimate(arms, frontiers, compared), compared)
        share = likelihoods(found, default, 200, seed).shares[0]
        assert share.gain == "order gain"
        truth = 1 - true_interaction(share.at_bpb, RATIO) / true_interaction(share.at_bpb, {})
        hits.append(share.share.ci95[0] <= truth <= share.share.ci95[1])
    assert np.mean(hits) >= 0.85


def test_a_rule_without_validation_scores_is_not_chosen() -> None:
    found = [
        row.model_copy(update={"likelihoods": tuple(each for each in row.likelihoods if each.split == "test")})
        for row in rows()
    ]
    fit = fit_rows(found, bootstraps=20)
    assert {each.gain for each in fit.likelihoods.gains if each.chosen} == {"slack"}
    assert {share.gain for share in fit.likelihoods.shares} == {"slack"}


def test_one_arm_with_other_likelihoods_has_gains_and_no_share() -> None:
    found = [row if row.arm != "bpe512-mdm" else row.model_copy(update={"likelihoods": ()}) for row in rows()]
    fit = fit_rows(found, bootstraps=20)
    assert fit.likelihoods.gains
    assert fit.likelihoods.shares == ()
