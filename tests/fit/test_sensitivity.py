"""The headlines under other gates and other edges of the scoring windows."""

import numpy as np
import pytest

from bytegap.fit import sensitivity
from bytegap.fit.stage import fit_rows
from bytegap.schema.base import FrozenDict
from bytegap.schema.fit import Fit, Refit
from bytegap.schema.runs import RunRow
from tests.helpers.synthetic_runs import BUDGETS, LAWS, simulated_rows


def overhead(found: Refit, objective: str) -> float:
    (row,) = [row for row in found.estimands if (row.name, row.objective) == ("overhead", objective)]
    assert row.quantity.value is not None
    return row.quantity.value


def rows_with_unigrams(byte_mdm_bpb: float) -> list[RunRow]:
    """Rows of arms far below their unigram models, except byte MDM, whose unigram is at `byte_mdm_bpb`."""
    return [
        with_unigram(row, byte_mdm_bpb) if row.arm == "byte-mdm" else row.model_copy(update={"unigram_bpb": 9.0})
        for row in simulated_rows(noise=0.0)
    ]


def with_unigram(row: RunRow, bpb: float) -> RunRow:
    """The row with a tokenizer of its arm's own, because all runs of a tokenizer have one unigram model."""
    return row.model_copy(update={"tokenizer": f"{row.tokenizer} of {row.arm}", "unigram_bpb": bpb})


def test_own_gate_comes_first_and_others_change_nothing_where_all_cells_pass() -> None:
    fit = fit_rows(rows_with_unigrams(9.0), bootstraps=20)
    own, *others = fit.by_gate
    assert [each.gate_bpb for each in fit.by_gate] == [0.5, *sensitivity.GATES_BPB]
    assert [row for row in own.estimands if row.headline] == [row for row in fit.estimands if row.headline]
    for other in others:
        assert other.cells_in_frontier == own.cells_in_frontier == 12
        for objective in ("ar", "mdm"):
            assert overhead(other, objective) == pytest.approx(overhead(own, objective), rel=1e-9)


@pytest.mark.parametrize(("margin_bpb", "cells"), [(0.6, (12, 12, 11)), (0.45, (11, 12, 11))])
def test_a_gate_drops_the_cells_that_are_too_close_to_their_unigram(margin_bpb: float, cells: tuple[int, ...]) -> None:
    lowest = LAWS["byte-mdm"].bpb(BUDGETS["byte-mdm"][0])
    fit = fit_rows(rows_with_unigrams(lowest + margin_bpb), bootstraps=20)
    assert tuple(each.cells_in_frontier for each in fit.by_gate) == cells


def test_an_estimate_that_the_gate_forbids_appears_under_a_lower_one() -> None:
    budgets = BUDGETS | {"byte-mdm": BUDGETS["byte-mdm"][:2]}
    lowest = LAWS["byte-mdm"].bpb(budgets["byte-mdm"][0])
    rows = [
        with_unigram(row, lowest + 0.45) if row.arm == "byte-mdm" else row
        for row in simulated_rows(LAWS, budgets, noise=0.0)
    ]
    fit = fit_rows(rows, bootstraps=20)
    own, lower, _ = fit.by_gate
    assert not [row for row in own.estimands if row.objective == "mdm" and row.label == "estimated"]
    (found,) = [row for row in lower.estimands if row.objective == "mdm" and row.label == "estimated" and row.headline]
    truth = LAWS["byte-mdm"].flops(found.at_bpb) / LAWS["bpe512-mdm"].flops(found.at_bpb)
    assert np.log(found.quantity.value / truth) == pytest.approx(0, abs=0.1)


def edged(factor: float) -> list[RunRow]:
    """Rows scored with one more edge, where BPE's loss is multiplied by `factor` and the bytes' is not."""
    return [
        row.model_copy(
            update={
                "edge": "tokens",
                "bpb_by_edge": FrozenDict(any=row.bpb * (factor if row.tokenizer == "bpe512" else 1.0)),
            }
        )
        for row in simulated_rows(noise=0.0)
    ]


def test_overhead_under_another_edge_is_that_of_the_moved_losses() -> None:
    fit = fit_rows(edged(1.01), bootstraps=20)
    own, other = fit.by_edge
    assert (own.edge, other.edge) == ("tokens", "any")
    assert overhead(own, "ar") == next(claim.value for claim in fit.claims)
    for objective in ("ar", "mdm"):
        (row,) = [row for row in fit.estimands if row.headline and row.objective == objective]
        law = LAWS[f"bpe512-{objective}"]
        change = np.log(law.flops(row.at_bpb) / law.flops(row.at_bpb / 1.01))
        assert np.log(overhead(other, objective) / overhead(own, objective)) == pytest.approx(change, abs=0.01)
        assert change < -0.02


def test_an_error_under_another_edge_is_the_same_share_of_the_loss() -> None:
    row = edged(1.25)[-1].model_copy(update={"document_nats_by_edge": FrozenDict(any=(1.0, 2.0)), "bpb_se": 0.01})
    moved = sensitivity._at_edge(row, "any")
    assert moved.bpb == pytest.approx(1.25 * row.bpb)
    assert moved.bpb_se == pytest.approx(0.0125)
    assert (moved.edge, moved.document_nats) == ("any", (1.0, 2.0))


def test_the_same_losses_under_another_edge_give_the_same_overhead() -> None:
    own, other = fit_rows(edged(1.0), bootstraps=20).by_edge
    assert overhead(other, "mdm") == pytest.approx(overhead(own, "mdm"), rel=1e-9)


def test_no_edges_where_a_run_lacks_one(noisy: Fit) -> None:
    assert noisy.by_edge == ()
    first, *others = edged(1.01)
    assert fit_rows([first.model_copy(update={"bpb_by_edge": FrozenDict()}), *others], bootstraps=20).by_edge == ()
