"""Overheads and interactions that [fit] names: estimated and stated as those that follow from the arms."""

import functools

import numpy as np
import pytest
from scipy.optimize import brentq

from bytegap.autotune.backends import default_execution
from bytegap.errors import StudyError
from bytegap.fit.stage import fit_rows
from bytegap.plan.contexts import arm_contexts
from bytegap.plan.hours import compared_arms
from bytegap.schema.base import FrozenDict
from bytegap.schema.claims import Claim
from bytegap.schema.fit import Fit
from bytegap.study.config import Fit as FitOptions
from bytegap.study.load import load_study
from tests.helpers.synthetic_runs import BUDGETS, LAWS, simulated_rows
from tests.helpers.tiny_study import STUDY, write_study

AR, MDM = ("byte-ar", "bpe512-ar"), ("byte-mdm", "bpe512-mdm")
SHORT, SHORTER = ("byte-short", "bpe512-short"), ("byte-short", "bpe512-shorter")
WINDOWS = {"byte-short": 16, "bpe512-short": 16, "bpe512-shorter": 8}


@functools.cache
def rows():
    """AR, MDM, and AR in windows whose arms have the laws of MDM; BPE in shorter windows those of AR."""
    laws = LAWS | {"byte-short": LAWS["byte-mdm"], "bpe512-short": LAWS["bpe512-mdm"], "bpe512-shorter": LAWS[AR[1]]}
    alike = {"byte-short": "byte-mdm", "bpe512-short": "bpe512-mdm", "bpe512-shorter": AR[1]}
    budgets = BUDGETS | {arm: BUDGETS[other] for arm, other in alike.items()}
    return [
        row.model_copy(
            update={
                "objective": "ar",
                "permutation": "within_window",
                "permutation_options": FrozenDict({"size": WINDOWS[row.arm]}),
            }
        )
        if row.arm in WINDOWS
        else row
        for row in simulated_rows(laws, budgets, noise=0.002)
    ]


@functools.cache
def fitted(margin: float = 1.5) -> Fit:
    options = FitOptions(margin=margin, pairs=(SHORTER,), interactions=((SHORT, MDM), (SHORTER, AR)))
    return fit_rows(rows(), 100, 0, options)


def ln_flops(arm: str, bpb: float) -> float:
    """ln C(L) by root finding."""
    law = LAWS[arm]
    return brentq(lambda x: float(law.bpb_of(law.optimum(np.exp(x)), np.exp(x))) - bpb, 20, 60)


def claim(fit: Fit, *arms: str) -> Claim:
    (found,) = [each for each in fit.claims if each.arms == arms]
    return found


def headline(fit: Fit, arms: tuple[str, ...]) -> float:
    (row,) = [row for row in fit.estimands if row.headline and row.arms == arms]
    assert row.quantity.value is not None
    return row.quantity.value


def test_a_named_pair_has_an_overhead_between_arms_of_different_conditions():
    found = claim(fitted(), *SHORTER)
    assert (found.kind, found.objective) == ("overhead", "byte-short / bpe512-shorter")
    assert found.is_estimate
    assert found.value > claim(fitted(), *SHORT).value
    value = headline(fitted(), SHORTER)
    assert found.sentence.startswith(f"byte-short needs {value:.3g} times the compute of bpe512-shorter at ")


def test_a_named_interaction_of_equal_laws_is_zero_and_equivalent_within_the_margin_only():
    found = claim(fitted(), *SHORT, *MDM)
    low, high = found.ci95
    assert low < 0 < high
    assert found.status == "equivalent"
    assert claim(fitted(1.0001), *SHORT, *MDM).status == "estimated"
    over = "the overhead of bytes over bpe512 (V = 512) under AR with permutation within_window (size 16) is "
    assert over in found.sentence
    assert f"{np.exp(found.value):.3g} times that under MDM, not distinguishable from 1" in found.sentence


def test_an_interaction_of_a_named_pair_is_the_difference_of_both_overheads():
    found = claim(fitted(), *SHORTER, *AR)
    assert found.objective == "byte-short / bpe512-shorter - ar"
    assert "times the overhead of bytes over bpe512 (V = 512) under AR" in found.sentence
    expected = ln_flops("byte-mdm", found.at_bpb) - ln_flops("byte-ar", found.at_bpb)  # BPE's laws are the same
    assert found.value == pytest.approx(expected, rel=0.05)


def test_what_follows_from_the_arms_is_the_same_with_and_without_names():
    plain = fit_rows(rows(), 100, 0, FitOptions(margin=1.5))
    named = {claim.arms for claim in fitted().claims} - {claim.arms for claim in plain.claims}
    assert named == {SHORTER, (*SHORT, *MDM), (*SHORTER, *AR)}
    assert [claim for claim in fitted().claims if claim.arms not in named] == list(plain.claims)


def test_a_pair_that_follows_from_the_arms_may_be_named_too():
    again = fit_rows(rows(), 20, 0, FitOptions(pairs=(AR,), interactions=((MDM, AR),)))
    assert again.claims == fit_rows(rows(), 20, 0).claims


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        ('pairs = [["byte-ar", "bpe-mdn"]]', "[fit] pairs: 'bpe-mdn': did you mean 'bpe-mdm'?"),
        ('pairs = [["byte-ar", "byte-ar"]]', "[fit] pairs: 'byte-ar' is compared with itself"),
        ('interactions = [[["byte-ar", "x"], ["byte-ar", "bpe-mdm"]]]', "[fit] interactions: 'x'"),
        (
            'interactions = [[["byte-ar", "bpe-mdm"], ["byte-ar", "bpe-mdm"]]]',
            "[fit] interactions: byte-ar / bpe-mdm is compared with itself: name two different pairs",
        ),
    ],
)
def test_wrong_names_are_one_sentence(tmp_path, fit, words):
    with pytest.raises(StudyError) as error:
        load_study(write_study(tmp_path, f"{STUDY}\n[fit]\n{fit}\n"))
    assert words in str(error.value)


def test_hours_serve_the_pairs_that_a_study_names(tokenized):
    _, study, study_dir = tokenized
    named = study.model_copy(update={"fit": FitOptions(pairs=(("byte-ar", "bpe-mdm"),))})
    for given, expected in ((study, []), (named, [(0, 1)])):
        contexts = list(arm_contexts(given, study_dir, default_execution(study.compute)).values())
        assert compared_arms(contexts) == expected
