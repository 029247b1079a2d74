"""Claims: status, reason, what is missing and at which compute, executed FLOPs, parity, held-out documents."""

import numpy as np
import pytest

from bytegap.fit import claims as made_claims
from bytegap.fit import conventions, sentences
from bytegap.fit.stage import fit_rows
from bytegap.schema.claims import Claim
from bytegap.schema.fit import Fit
from bytegap.schema.runs import RunRow
from bytegap.study.config import Fit as FitOptions
from tests.helpers.synthetic_runs import BUDGETS, LAWS, Law, simulated_rows, with_bpb

APART = BUDGETS | {"byte-mdm": (1.2e13, 2e13, 4e13), "bpe512-mdm": (2e14, 4e14, 8e14)}
"""Byte MDM was not observed at the losses of BPE MDM."""


def claims(fit: Fit, kind: str) -> list[Claim]:
    return [claim for claim in fit.claims if claim.kind == kind]


def test_claims_have_the_numbers_of_the_headlines(noisy: Fit) -> None:
    headlines = [row for row in noisy.estimands if row.headline]
    assert [claim.kind for claim in noisy.claims] == ["overhead", "overhead", "interaction"]
    for claim, row in zip(noisy.claims, headlines, strict=True):
        assert (claim.arms, claim.objective, claim.at_bpb) == (row.arms, row.objective, row.at_bpb)
        assert claim.value == row.quantity.value
        assert (claim.status, claim.bound, claim.reason, claim.missing) == ("estimated", "", None, ())
        same = [
            each for each in noisy.estimands if (each.name, each.arms, each.at_bpb) == (row.name, row.arms, row.at_bpb)
        ]
        assert claim.forms == len(same) >= 2
        assert claim.ci95 == (min(each.quantity.ci95[0] for each in same), max(each.quantity.ci95[1] for each in same))
    assert list(noisy.verdict) == [claim.sentence for claim in noisy.claims]


def test_what_is_missing_is_extrapolated_from_the_arms_own_frontiers() -> None:
    fit = fit_rows(simulated_rows(LAWS, APART, noise=0.0), bootstraps=20)
    _, mdm = claims(fit, "overhead")
    assert mdm.reason is not None
    assert (mdm.status, mdm.reason.why) == ("not identified", "no common loss")
    byte, other = mdm.missing
    assert (byte.arm, byte.needs) == ("byte-mdm", "larger budget")
    assert (other.arm, other.needs) == ("bpe512-mdm", "smaller budget")
    assert byte.bpb == pytest.approx(LAWS["bpe512-mdm"].bpb(2e14), rel=0.002)
    assert other.bpb == pytest.approx(LAWS["byte-mdm"].bpb(4e13), rel=0.002)
    for lack in mdm.missing:
        assert np.log(lack.flops / LAWS[lack.arm].flops(lack.bpb)) == pytest.approx(0, abs=0.4)
    assert f"a larger budget of byte-mdm (down to {byte.bpb:.2f} BPB, by extrapolation at about" in mdm.remedy
    assert ", or a smaller budget of bpe512-mdm (up to " in mdm.remedy
    assert sentences._flops(3.14e9) == "3.1e9"
    assert sentences._flops(3e13) == "3e13"


def edge_minimum(rows: list[RunRow], arm: str, largest: bool) -> list[RunRow]:
    """The runs of one arm, each loss replaced so that it falls, or rises, with size."""
    sign = -1 if largest else 1
    return [
        with_bpb(row, 2.5 + sign * 0.1 * np.log(row.non_embedding_parameters / 1e5)) if row.arm == arm else row
        for row in rows
    ]


@pytest.mark.parametrize(("largest", "needs"), [(True, "larger sizes"), (False, "smaller sizes")])
def test_an_arm_without_a_bracketed_minimum_needs_other_sizes(largest: bool, needs: str) -> None:
    fit = fit_rows(edge_minimum(simulated_rows(), "byte-ar", largest), bootstraps=50)
    ar, mdm = claims(fit, "overhead")
    assert (ar.reason.why, ar.reason.arms) == ("no bracketed minimum", ("byte-ar",))
    assert [(lack.arm, lack.needs) for lack in ar.missing] == [("byte-ar", needs)]
    assert mdm.status == "estimated"


def test_an_arm_without_finished_runs_needs_them() -> None:
    lost = {"status": "failed", "reason": "loss is not finite", "bpb": None, "bpb_se": None}
    rows = [row.model_copy(update=lost) if row.arm == "bpe512-ar" else row for row in simulated_rows()]
    ar = claims(fit_rows(rows, bootstraps=20), "overhead")[0]
    assert ar.reason.why == "no finished run"
    assert [(lack.arm, lack.needs) for lack in ar.missing] == [("bpe512-ar", "finished runs")]


def test_a_study_without_matching_arms_has_claims_without_arms() -> None:
    fit = fit_rows(simulated_rows({"byte-ar": LAWS["byte-ar"]}), bootstraps=20)
    assert [claim.reason.why for claim in fit.claims] == ["no matching arm"] * 3
    assert all(claim.arms == () for claim in fit.claims)


def test_equivalence_is_a_status() -> None:
    laws = LAWS | {"byte-ar": LAWS["bpe512-ar"]}
    budgets = dict.fromkeys(LAWS, (1e13, 4e13, 1.6e14))
    fit = fit_rows(simulated_rows(laws, budgets, noise=0.002), bootstraps=200, options=FitOptions(margin=1.3))
    ar, mdm = claims(fit, "overhead")
    assert (ar.status, ar.margin) == ("equivalent", 1.3)
    assert np.abs(np.log(ar.ci90)).max() < np.log(1.3)
    assert mdm.status == "estimated"
    assert [("equivalent" in sentence) for sentence in fit.verdict[:2]] == [True, False]


@pytest.mark.parametrize(
    ("name", "ci90", "within"),
    [
        ("interaction", (-0.2, 0.2), True),
        ("interaction", (-0.3, 0.2), False),
        ("interaction", (-0.2, 0.3), False),
        ("overhead", (0.8, 1.25), True),
        ("overhead", (0.7, 1.1), False),
        ("overhead", (0.9, 1.35), False),
    ],
)
def test_equivalence_needs_both_one_sided_tests(noisy: Fit, name: str, ci90: tuple[float, float], within: bool) -> None:
    """The margin of 1.3 is 0.262 in natural log."""
    row = next(row for row in noisy.estimands if row.headline and row.name == name)
    headline = made_claims.Headline(row, 1.0, None, ci90, 1)
    assert headline.is_within(1.3) == within
    assert not headline.is_within(None)


CROSSING = {
    "byte-ar": Law.through(2.2, 4e13, 150e3, exponents=(0.40, 0.36)),
    "bpe512-ar": Law.through(2.2, 4e13, 150e3, exponents=(0.32, 0.28)),
}


@pytest.mark.parametrize(("highest", "claimed"), [(1.6e14, True), (5e13, False)])
def test_parity_is_claimed_only_with_its_interval_within_the_budgets(highest: float, claimed: bool) -> None:
    budgets = dict.fromkeys(CROSSING, (1e13, 2.5e13, highest))
    fit = fit_rows(simulated_rows(CROSSING, budgets, noise=0.004), bootstraps=200)
    found = claims(fit, "parity")
    assert bool(found) == claimed
    assert all(row.label == "estimated" for row in fit.estimands if row.name == "parity")
    for claim in found:
        assert claim.ci95[0] < claim.value < claim.ci95[1] < highest
        assert claim.value == pytest.approx(4e13, rel=0.25)
        assert "bytes need no more compute than bpe512 (V = 512) from" in claim.sentence


def executed_rows(factor: float) -> list[RunRow]:
    """Of every byte arm's compute the step executes this share."""

    def counts(row: RunRow) -> dict[str, float]:
        share = factor if row.tokenizer == "byte" else 1.0
        return {conventions.DEFAULT: row.flops, conventions.EXECUTED: share * row.flops}

    return [row.model_copy(update={"flops_by_convention": counts(row)}) for row in simulated_rows()]


def test_claims_have_their_number_under_the_executed_flops(noisy: Fit) -> None:
    assert conventions.EXECUTED == "attention=full head=supervised"
    fit = fit_rows(executed_rows(0.8), bootstraps=100)
    ar, mdm, interaction = fit.claims
    for claim in (ar, mdm):
        assert claim.executed.convention == conventions.EXECUTED
        assert claim.executed.value == pytest.approx(0.8 * claim.value, rel=1e-3)
        assert claim.executed.ci95[0] < claim.executed.value < claim.executed.ci95[1]
        assert f"by the FLOPs that the training step executes, {claim.executed.value:.3g}." in claim.sentence
    assert interaction.executed.value == pytest.approx(interaction.value, abs=1e-3)
    assert f"executes, interaction {interaction.executed.value:.3g}." in interaction.sentence
    assert all(claim.executed is None for claim in noisy.claims)


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        (0, "These runs do not record how many documents"),
        (1, "only one document,"),
        (19, "only 19 documents,"),
        (20, ""),
    ],
)
def test_verdict_opens_with_few_documents(documents: int, words: str) -> None:
    rows = [
        with_bpb(row.model_copy(update={"document_bytes": (500,) * documents}), row.bpb) for row in simulated_rows()
    ]
    fit = fit_rows(rows, bootstraps=20)
    assert fit.held_out_documents == (documents or None)
    assert len(fit.verdict) == 3 + bool(words)
    assert words in fit.verdict[0]
    assert fit.verdict[-3].startswith("Under AR")


@pytest.mark.parametrize(
    ("arms", "sentences_of_ar", "sentences_of_both"),
    [
        ((), "", ""),
        (
            ("byte-ar",),
            "The frontier of byte-ar rests on two budgets, so its form is not tested.",
            "The frontier of byte-ar rests on two budgets, so its form is not tested.",
        ),
        (
            ("byte-ar", "byte-mdm", "bpe512-mdm"),
            "The frontier of byte-ar rests on two budgets, so its form is not tested.",
            "The frontiers of byte-mdm, bpe512-mdm and byte-ar rest on two budgets each, so their form is not tested.",
        ),
    ],
)
def test_a_claim_says_which_frontiers_rest_on_two_budgets(
    arms: tuple[str, ...], sentences_of_ar: str, sentences_of_both: str
) -> None:
    budgets = {arm: own[::2] if arm in arms else own for arm, own in BUDGETS.items()}
    fit = fit_rows(simulated_rows(LAWS, budgets, noise=0.002), bootstraps=50)
    ar, mdm, interaction = fit.claims
    assert (ar.caveat, interaction.caveat) == (sentences_of_ar, sentences_of_both)
    assert interaction.untested == tuple(arm for arm in interaction.arms if arm in arms)
    assert set(mdm.untested) == set(arms) & set(mdm.arms)
    for claim, line in zip(fit.claims, fit.verdict, strict=True):
        assert claim.is_estimate
        assert line == f"{claim.sentence} {claim.caveat}".strip()


def test_what_has_no_value_rests_on_nothing_and_earlier_claims_are_read(noisy: Fit) -> None:
    fit = fit_rows(simulated_rows(LAWS, {arm: own[::2] for arm, own in APART.items()}, noise=0.0), bootstraps=20)
    assert [claim.untested for claim in fit.claims if claim.value is None] == [(), ()]
    assert fit.claims[0].untested == ("byte-ar", "bpe512-ar")
    former = noisy.claims[0].model_dump(exclude={"untested", "caveat"})
    assert Claim.model_validate(former) == noisy.claims[0]
