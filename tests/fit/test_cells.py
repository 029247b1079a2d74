"""IsoFLOP cells: minima against scipy, robust fits, pooled noise, every reason to exclude a cell from a frontier."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bytegap.errors import FitError
from bytegap.fit.cells import FittedCells, fit_cells
from bytegap.scaling import laws
from bytegap.schema.fit import Fit
from bytegap.schema.runs import RunRow
from tests.helpers.synthetic_runs import LAWS, Law, simulated_rows

BYTE_AR = {"byte-ar": LAWS["byte-ar"]}


def cells(rows: list[RunRow], bootstraps: int = 200) -> FittedCells:
    return fit_cells(rows, bootstraps, np.random.default_rng(0))


def changed(rows: list[RunRow], index: int, **update: object) -> list[RunRow]:
    return [row.model_copy(update=update) if i == index else row for i, row in enumerate(rows)]


def test_cell_minima_without_noise_match_scipys_minimum_of_the_law(exact: Fit) -> None:
    assert len(exact.cells) == 12
    for cell in exact.cells:
        law, flops = LAWS[cell.arm], cell.budget_flops

        def loss(ln_size: float, law: Law = law, flops: float = flops) -> float:
            size = np.exp(ln_size)
            return float(
                laws.chinchilla_bpb(size, flops / 6 / size, law.irreducible_loss, law.amplitudes, law.exponents)
            )

        truth = minimize_scalar(loss, bracket=(11, 13))
        assert cell.optimum_parameters.value == pytest.approx(np.exp(truth.x), rel=0.02)
        assert cell.optimum_tokens.value == pytest.approx(flops / 6 / np.exp(truth.x), rel=0.02)
        assert cell.optimum_bpb.value == pytest.approx(truth.fun, rel=0.001)
        second = (loss(truth.x + 0.1) - 2 * truth.fun + loss(truth.x - 0.1)) / 0.1**2
        assert cell.curvature.value == pytest.approx(second / 2, rel=0.1)
        assert cell.in_frontier
        assert cell.note == ""


def test_cell_curve_passes_through_the_runs(exact: Fit) -> None:
    for cell in exact.cells:
        size, bpb = np.array(cell.curve).T
        assert size[[0, -1]] == pytest.approx([cell.parameters[0], cell.parameters[-1]])
        assert np.interp(np.log(cell.parameters), np.log(size), bpb) == pytest.approx(cell.bpb, rel=0.002)


def test_an_outlier_moves_the_huber_minimum_less_than_least_squares() -> None:
    rows = simulated_rows(BYTE_AR, noise=0.002, sizes=9, seed=1)
    clean = cells(rows).cells[0].cell
    outlying = changed(rows, 1, bpb=1.3 * rows[1].bpb)
    robust = cells(outlying).cells[0].cell
    x = np.log([row.non_embedding_parameters for row in outlying[:9]])
    _, b, a = np.polynomial.polynomial.polyfit(x - x.mean(), np.log([row.bpb for row in outlying[:9]]), 2)
    squares = np.exp(x.mean() - b / (2 * a))
    truth = clean.optimum_parameters.value
    assert abs(np.log(robust.optimum_parameters.value / truth)) < 0.25 * abs(np.log(squares / truth))


@pytest.mark.parametrize("seeds", [1, 3])
def test_noise_is_pooled_over_residuals_and_seeds(seeds: int) -> None:
    noise = [
        cells(simulated_rows(noise=0.005, seeds=seeds, seed=seed), bootstraps=2).noise_log_bpb for seed in range(20)
    ]
    for objective in ("ar", "mdm"):
        assert np.mean([each[objective] for each in noise]) == pytest.approx(0.005, rel=0.1)


def test_noise_is_pooled_per_objective() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row.model_copy(update={"bpb": row.bpb * np.exp(0.03 * rng.standard_normal())})
        if row.objective == "mdm"
        else row
        for row in simulated_rows(noise=0.002)
    ]
    noise = cells(rows, bootstraps=2).noise_log_bpb
    assert noise["ar"] < 0.004
    assert noise["mdm"] > 0.015


def test_between_run_sd_is_not_shrunk_by_runs_of_large_evaluation_error() -> None:
    """Runs of large evaluation error carry little information about the spread of the other runs."""
    rng = np.random.default_rng(0)
    widths: list[list[float]] = [[], []]
    for seed in range(10):
        quiet = simulated_rows(BYTE_AR, sizes=12, seed=seed)
        noisy = [
            row.model_copy(update={"bpb": row.bpb * np.exp(0.05 * rng.standard_normal()), "bpb_se": 0.05 * row.bpb})
            if row.budget_flops == 1e13
            else row
            for row in quiet
        ]
        for table, found in zip((quiet, noisy), widths, strict=True):
            found.append(np.ptp(cells(table).cells[-1].cell.optimum_bpb.ci95))
    ratio = np.mean(widths[1]) / np.mean(widths[0])
    assert 0.9 < ratio < 4.0  # cells share a skew, a curvature and some of their noise; noise pooled over them gives 6


def test_cell_intervals_cover_the_optimum_with_two_dof() -> None:
    truth = LAWS["byte-ar"].bpb(1e13)
    covered = 0
    for seed in range(200):
        low, high = cells(simulated_rows(BYTE_AR, {"byte-ar": (1e13,)}, seed=seed)).cells[0].cell.optimum_bpb.ci95
        covered += low <= truth <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_evaluation_error_is_part_of_the_residual_noise() -> None:
    """Residuals already include evaluation error: stating how much of them it is adds only the tails of its t."""
    rows = simulated_rows(BYTE_AR, noise=0.005, sizes=12)
    stated = [row.model_copy(update={"bpb_se": 0.003 * row.bpb}) for row in rows]
    widths = [
        [np.ptp(fitted.cell.optimum_bpb.ci95) for fitted in cells(table, bootstraps=1000).cells]
        for table in (rows, stated)
    ]
    assert 0.95 < np.mean(widths[1]) / np.mean(widths[0]) < 1.25


def test_evaluation_error_widens_its_own_cell_most() -> None:
    rows = simulated_rows(BYTE_AR, noise=0.001)
    noisy = [row.model_copy(update={"bpb_se": 0.05}) if row.budget_flops == 1e13 else row for row in rows]
    first, second, _ = (fitted.cell.optimum_bpb.ci95 for fitted in cells(noisy).cells)
    assert first[1] - first[0] > 3 * (second[1] - second[0])


@pytest.mark.parametrize(("off_centre", "side"), [(16.0, "smallest"), (1 / 16, "largest")])
def test_cells_with_a_minimum_at_an_end_size_are_not_in_the_frontier(off_centre: float, side: str) -> None:
    for fitted in cells(simulated_rows(BYTE_AR, noise=0.0, off_centre=off_centre)).cells:
        assert fitted.cell.note == f"the lowest BPB is at the {side} size tried"
        assert not fitted.cell.bracketed
        assert not fitted.cell.in_frontier
        assert fitted.cell.optimum_parameters.value is None
        assert fitted.cell.optimum_bpb.value == pytest.approx(min(fitted.cell.bpb), rel=0.01)


def test_cells_whose_curvature_interval_includes_0_are_not_in_the_frontier() -> None:
    found = [fitted.cell for seed in range(5) for fitted in cells(simulated_rows(BYTE_AR, span=2.5, seed=seed)).cells]
    found_flat = [cell for cell in found if cell.note == "the curvature's interval includes 0"]
    assert found_flat
    for cell in found_flat:
        assert cell.curvature.ci95[0] <= 0 < cell.curvature.value
        assert not cell.bracketed
        assert not cell.in_frontier


def test_cells_near_the_unigram_model_are_not_in_the_frontier() -> None:
    law = {"byte-ar": Law.through(4.0, 1e13, 60e3, irreducible_loss=1.0)}
    first, *_, last = (fitted.cell for fitted in cells(simulated_rows(law, noise=0.0)).cells)
    assert first.bracketed
    assert not first.learns_context
    assert not first.in_frontier
    assert first.note == "not yet learning context: 0.38 BPB below its unigram"
    assert last.learns_context
    assert last.in_frontier


def test_cells_near_the_unigram_model_have_no_part_in_the_noise_of_the_others() -> None:
    rows = simulated_rows(BYTE_AR, noise=0.002, seed=3)
    first = {row.budget_flops for row in rows[:1]}
    of_first = [index for index, row in enumerate(rows) if row.budget_flops in first]
    scattered = rows
    for index, bpb in zip(of_first, (4.2, 3.95, 4.3, 3.9, 4.25), strict=True):
        scattered = changed(scattered, index, bpb=bpb)
    alone, both = cells([row for row in rows if row.budget_flops not in first]), cells(scattered)
    assert both.noise == alone.noise
    assert [each.cell.learns_context for each in both.cells] == [False, True, True]
    for one, other in zip(both.cells[1:], alone.cells, strict=True):
        assert one.cell.optimum_bpb.value == pytest.approx(other.cell.optimum_bpb.value)
        assert one.cell.in_frontier


def test_failed_runs_are_left_out_with_a_warning() -> None:
    rows = changed(simulated_rows(BYTE_AR), 2, status="failed", reason="loss is not finite", bpb=None, bpb_se=None)
    found = cells(rows)
    assert found.warnings[0] == f"run {rows[2].run} (byte-ar, 1e+13 FLOPs) is left out: loss is not finite"
    assert rows[2].run not in found.cells[0].cell.runs
    assert len(found.cells[0].cell.runs) == 4


def with_documents(rows: list[RunRow], deviation: float) -> list[RunRow]:
    """The rows scored on 20 documents whose difficulty varies by `deviation`, apart for each arm."""
    documents = {arm: 1 + deviation * np.random.default_rng(len(arm)).standard_normal(20) for arm in LAWS}
    return [
        row.model_copy(
            update={
                "document_nats": tuple((np.log(2) * 1000 * row.bpb * documents[row.arm]).tolist()),
                "document_bytes": (1000,) * 20,
            }
        )
        for row in rows
    ]


def test_documents_widen_the_interval_of_a_minimum_and_not_the_noise_of_runs() -> None:
    rows = simulated_rows(BYTE_AR, noise=0.001)
    unknown = [row.model_copy(update={"document_nats": (), "document_bytes": ()}) for row in rows]
    plain, scored = cells(unknown), cells(with_documents(rows, 0.1))
    assert (plain.documents, scored.documents) == (0, 20)
    assert [warning for warning in plain.warnings if "held-out documents" in warning]
    assert not scored.warnings
    for before, after in zip(plain.cells, scored.cells, strict=True):
        assert after.ln_bpb_K[1:].std() == pytest.approx(0.1 / 20**0.5, rel=0.35)
        assert after.ln_bpb_run_K[1:].std() == pytest.approx(before.ln_bpb_K[1:].std(), rel=0.2)
    first, second, _ = (after.ln_bpb_K - after.ln_bpb_run_K for after in scored.cells)
    assert np.corrcoef(first[1:], second[1:])[0, 1] > 0.99  # one draw of documents for all runs


def test_a_single_document_is_not_resampled() -> None:
    rows = simulated_rows(BYTE_AR)
    one = [row.model_copy(update={"document_nats": (1.0,), "document_bytes": (9,)}) for row in rows]
    assert "one held-out document" in cells(one).warnings[0]


def test_shared_seeds_widen_a_minimum_by_the_effect_that_pairs_of_seeds_show() -> None:
    rng = np.random.default_rng(0)
    shift = {(flops, seed): 0.01 * rng.standard_normal() for flops in (1e13, 4e13, 1.6e14) for seed in range(4)}
    rows = simulated_rows(BYTE_AR, noise=0.001, seeds=4, shared_seeds=True)
    moved = [row.model_copy(update={"bpb": row.bpb * np.exp(shift[row.budget_flops, row.seed])}) for row in rows]
    found = cells(moved)
    (level,) = found.noise
    assert level.seed_effect == "estimated"
    assert level.seed_effect_sd == pytest.approx(np.std(list(shift.values())), rel=0.4)
    for fitted in found.cells:
        assert fitted.ln_bpb_K[1:].std() == pytest.approx(level.seed_effect_sd / 4**0.5, rel=0.4)


def test_one_seed_a_cell_is_warned_about() -> None:
    found = cells(simulated_rows(BYTE_AR, shared_seeds=True))
    assert [level.seed_effect for level in found.noise] == ["assumed"]
    assert [warning for warning in found.warnings if "share a seed" in warning]
    assert not [warning for warning in cells(simulated_rows(BYTE_AR)).warnings if "share a seed" in warning]


def test_a_skew_is_fitted_where_the_curves_show_one() -> None:
    rows = simulated_rows(BYTE_AR, noise=0.0005)
    middle = {flops: LAWS["byte-ar"].optimum(flops) for flops in (1e13, 4e13, 1.6e14)}
    skewed = [
        row.model_copy(
            update={
                "bpb": row.bpb * np.exp(-0.01 * np.log(row.non_embedding_parameters / middle[row.budget_flops]) ** 3)
            }
        )
        for row in rows
    ]
    found = cells(skewed)
    assert found.skew["byte-ar"].value == pytest.approx(-0.01, abs=0.001)
    for fitted in found.cells:
        low, high = fitted.cell.optimum_parameters.ci95
        assert low < middle[fitted.cell.budget_flops] < high


def test_permutations_that_scatter_more_have_noise_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = simulated_rows(BYTE_AR, noise=0.003)
    permuted = [
        row.model_copy(
            update={
                "run": f"p{row.run[1:]}",
                "arm": "byte-ar-fixed",
                "permutation": "fixed",
                "bpb": row.bpb * np.exp(0.02 * rng.standard_normal()),
            }
        )
        for row in rows
    ]
    noise = cells(rows + permuted).noise_log_bpb
    assert noise["ar, identity"] < 0.005
    assert noise["ar, fixed"] > 0.01


def test_a_permutation_that_never_learns_context_keeps_its_noise() -> None:
    rows = simulated_rows(BYTE_AR, noise=0.003)
    unlearned = {"arm": "byte-ar-fixed", "permutation": "fixed", "unigram_bpb": 2.0}
    permuted = [row.model_copy(update=unlearned | {"run": f"p{row.run[1:]}"}) for row in rows]
    found = cells(rows + permuted)
    assert found.noise_log_bpb.keys() == {"ar, identity", "ar, fixed"}
    assert [each.cell.learns_context for each in found.cells] == [True] * 3 + [False] * 3
    assert found.curvature.keys() == {"byte-ar", "byte-ar-fixed"}


def test_fewer_than_four_sizes_get_no_parabola() -> None:
    rows = simulated_rows(BYTE_AR)
    first = cells(rows[2:]).cells[0].cell
    assert first.note == "3 sizes finished, a parabola needs 4"
    assert first.optimum_bpb.value is None
    assert first.curve == ()
    assert first.learns_context
    assert not first.in_frontier
    with pytest.raises(FitError, match="4 sizes at one budget"):
        cells(rows[:3])


def test_seeds_of_one_size_do_not_count_as_sizes() -> None:
    with pytest.raises(FitError, match="4 sizes"):
        cells(simulated_rows(BYTE_AR, sizes=3, seeds=4))


def test_cell_flops_are_the_runs_own_not_the_nominal_budget() -> None:
    rows = [row.model_copy(update={"flops": 1.01 * row.flops}) for row in simulated_rows(BYTE_AR)]
    assert [fitted.flops for fitted in cells(rows).cells] == pytest.approx([1.01e13, 4.04e13, 1.616e14])
