"""What bytes cost where the order of the text was changed, and whether that is more than in the order of the text."""

import numpy as np
import pytest

from bytegap.fit.stage import fit_rows
from bytegap.records import Estimand, Fit, RunRow
from tests.studies import BUDGETS, LAWS, Law, simulated_rows

AR = ["byte-ar", "bpe512-ar"]
ORDER = "window (size 4)"
CHANGED = ["byte-mdm", "bpe512-mdm"]
"""The laws of masked diffusion stand for autoregression on shuffled text: bytes cost more by them."""


def rows(
    noise: float = 0.002,
    laws: dict[str, Law] = LAWS,
    budgets: dict[str, tuple[float, ...]] = BUDGETS,
    order: str = ORDER,
) -> list[RunRow]:
    shuffled = {"objective": "ar", "order": order, "bpb_se": 0.0}
    natural = simulated_rows({arm: laws[arm] for arm in AR}, budgets, noise=noise)
    changed = simulated_rows({arm: laws[arm] for arm in CHANGED}, budgets, noise=noise, seed=1)
    return natural + [row.model_copy(update=shuffled | {"run": f"{row.run}w"}) for row in changed]


def lead(fit: Fit, objective: str) -> Estimand:
    (row,) = [row for row in fit.estimands if row.headline and row.objective == objective]
    return row


def test_the_interaction_of_an_order_is_that_of_its_laws() -> None:
    fit = fit_rows(rows(noise=0.0), bootstraps=50)
    row = lead(fit, f"ar, {ORDER} - identity")
    assert (row.name, row.label, row.arms) == ("interaction", "estimated", [*CHANGED, *AR])
    ln_c = [np.log(LAWS[arm].flops(row.at_bpb)) for arm in row.arms]
    assert row.quantity.value == pytest.approx(ln_c[0] - ln_c[1] - (ln_c[2] - ln_c[3]), abs=0.05)
    assert lead(fit, f"ar, {ORDER}").arms == CHANGED
    assert lead(fit, "ar").arms == AR


def test_the_verdict_says_what_an_order_adds() -> None:
    fit = fit_rows(rows(), bootstraps=100)
    *natural, cost, more = fit.verdict
    assert len(natural) == 3
    title = f"AR in order {ORDER}"
    assert natural[0].startswith(f"Under AR bytes need {lead(fit, 'ar').quantity.value:.3g} times the compute")
    assert cost.startswith(f"Under {title} bytes need {lead(fit, f'ar, {ORDER}').quantity.value:.3g} times the compute")
    row = lead(fit, f"ar, {ORDER} - identity")
    times = f"is {np.exp(row.quantity.value):.3g} times that under AR in the order of the text, which is more"
    assert f"At {row.at_bpb:.2f} BPB the overhead of bytes over bpe512 (V = 512) under {title} {times}" in more


def test_beside_two_symbol_sets_each_is_compared_once() -> None:
    found = rows()
    renamed = {"tokens": "bpe1k", "vocabulary": 1024}
    twins = [
        row.model_copy(update=renamed | {"arm": f"{row.arm}-1k", "run": f"{row.run}t"})
        for row in found
        if row.tokens == "bpe512"
    ]
    *_, cost, more, other_cost, other_more = fit_rows([*found, *twins], bootstraps=50).verdict
    for sentence in (cost, more, other_cost, other_more):
        assert sentence.count("bpe") == 1
    assert more.startswith("At ")
    assert other_more.startswith("At ")
    assert more != other_more


def test_an_order_that_shares_no_loss_with_the_text_is_not_compared() -> None:
    apart = {"byte-mdm": BUDGETS["byte-ar"], "bpe512-mdm": BUDGETS["bpe512-ar"]}
    apart |= {"byte-ar": (1e15, 4e15, 1.6e16), "bpe512-ar": (4e14, 1.6e15, 6.4e15)}
    laws = LAWS | {"byte-mdm": LAWS["byte-ar"], "bpe512-mdm": LAWS["bpe512-ar"]}
    *_, cost, more = fit_rows(rows(laws=laws, budgets=apart), bootstraps=100).verdict
    assert cost.startswith(f"Under AR in order {ORDER} bytes need")
    whether = f"whether bytes cost more under AR in order {ORDER} than in the order of the text beside bpe512 (V = 512)"
    assert more.startswith(f"Not identified at this scale: {whether}, as there is no loss that all four arms were seen")


def test_an_order_that_nothing_is_learned_of_is_named_once() -> None:
    laws = LAWS | {"byte-mdm": Law.through(4.2, 1.024e15, 150e3, floor=2.5)}
    *natural, last = fit_rows(rows(laws=laws, order="fixed"), bootstraps=50).verdict
    assert len(natural) == 3
    what = "what bytes cost beside bpe512 (V = 512) under AR in order fixed (the notes of their cells say why)"
    assert last == f"Not identified at this scale: {what}."
