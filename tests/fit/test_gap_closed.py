"""Share of an overhead that a variant closes: closed form, joint draws, bounds, executed FLOPs, sentences."""

from dataclasses import replace

import numpy as np
import pytest

from bytegap.fit import conventions, gap_closed
from bytegap.fit.claims import Evidence, conclude
from bytegap.fit.frontiers import Arm, FittedFrontier, fit_frontiers
from bytegap.fit.stage import fit_rows
from bytegap.schema.base import Quantity
from bytegap.schema.fit import GapClosed
from bytegap.schema.runs import RunRow
from bytegap.study.comparisons import comparisons
from bytegap.study.config import Fit as FitOptions
from tests.helpers.synthetic_runs import simulated_rows

FLOPS = 1e12 * 4.0 ** np.arange(3)
EXPONENT = 0.1
TWO = ("variant", "bpe"), ("plain", "bpe")


def arm(name: str, times: float, *, noise: float = 1e-6, from_budget: float = 1.0, seed: int = 0) -> Arm:
    """An arm that needs `times` the compute of one with 3 BPB at the first budget."""
    rng = np.random.default_rng(seed)
    ln_flops_P = np.log(FLOPS * from_budget)
    point = np.log(3.0) - EXPONENT * (ln_flops_P - np.log(FLOPS[0] * times))
    return Arm(
        name=name, tokenizer=name, is_bytes=name != "bpe", vocab_size=256, objective="span_mdm",
        permutation="identity", model="transformer", architecture="transformer", tight_likelihood=False,
        ln_flops_P=ln_flops_P, ln_bpb_KP=np.vstack([point, point + noise * rng.standard_normal((300, 3))]),
        ln_bpb_sd_P=np.full(3, noise),
    )  # fmt: skip


def frontiers_of(arms: list[Arm]) -> list[FittedFrontier]:
    return fit_frontiers(arms, parametric=False)[0]


def closed(variant: float, plain: float, **options: float) -> GapClosed:
    arms = [arm("variant", variant, **options), arm("plain", plain, seed=1), arm("bpe", 1.0, seed=2)]
    (found,) = gap_closed.gaps_closed([TWO], arms, frontiers_of(arms))
    return found


@pytest.mark.parametrize(("variant", "plain"), [(2.0, 4.0), (1.0, 4.0), (4.0, 4.0), (0.8, 2.0), (6.0, 3.0)])
def test_share_in_closed_form(variant: float, plain: float):
    found = closed(variant, plain)
    assert found.closed is not None
    assert found.closed.value == pytest.approx(1 - np.log(variant) / np.log(plain), abs=1e-3)
    assert found.bound == ""
    assert found.ln_overhead is not None
    assert found.ln_overhead.value == pytest.approx(np.log(variant), abs=1e-3)


def test_it_is_at_the_middle_of_the_losses_that_all_reach():
    lowest = 3.0 * 16**-EXPONENT  # of bpe; plain's highest is 3 x 4^0.1, variant's 3 x 2^0.1
    found = closed(2.0, 4.0)
    low, high = 3.0 * (16 / 4) ** -EXPONENT, 3.0
    assert found.at_bpb == pytest.approx((low + high) / 2, rel=1e-4)
    assert low > lowest


def test_what_numerator_and_denominator_share_cancels():
    """BPE's errors are in both overheads: at k_v = k they have no part in the share."""
    arms = [arm("plain", 4.0, seed=1), arm("bpe", 1.0, noise=0.02, seed=2)]
    same = [("plain", "bpe"), ("plain", "bpe")]
    found = gap_closed.gaps_closed([(same[0], same[1])], arms, frontiers_of(arms))[0]
    assert found.ci95 == pytest.approx((0, 0), abs=1e-9)
    assert found.plain_ln_overhead is not None
    assert found.plain_ln_overhead.ci95 is not None
    low, high = found.plain_ln_overhead.ci95
    assert high - low > 0.1


def test_a_variant_that_is_better_at_every_budget_gives_a_lower_bound():
    found = closed(0.05, 4.0, from_budget=1.0)
    assert found.bound == ">"
    assert found.closed is not None
    assert found.closed.value is not None
    truth = 1 - np.log(0.05) / np.log(4.0)
    assert 0 < found.closed.value < truth


def test_a_variant_that_never_gets_there_gives_an_upper_bound():
    found = closed(200.0, 4.0)
    assert found.bound == "<"
    assert found.closed is not None
    assert found.closed.value is not None
    assert found.closed.value > 1 - np.log(200.0) / np.log(4.0)


def test_nothing_is_closed_where_the_plain_arm_has_no_overhead():
    assert closed(1.0, 0.7).closed is None


def test_arms_without_a_budget_are_not_known():
    (found,) = gap_closed.gaps_closed([TWO], [arm("plain", 4.0)], [])
    assert found.at_bpb is None
    assert gap_closed.again(found, [], []) == found


def executed(row: RunRow) -> float:
    """BPE-MDM at half its counted FLOPs."""
    return row.flops * (0.5 if row.arm == "bpe512-mdm" else 1.0)


def test_fit_states_it_with_executed_flops():
    names = (("byte-ar", "bpe512-mdm"), ("byte-mdm", "bpe512-mdm"))
    rows = [
        row.model_copy(
            update={"flops_by_convention": {conventions.DEFAULT: row.flops, conventions.EXECUTED: executed(row)}}
        )
        for row in simulated_rows()
    ]
    fit = fit_rows(rows, bootstraps=100, options=FitOptions(gaps_closed=(names,)))
    (found,), claim = fit.gaps_closed, fit.claims[-1]
    assert found.closed is not None
    assert claim.kind == "gap closed"
    assert claim.value == found.closed.value
    assert claim.ci95 == found.ci95
    assert found.executed is not None
    assert found.executed.at_bpb == found.at_bpb
    assert found.executed.ln_overhead is not None
    assert found.ln_overhead is not None
    assert found.executed.ln_overhead.value == pytest.approx(found.ln_overhead.value - np.log(0.5), abs=0.02)
    assert claim.executed is not None
    overhead = "overhead of bytes over bpe512 (V = 512) under MDM"
    assert f"At {found.at_bpb:.2f} BPB {claim.value:.3g} of the {overhead} is closed" in claim.sentence
    assert "comparing the overhead of byte-ar over bpe512-mdm" in fit.verdict[-1]


def test_a_bound_is_stated_by_the_end_that_claims_least_also_by_executed_flops():
    arms = ("variant", "bpe", "plain", "bpe")
    nothing = Evidence(arms=[], comparisons=comparisons([]), cells=[], frontiers=[], estimands=[], unigram_bpb={})
    for side, end in ((">", 0), ("<", 1)):
        again = GapClosed(arms=arms, at_bpb=2.5, closed=Quantity(value=0.4), ci95=(0.3, 0.5), bound=side)
        found = again.model_copy(update={"closed": Quantity(value=0.6), "ci95": (0.5, 0.7), "executed": again})
        stated = conclude(replace(nothing, arms=[arm(name, 1.0) for name in arms[:3]], gaps_closed=[found]))[-1]
        assert (stated.status, stated.bound, stated.value) == ("bound", side, found.ci95[end])
        assert stated.executed is not None
        assert (stated.executed.bound, stated.executed.value) == (side, again.ci95[end])
