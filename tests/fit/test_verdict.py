"""Conclusions: numbers where estimated, bounds as bounds, "not identified" where neither is known."""

import numpy as np
import pytest

from bytegap.fit.stage import fit_rows
from bytegap.schema.fit import Fit
from bytegap.schema.runs import RunRow
from bytegap.study.config import Fit as FitOptions
from tests.helpers.synthetic_runs import BUDGETS, LAWS, Law, simulated_rows


def fit(laws: dict[str, Law] = LAWS, budgets: dict = BUDGETS) -> Fit:
    return fit_rows(simulated_rows(laws, budgets, noise=0.002), bootstraps=100)


def headline(found: Fit, objective: str) -> float:
    (value,) = [row.quantity.value for row in found.estimands if row.headline and row.objective == objective]
    return value


def test_verdict_of_an_identified_interaction(noisy: Fit) -> None:
    ar, mdm, interaction = noisy.verdict
    assert noisy.identified
    assert ar.startswith(f"Under AR bytes need {headline(noisy, 'ar'):.3g} times the compute of bpe512 (V = 512)")
    assert mdm.startswith(f"Under MDM bytes need {headline(noisy, 'mdm'):.3g} times the compute")
    assert "the overhead of bytes over bpe512 (V = 512) under MDM is" in interaction
    assert " times that under AR (interaction " in interaction
    assert f"interaction {headline(noisy, 'mdm - ar'):.3g} in natural log, 95 % interval" in interaction
    for sentence in noisy.verdict:
        assert sentence.endswith(".")
        assert ". " not in sentence
        assert "95 % interval" in sentence


def test_verdict_states_an_interval_that_covers_those_of_all_forms(noisy: Fit) -> None:
    (headlined,) = [row for row in noisy.estimands if row.headline and row.objective == "ar"]
    same = [row for row in noisy.estimands if row.arms == headlined.arms and row.at_bpb == headlined.at_bpb]
    forms = [row for row in same if row.name == "overhead"]
    assert {row.form for row in forms} >= {"power law", "shared irreducible loss"}
    low = min(row.quantity.ci95[0] for row in forms)
    high = max(row.quantity.ci95[1] for row in forms)
    assert f"95 % interval {low:.3g} to {high:.3g}, covering all {len(forms)} forms of the frontier" in noisy.verdict[0]


@pytest.mark.parametrize(
    ("objective", "words"), [("ar", "not distinguishable from 1"), ("swapped", " times that under AR (interaction -")]
)
def test_verdict_of_no_interaction_and_of_a_negative_one(objective: str, words: str) -> None:
    laws = dict(LAWS)
    budgets = dict.fromkeys(LAWS, (1e13, 4e13, 1.6e14, 6.4e14))
    for tokenizer in ("byte", "bpe512"):
        if objective == "ar":
            laws[f"{tokenizer}-mdm"] = LAWS[f"{tokenizer}-ar"]
        else:
            laws[f"{tokenizer}-mdm"], laws[f"{tokenizer}-ar"] = LAWS[f"{tokenizer}-ar"], LAWS[f"{tokenizer}-mdm"]
    found = fit(laws, budgets)
    assert words in found.verdict[2]
    assert found.identified


def test_verdict_names_an_arm_that_does_not_learn_context() -> None:
    laws = LAWS | {"byte-mdm": Law.through(4.2, 1.024e15, 150e3, irreducible_loss=2.5)}
    found = fit(laws)
    ar, mdm, interaction = found.verdict
    assert ar.startswith("Under AR bytes need")
    for sentence in (mdm, interaction):
        assert sentence.startswith("Not identified at this scale: ")
        assert "byte-mdm at its largest budget is not yet learning context: 0.1" in sentence
        assert "a larger budget of byte-mdm (down to 3.88 BPB)" in sentence
    assert not found.identified


JUST_APART = BUDGETS | {
    "byte-mdm": (1.2e13, 2e13, 4e13),
    "bpe512-mdm": (1e13, 2e13, 4e13),
    "byte-ar": (8e12, 4e13, 1.6e14),
    "bpe512-ar": (3e12, 1.6e13, 6.4e13),
}
"""The lowest loss of byte MDM is just above the highest of BPE MDM, and both AR arms were observed between them."""


def test_verdict_states_bounds_as_bounds() -> None:
    found = fit(budgets=JUST_APART)
    _, mdm, interaction = found.verdict
    assert mdm.startswith("Under MDM bytes need more than ")
    assert "a bound" in mdm
    assert "the overhead of bytes over bpe512 (V = 512) under MDM is more than 1." in interaction
    assert (
        "times that under AR, a bound, because the four arms were observed at no common loss. It would" in interaction
    )
    assert [claim.status for claim in found.claims] == ["estimated", "bound", "bound"]
    assert not found.identified


def test_verdict_states_the_conservative_end_of_a_bounds_interval() -> None:
    found = fit(budgets=JUST_APART)
    (headlined,) = [row for row in found.estimands if row.headline and row.objective == "mdm"]
    same = [row for row in found.estimands if row.arms == headlined.arms and row.at_bpb == headlined.at_bpb]
    assert f"more than {min(row.quantity.ci95[0] for row in same):.3g} times" in found.verdict[1]


def test_verdict_omits_a_trivial_bound() -> None:
    found = fit(budgets=BUDGETS | {"byte-mdm": (1.2e13, 2e13, 4e13), "bpe512-mdm": (2e14, 4e14, 8e14)})
    (headlined,) = [row for row in found.estimands if row.headline and row.objective == "mdm"]
    assert headlined.bound == ">"
    assert headlined.quantity.value < 1
    assert found.verdict[1].startswith("Not identified at this scale: ")
    assert "more than" not in found.verdict[1]
    assert "because the four arms were observed at no common loss. " in found.verdict[2]


def failed(rows: list[RunRow], arm: str) -> list[RunRow]:
    lost = {"status": "failed", "reason": "loss is not finite", "bpb": None, "bpb_se": None}
    return [row.model_copy(update=lost) if row.arm == arm else row for row in rows]


def test_verdict_names_an_arm_whose_runs_all_failed() -> None:
    found = fit_rows(failed(simulated_rows(), "byte-mdm"), bootstraps=50)
    assert "byte-mdm has no finished run" in found.verdict[1]
    assert "byte-mdm has no finished run" in found.verdict[2]
    assert len([warning for warning in found.warnings if "left out" in warning]) == 15


def test_verdict_of_a_study_without_mdm_arms() -> None:
    found = fit_rows(simulated_rows({arm: LAWS[arm] for arm in ("byte-ar", "bpe512-ar")}), bootstraps=50)
    ar, mdm, interaction = found.verdict
    assert ar.startswith("Under AR bytes need")
    assert "under MDM is not estimated" in mdm
    assert "is not estimated" in interaction
    assert not found.identified


@pytest.mark.parametrize(("margin", "claimed"), [(None, False), (1.01, False), (1.3, True)])
def test_equivalence_is_stated_only_within_the_margin(margin: float | None, claimed: bool) -> None:
    others = LAWS | {"byte-ar": LAWS["bpe512-ar"], "byte-mdm": LAWS["bpe512-mdm"]}
    budgets = dict.fromkeys(LAWS, (1e13, 4e13, 1.6e14, 6.4e14))
    found = fit_rows(simulated_rows(others, budgets, noise=0.004), bootstraps=200, options=FitOptions(margin=margin))
    assert found.margin == margin
    clause = f"equivalent within a factor of {margin}, the margin set in advance"
    for sentence, row in zip(found.verdict, [row for row in found.estimands if row.headline], strict=True):
        assert ("equivalent" in sentence) == claimed
        assert (clause in sentence) == claimed
        (low, high), (lower, higher) = row.ci90, row.quantity.ci95
        assert lower < low < high < higher
        same = [r for r in found.estimands if (r.name, r.arms, r.at_bpb) == (row.name, row.arms, row.at_bpb)]
        ends = [end for each in same for end in each.ci90]
        ln_ends = ends if row.name == "interaction" else np.log(ends)
        assert margin is None or (np.abs(ln_ends).max() <= np.log(margin)) == claimed


def test_equivalence_is_not_stated_for_a_certain_overhead(noisy: Fit) -> None:
    found = fit_rows(simulated_rows(), bootstraps=400, options=FitOptions(margin=1.05))
    assert found.verdict == noisy.verdict
    assert found.inputs_sha256 != noisy.inputs_sha256


def test_verdict_has_a_sentence_for_each_tokenizer() -> None:
    rows = simulated_rows(LAWS, dict.fromkeys(LAWS, (1e13,)), noise=0.002)
    renamed = {"tokenizer": "bpe1k", "vocab_size": 1024}
    others = [
        row.model_copy(update=renamed | {"arm": f"bpe1k-{row.objective}", "run": f"{row.run}b"})
        for row in rows
        if row.tokenizer == "bpe512"
    ]
    found = fit_rows([*rows, *others], bootstraps=100)
    assert [claim.kind for claim in found.claims] == ["overhead"] * 4 + ["interaction"] * 2
    assert len(found.verdict) == 6
    assert found.verdict[1] == (
        "Not identified at this scale: the overhead of bytes over bpe512 (V = 512) under AR, because byte-ar and "
        "bpe512-ar have only one good budget. It would take a second good budget of byte-ar and a second good budget "
        "of bpe512-ar."
    )
