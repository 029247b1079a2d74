"""Overhead, interaction, gap, slope and parity against scipy's minima of the laws; labels, bounds and headlines."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from bytegap.fit import overhead
from bytegap.fit.cells import fit_cells
from bytegap.fit.estimands import estimate
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.fit.stage import fit_rows
from bytegap.scaling import laws
from bytegap.schema.base import FrozenDict
from bytegap.schema.fit import Estimand, Fit
from bytegap.schema.runs import RunRow
from bytegap.study.comparisons import comparisons
from tests.helpers.synthetic_runs import BUDGETS, LAWS, Law, simulated_rows

AR = ("byte-ar", "bpe512-ar")
MDM = ("byte-mdm", "bpe512-mdm")


@functools.cache
def best_bpb(arm: str, ln_flops: float) -> float:
    """L(C) by minimisation over N."""
    law, flops = LAWS[arm], np.exp(ln_flops)
    return minimize_scalar(
        lambda x: float(
            laws.chinchilla_bpb(np.exp(x), flops / 6 / np.exp(x), law.irreducible_loss, law.amplitudes, law.exponents)
        ),
        bracket=(11, 13),
    ).fun


@functools.cache
def ln_flops(arm: str, bpb: float) -> float:
    """ln C(L) by root finding."""
    return brentq(lambda x: best_bpb(arm, x) - bpb, 20, 60)


def ln_k(objective: str, bpb: float) -> float:
    return ln_flops(f"byte-{objective}", bpb) - ln_flops(f"bpe512-{objective}", bpb)


def pick(fit: Fit, name: str, form: str = "shared irreducible loss", **wanted: object) -> list[Estimand]:
    rows = [row for row in fit.estimands if row.name == name and row.form == form]
    return [row for row in rows if all(getattr(row, key) == value for key, value in wanted.items())]


def headline(fit: Fit, arms: tuple[str, ...]) -> Estimand:
    (row,) = [row for row in fit.estimands if row.headline and row.arms == arms]
    return row


# -- estimates against the laws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["ar", "mdm"])
def test_overhead_at_equal_loss_matches_scipy(exact: Fit, objective: str) -> None:
    rows = pick(exact, "overhead", objective=objective, at_flops=None, label="estimated")
    assert len(rows) == 9
    for row in rows:
        assert row.quantity.value == pytest.approx(np.exp(ln_k(objective, row.at_bpb)), rel=0.02)


@pytest.mark.parametrize("objective", ["ar", "mdm"])
def test_overhead_at_equal_compute_matches_scipy(exact: Fit, objective: str) -> None:
    rows = [row for row in pick(exact, "overhead", objective=objective, label="estimated") if row.at_flops]
    assert len(rows) >= 3
    for row in rows:
        bpb = best_bpb(f"bpe512-{objective}", np.log(row.at_flops))
        assert row.at_bpb == pytest.approx(bpb, rel=0.001)
        assert row.quantity.value == pytest.approx(np.exp(ln_k(objective, bpb)), rel=0.02)


def test_interaction_at_equal_loss_matches_scipy(exact: Fit) -> None:
    rows = pick(exact, "interaction", at_flops=None, label="estimated")
    assert len(rows) == 9
    assert {row.objective for row in rows} == {"mdm - ar"}
    for row in rows:
        truth = ln_k("mdm", row.at_bpb) - ln_k("ar", row.at_bpb)
        assert row.quantity.value == pytest.approx(truth, abs=0.02)


def test_interaction_at_equal_compute_has_its_pure_shift(exact: Fit) -> None:
    rows = [row for row in pick(exact, "interaction", label="estimated") if row.at_flops]
    assert rows
    for row in rows:
        mdm, ar = (best_bpb(f"bpe512-{objective}", np.log(row.at_flops)) for objective in ("mdm", "ar"))
        assert row.quantity.value == pytest.approx(ln_k("mdm", mdm) - ln_k("ar", ar), abs=0.03)
        assert row.pure_shift.value == pytest.approx(ln_k("ar", mdm) - ln_k("ar", ar), abs=0.03)


def test_a_pure_shift_has_no_interaction_at_equal_loss_and_the_predicted_one_at_equal_compute() -> None:
    shifted = dict(LAWS)
    for tokenizer in ("byte", "bpe512"):
        law = LAWS[f"{tokenizer}-ar"]  # 4 times the compute: both N and D by 2
        amplitudes = tuple(a * 2**x for a, x in zip(law.amplitudes, law.exponents, strict=True))
        shifted[f"{tokenizer}-mdm"] = Law(law.irreducible_loss, amplitudes, law.exponents)
    fit = fit_rows(simulated_rows(shifted, noise=0.0), bootstraps=20)
    at_loss = pick(fit, "interaction", at_flops=None, label="estimated")
    at_compute = [row for row in pick(fit, "interaction") if row.at_flops and row.label == "estimated"]
    assert at_loss
    assert at_compute
    for row in at_loss:
        assert row.quantity.value == pytest.approx(0.0, abs=0.01)
    for row in at_compute:
        assert row.quantity.value == pytest.approx(row.pure_shift.value, abs=0.01)
        assert abs(row.quantity.value) > 0.02


def test_gap_and_slope_match_scipy(exact: Fit) -> None:
    for objective in ("ar", "mdm"):
        gaps = pick(exact, "gap", objective=objective)
        assert len(gaps) == 5
        for row in gaps:
            byte, other = (
                best_bpb(f"{tokenizer}-{objective}", np.log(row.at_flops)) for tokenizer in ("byte", "bpe512")
            )
            assert row.quantity.value == pytest.approx(byte - other, rel=0.01)
            assert row.label == "estimated"
        (slope,) = pick(exact, "slope", objective=objective)
        step = 0.01
        near = [slope.at_bpb - step, slope.at_bpb + step]
        rise = ln_k(objective, near[1]) - ln_k(objective, near[0])
        run = ln_flops(f"bpe512-{objective}", near[1]) - ln_flops(f"bpe512-{objective}", near[0])
        assert slope.quantity.value == pytest.approx(rise / run, abs=0.01)


def test_parity_is_where_the_gap_is_zero(exact: Fit) -> None:
    (parity,) = pick(exact, "parity", objective="ar")
    truth = brentq(lambda x: best_bpb("byte-ar", x) - best_bpb("bpe512-ar", x), 35, 70)
    assert np.log(parity.quantity.value) == pytest.approx(truth, rel=0.03)
    assert parity.label == "extrapolated"
    (never,) = pick(exact, "parity", objective="mdm")
    assert never.quantity.value is None


def test_no_parity_where_bytes_are_better_at_small_compute() -> None:
    behind = {"byte-ar": LAWS["bpe512-ar"], "bpe512-ar": LAWS["byte-ar"]}
    budgets = {"byte-ar": BUDGETS["bpe512-ar"], "bpe512-ar": BUDGETS["byte-ar"]}
    (parity,) = pick(fit_rows(simulated_rows(behind, budgets, noise=0.0), bootstraps=20), "parity")
    assert parity.quantity.value is None


def test_no_parity_and_no_overflow_where_steep_frontiers_never_cross() -> None:
    """At 1e6 FLOPs their gap is thousands of bits, which must not overflow."""
    byte, other = (
        SimpleNamespace(
            irreducible_loss_K=np.array([0.1]), amplitude_K=np.array([amplitude]), exponent_K=np.array([0.5])
        )
        for amplitude in (3e8, 1e8)
    )
    assert np.isnan(overhead._crossing(byte, other)).all()


def test_parity_within_the_budgets_is_labelled_estimated() -> None:
    crossing = {
        "byte-ar": Law.through(2.2, 4e13, 150e3, exponents=(0.40, 0.36)),
        "bpe512-ar": Law.through(2.2, 4e13, 150e3, exponents=(0.32, 0.28)),
    }
    budgets = dict.fromkeys(crossing, (1e13, 4e13, 1.6e14))
    (parity,) = pick(fit_rows(simulated_rows(crossing, budgets, noise=0.0), bootstraps=20), "parity")
    assert parity.label == "estimated"
    assert parity.quantity.value == pytest.approx(4e13, rel=0.05)


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_overhead_bounds_hold_for_the_true_overhead(exact: Fit) -> None:
    bounds = pick(exact, "overhead", at_flops=None, label="censored")
    assert {row.bound for row in bounds} == {">", "<"}
    for row in bounds:
        truth = np.exp(ln_k(row.objective, row.at_bpb))
        assert row.quantity.value < truth * 1.01 if row.bound == ">" else row.quantity.value > truth * 0.99


def test_overhead_is_bounded_below_by_the_byte_arms_largest_budget(exact: Fit) -> None:
    row = min(pick(exact, "overhead", objective="ar", at_flops=None), key=lambda row: row.at_bpb)
    assert row.at_bpb < LAWS["byte-ar"].bpb(BUDGETS["byte-ar"][-1])
    assert row.bound == ">"
    truth = BUDGETS["byte-ar"][-1] / np.exp(ln_flops("bpe512-ar", row.at_bpb))
    assert row.quantity.value == pytest.approx(truth, rel=0.02)


def test_overhead_is_bounded_below_by_the_other_arms_smallest_budget(exact: Fit) -> None:
    row = max(pick(exact, "overhead", objective="ar", at_flops=None), key=lambda row: row.at_bpb)
    assert row.at_bpb > LAWS["bpe512-ar"].bpb(BUDGETS["bpe512-ar"][0])
    assert row.bound == ">"
    truth = np.exp(ln_flops("byte-ar", row.at_bpb)) / BUDGETS["bpe512-ar"][0]
    assert row.quantity.value == pytest.approx(truth, rel=0.02)


def separated_rows(noise: float = 0.0) -> list[RunRow]:
    """Byte MDM at budgets too small to attain the losses of BPE MDM."""
    return simulated_rows(
        LAWS, BUDGETS | {"byte-mdm": (1.2e13, 2e13, 4e13), "bpe512-mdm": (2e13, 4e13, 8e13)}, noise=noise
    )


def test_frontiers_without_a_common_loss_bound_overhead_and_interaction() -> None:
    fit = fit_rows(separated_rows(), bootstraps=20)
    overhead = headline(fit, MDM)
    assert (overhead.label, overhead.bound) == ("censored", ">")
    assert 1 < overhead.quantity.value < np.exp(ln_k("mdm", overhead.at_bpb))
    interaction = headline(fit, (*MDM, *AR))
    assert (interaction.label, interaction.bound) == ("censored", ">")
    truth = ln_k("mdm", interaction.at_bpb) - ln_k("ar", interaction.at_bpb)
    assert interaction.quantity.value < truth
    assert not pick(fit, "interaction", at_flops=None, label="estimated")
    conservative = [row.quantity.ci95[0] for row in pick(fit, "overhead", objective="mdm", at_flops=None, bound=">")]
    assert overhead.quantity.ci95[0] == max(conservative)


def test_an_arm_of_one_budget_gives_bounds_and_a_gap() -> None:
    fit = fit_rows(simulated_rows(LAWS, BUDGETS | {"byte-mdm": (4e13,)}, noise=0.0), bootstraps=20)
    row = headline(fit, MDM)
    assert row.label == "censored"
    assert row.bound == ">"
    assert row.quantity.value < np.exp(ln_k("mdm", row.at_bpb))
    others = [row for row in fit.estimands if row.arms == MDM and row.name in {"gap", "slope", "parity"}]
    assert [row.form for row in others] == ["minima"]  # a the gap at the budget that both have


def test_an_arm_without_a_budget_has_no_estimands() -> None:
    fit = fit_rows(simulated_rows(LAWS, off_centre=1.0, noise=0.0), bootstraps=20)
    assert [row for row in fit.estimands if row.arms == MDM]
    rows = [row for row in simulated_rows(noise=0.0) if row.arm != "byte-mdm"]
    outside = simulated_rows({"byte-mdm": LAWS["byte-mdm"]}, off_centre=16.0, noise=0.0)
    rows += [row.model_copy(update={"run": f"out{row.run}"}) for row in outside]
    fit = fit_rows(rows, bootstraps=20)
    assert not [row for row in fit.estimands if "byte-mdm" in row.arms]
    assert [row for row in fit.estimands if row.arms == AR]


# -- labels and headlines ---------------------------------------------------------------------------------------------


def test_labels_follow_the_losses_that_all_arms_were_observed_at(noisy: Fit) -> None:
    ranges = {frontier.arm: frontier.bpb_observed for frontier in noisy.frontiers}
    for row in noisy.estimands:
        if row.name in {"overhead", "interaction"} and row.at_flops is None:
            observed = all(ranges[arm][0] <= row.at_bpb <= ranges[arm][1] for arm in row.arms)
            assert (row.label == "estimated") == observed
        assert (row.bound != "") == (row.label == "censored")
        assert not (row.headline and row.label == "extrapolated")


def test_one_headline_per_comparison_at_the_middle_of_the_overlap(noisy: Fit) -> None:
    assert [row.name for row in noisy.estimands if row.headline] == ["overhead", "overhead", "interaction"]
    for arms in (AR, MDM, (*MDM, *AR)):
        row = headline(noisy, arms)
        ranges = {frontier.arm: frontier.bpb_observed for frontier in noisy.frontiers}
        low, high = max(ranges[arm][0] for arm in arms), min(ranges[arm][1] for arm in arms)
        assert row.at_bpb == pytest.approx((low + high) / 2)
        assert row.label == "estimated"
        assert row.form == "shared irreducible loss"


def test_arms_are_paired_only_with_equal_permutation() -> None:
    rows = [
        row.model_copy(update={"permutation": "within_window"} if row.arm == "byte-ar" else {})
        for row in simulated_rows(noise=0.0)
    ]
    assert {tuple(row.arms) for row in fit_rows(rows, bootstraps=20).estimands} == {tuple(MDM)}


def test_arms_are_paired_only_with_equal_options_of_the_architecture() -> None:
    """An option of the model is said of its pair, which is not taken for the pair without it."""
    convolved = {"model_options": FrozenDict(convolution=4)}
    rows = simulated_rows(noise=0.0)
    rows += [
        row.model_copy(update=convolved | {"arm": f"{row.arm}-convolved", "run": f"c{row.run[1:]}"})
        for row in rows
        if row.arm in MDM
    ]
    fit = fit_rows(rows, bootstraps=20)
    pairs = {tuple(row.arms): row.objective for row in fit.estimands if row.name == "overhead"}
    assert pairs == {
        tuple(AR): "ar",
        tuple(MDM): "mdm",
        tuple(f"{arm}-convolved" for arm in MDM): "mdm, transformer (convolution 4)",
    }
    assert any("Under MDM of a transformer (convolution 4) bytes need" in sentence for sentence in fit.verdict)


# -- coverage ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    """100 studies with 0.5 % noise: every headline's 95 % interval covers the truth in 88 to 100 of them."""
    covered = {"ar": 0, "mdm": 0, "mdm - ar": 0}
    widths: list[float] = []
    for seed in range(100):
        rows = simulated_rows(seed=1000 + seed)
        arms = arms_of(rows, fit_cells(rows, 150, np.random.default_rng(seed)).cells)
        for row in estimate(arms, fit_frontiers(arms)[0], comparisons(arms)):
            if row.headline:
                ln_c = [np.log(LAWS[arm].flops(row.at_bpb)) for arm in row.arms]
                truth = ln_c[0] - ln_c[1] - (ln_c[2] - ln_c[3] if len(ln_c) == 4 else 0.0)
                low, high = row.quantity.ci95 if row.name == "interaction" else np.log(row.quantity.ci95)
                covered[row.objective] += low <= truth <= high
                widths.append(high - low)
    assert all(88 <= hits <= 100 for hits in covered.values()), covered
    assert np.mean(widths) < 0.2


def test_arms_of_one_budget_have_the_gap_of_their_minima() -> None:
    rows = simulated_rows(LAWS, {arm: (4e13,) if arm.endswith("ar") else (2e13 * len(arm),) for arm in LAWS}, noise=0)
    (gap,) = [row for row in fit_rows(rows, bootstraps=50).estimands if row.name == "gap"]
    assert (gap.arms, gap.form, gap.label, gap.at_flops) == (AR, "minima", "estimated", pytest.approx(4e13))
    truth = best_bpb("byte-ar", np.log(4e13)) - best_bpb("bpe512-ar", np.log(4e13))
    assert gap.quantity.value == pytest.approx(truth, rel=0.02)


def test_no_gap_of_minima_where_both_arms_have_a_frontier(exact: Fit) -> None:
    assert not [row for row in exact.estimands if row.name == "gap" and row.form == "minima"]
