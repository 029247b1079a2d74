"""Overhead of bytes on permuted text, and its interaction with the overhead without permutation."""

from collections.abc import Mapping

import numpy as np
import pytest

from bytegap.fit.stage import fit_rows
from bytegap.schema.base import FrozenDict
from bytegap.schema.fit import Estimand, Fit
from bytegap.schema.runs import RunRow
from tests.helpers.synthetic_runs import BUDGETS, LAWS, Law, simulated_rows

AR = ("byte-ar", "bpe512-ar")
WITHIN_4 = {"permutation": "within_window", "permutation_options": FrozenDict(size=4)}
LABEL = "within_window (size 4)"
PERMUTED = ("byte-mdm", "bpe512-mdm")
"""Arms of permuted text, which here follow the laws of masked diffusion, where bytes cost more."""


def rows(
    noise: float = 0.002,
    laws: dict[str, Law] = LAWS,
    budgets: dict[str, tuple[float, ...]] = BUDGETS,
    permutation: Mapping[str, object] = WITHIN_4,
) -> list[RunRow]:
    changes = {"objective": "ar", "bpb_se": 0.0, **permutation}
    unpermuted = simulated_rows({arm: laws[arm] for arm in AR}, budgets, noise=noise)
    permuted = simulated_rows({arm: laws[arm] for arm in PERMUTED}, budgets, noise=noise, seed=1)
    return unpermuted + [row.model_copy(update=changes | {"run": f"{row.run}w"}) for row in permuted]


def headline(fit: Fit, objective: str) -> Estimand:
    (row,) = [row for row in fit.estimands if row.headline and row.objective == objective]
    return row


def test_interaction_of_a_permutation_matches_the_laws() -> None:
    fit = fit_rows(rows(noise=0.0), bootstraps=50)
    row = headline(fit, f"ar, {LABEL} - identity")
    assert (row.name, row.label, row.arms) == ("interaction", "estimated", (*PERMUTED, *AR))
    ln_c = [np.log(LAWS[arm].flops(row.at_bpb)) for arm in row.arms]
    assert row.quantity.value == pytest.approx(ln_c[0] - ln_c[1] - (ln_c[2] - ln_c[3]), abs=0.05)
    assert headline(fit, f"ar, {LABEL}").arms == PERMUTED
    assert headline(fit, "ar").arms == AR


def test_verdict_states_overhead_and_interaction_of_a_permutation() -> None:
    fit = fit_rows(rows(), bootstraps=100)
    *unpermuted, cost, more = fit.verdict
    assert len(unpermuted) == 3
    title = f"AR with permutation {LABEL}"
    assert unpermuted[0].startswith(f"Under AR bytes need {headline(fit, 'ar').quantity.value:.3g} times the compute")
    assert cost.startswith(
        f"Under {title} bytes need {headline(fit, f'ar, {LABEL}').quantity.value:.3g} times the compute"
    )
    row = headline(fit, f"ar, {LABEL} - identity")
    times = f"is {np.exp(row.quantity.value):.3g} times that without permutation (interaction "
    assert f"At {row.at_bpb:.2f} BPB the overhead of bytes over bpe512 (V = 512) under {title} {times}" in more


def test_each_tokenizer_has_its_own_sentences() -> None:
    found = rows()
    renamed = {"tokenizer": "bpe1k", "vocab_size": 1024}
    others = [
        row.model_copy(update=renamed | {"arm": f"{row.arm}-1k", "run": f"{row.run}t"})
        for row in found
        if row.tokenizer == "bpe512"
    ]
    *_, cost, more, other_cost, other_more = fit_rows([*found, *others], bootstraps=50).verdict
    for sentence in (cost, more, other_cost, other_more):
        assert sentence.count("bpe") == 1
    assert more.startswith("At ")
    assert other_more.startswith("At ")
    assert more != other_more


def test_permutation_without_a_common_loss_is_not_identified() -> None:
    budgets = {"byte-mdm": BUDGETS["byte-ar"], "bpe512-mdm": BUDGETS["bpe512-ar"]}
    budgets |= {"byte-ar": (1e15, 4e15, 1.6e16), "bpe512-ar": (4e14, 1.6e15, 6.4e15)}
    laws = LAWS | {"byte-mdm": LAWS["byte-ar"], "bpe512-mdm": LAWS["bpe512-ar"]}
    *_, cost, more = fit_rows(rows(laws=laws, budgets=budgets), bootstraps=100).verdict
    assert cost.startswith(f"Under AR with permutation {LABEL} bytes need")
    whether = (
        "whether the overhead of bytes over bpe512 (V = 512) under AR with permutation "
        f"{LABEL} is larger than that without permutation"
    )
    reason = "because the four arms were observed at no common loss"
    assert more.startswith((f"Not identified at this scale: {whether}, {reason}", "At "))
    assert reason in more


def test_permutation_without_a_headline_is_named_once() -> None:
    laws = LAWS | {"byte-mdm": Law.through(4.2, 1.024e15, 150e3, irreducible_loss=2.5)}
    *unpermuted, last = fit_rows(rows(laws=laws, permutation={"permutation": "fixed"}), bootstraps=50).verdict
    assert len(unpermuted) == 3
    what = "the overhead of bytes over bpe512 (V = 512) under AR with permutation fixed"
    why = "byte-mdm at its largest budget is not yet learning context"
    assert last.startswith(f"Not identified at this scale: {what}, because {why}")
