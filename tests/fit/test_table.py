"""`fit-table`: known laws are recovered, and doubtful tables are warned about."""

from pathlib import Path

import numpy as np
import pytest

import bytegap
from bytegap.cli.main import main
from bytegap.errors import FitError
from bytegap.fit.table_schema import ArmsFit, TableFit
from bytegap.scaling import laws
from tests.helpers.run_tables import FLOPS, LAW, fitted, refused, runs, warned, write

# -- fits -------------------------------------------------------------------------------------------------------------


def test_a_known_law_is_recovered(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit = fitted(capsys, write(tmp_path / "runs.csv", runs()))
    for name, truth in LAW.items():
        assert fit["chinchilla"][name]["value"] == pytest.approx(truth, rel=1e-3)
        assert fit["chinchilla"][name]["ci95"] == pytest.approx([truth, truth], rel=1e-3)
    assert fit["chinchilla"]["rows"] == 42
    assert fit["chinchilla"]["objective"] < 1e-15
    exponent = LAW["beta"] / (LAW["alpha"] + LAW["beta"])
    for found in (fit["optimal"], fit["optimal"]["isoflop"]):
        assert found["N_exponent"]["value"] == pytest.approx(exponent, abs=0.002)
        assert found["D_exponent"]["value"] == pytest.approx(1 - exponent, abs=0.002)
    pairs = (LAW["A"], LAW["B"]), (LAW["alpha"], LAW["beta"])
    assert [cell["flops"] for cell in fit["isoflop"]] == pytest.approx(FLOPS)
    for cell in fit["isoflop"]:
        best, data = laws.chinchilla_optimum(cell["flops"], *pairs)
        assert cell["optimum_params"]["value"] == pytest.approx(best, rel=0.02)
        assert cell["optimum_tokens"]["value"] == pytest.approx(data, rel=0.02)
        assert cell["optimum_loss"]["value"] == pytest.approx(
            float(laws.chinchilla_bpb(best, data, LAW["E"], *pairs)), rel=1e-3
        )
        assert cell["bracketed"]
        assert cell["runs"] == 7
        assert cell["curvature"]["ci95"][0] > 0
    E, _, exponent = laws.chinchilla_frontier(LAW["E"], *pairs)
    assert fit["frontier"]["source"] == "isoflop minima"
    assert fit["frontier"]["form"] == "own irreducible loss"
    assert fit["frontier"]["irreducible_loss"]["value"] == pytest.approx(E, rel=0.02)
    assert fit["frontier"]["exponent"]["value"] == pytest.approx(exponent, rel=0.02)
    TableFit.model_validate(fit)


def test_a_missing_count_follows_from_6nd(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    full = fitted(capsys, write(tmp_path / "runs.csv", runs(noise=0.003)))
    for left_out in ("flops", "params", "tokens"):
        rows = [{k: v for k, v in row.items() if k != left_out} for row in runs(noise=0.003)]
        path = write(tmp_path / f"no-{left_out}.csv", rows)
        fit = fitted(capsys, path, "--convention", "6nd")
        for name in LAW:
            assert fit["chinchilla"][name]["value"] == pytest.approx(full["chinchilla"][name]["value"], rel=1e-5)
        assert f"'{left_out}'" in refused(capsys, str(path))


def test_frontier_of_few_budgets_is_the_laws_own(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit = fitted(capsys, write(tmp_path / "runs.csv", runs(flops=FLOPS[:3])))
    E, amplitude, exponent = laws.chinchilla_frontier(LAW["E"], (LAW["A"], LAW["B"]), (LAW["alpha"], LAW["beta"]))
    assert fit["frontier"]["source"] == "chinchilla law"
    assert fit["frontier"]["irreducible_loss"]["value"] == pytest.approx(E, rel=1e-3)
    assert fit["frontier"]["amplitude"]["value"] == pytest.approx(amplitude, rel=1e-2)
    assert fit["frontier"]["exponent"]["value"] == pytest.approx(exponent, rel=1e-3)


def test_runs_of_varied_compute_have_a_law_and_no_budgets(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(0)
    rows = runs(sizes=5)
    for row in rows:
        row["tokens"] *= float(np.exp(rng.uniform(-2, 2)))
        row["flops"] = 6 * row["params"] * row["tokens"]
        row["loss"] = float(
            laws.chinchilla_bpb(
                row["params"], row["tokens"], LAW["E"], (LAW["A"], LAW["B"]), (LAW["alpha"], LAW["beta"])
            )
        )
    fit = fitted(capsys, write(tmp_path / "runs.csv", rows))
    assert fit["isoflop"] == []
    assert fit["optimal"]["isoflop"] is None
    warned(fit, "no_budgets")
    assert fit["chinchilla"]["alpha"]["value"] == pytest.approx(LAW["alpha"], rel=1e-3)
    assert fit["frontier"]["source"] == "chinchilla law"


def test_budgets_are_inferred_or_read_from_the_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(0)
    rows = [row | {"flops": row["flops"] * float(rng.uniform(0.97, 1.03))} for row in runs()]
    fit = fitted(capsys, write(tmp_path / "runs.csv", rows))
    assert [cell["runs"] for cell in fit["isoflop"]] == [7] * 6
    assert "6 budgets were inferred" in warned(fit, "inferred_budgets")
    named = [row | {"budget": FLOPS[at // 7]} for at, row in enumerate(rows)]
    fit = fitted(capsys, write(tmp_path / "named.csv", named))
    assert [cell["budget"] for cell in fit["isoflop"]] == list(FLOPS)
    assert not [warning for warning in fit["warnings"] if "budgets" in warning]


def test_neighbouring_budgets_are_separate_cells(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flops = (1e18, 1.3e18, 1.7e18)
    fit = fitted(capsys, write(tmp_path / "runs.csv", runs(flops=flops)))
    assert [cell["flops"] for cell in fit["isoflop"]] == pytest.approx(flops)


WIDE = {
    "hoffmann": (1.69, 406.4, 410.7, 0.34, 0.28),
    "besiroglu": (1.8172, 482.01, 2085.43, 0.3478, 0.3658),
    "steep in N": (1.8, 3000.0, 400.0, 0.48, 0.28),
    "steep in D": (1.8, 60.0, 9000.0, 0.24, 0.42),
}
"""(E, A, B, alpha, beta): Hoffmann et al. 2022, Besiroglu et al. 2024, and two of very unequal exponents."""


def test_exponent_of_the_optimum_on_wide_grids() -> None:
    """12 budgets, sizes over a factor of 400 that are the same at all budgets, 0.3 % noise."""
    misses: list[float] = []
    for seed, (E, A, B, alpha, beta) in enumerate(WIDE.values()):
        rng = np.random.default_rng(seed)
        flops = 1e18 * 1.8 ** np.arange(12)
        middle, _ = laws.chinchilla_optimum(float(np.exp(np.log(flops).mean())), (A, B), (alpha, beta))
        size, compute = (each.ravel() for each in np.meshgrid(middle * np.geomspace(0.05, 20, 14), flops))
        loss = laws.chinchilla_bpb(size, compute / 6 / size, E, (A, B), (alpha, beta))
        loss *= np.exp(0.003 * rng.standard_normal(len(size)))
        columns = {"params": size, "tokens": compute / 6 / size, "flops": compute, "loss": loss}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        fit = bytegap.fit_table(rows, bootstraps=40)
        assert isinstance(fit, TableFit)
        assert fit.optimal.isoflop is not None
        misses.append(fit.optimal.isoflop.N_exponent.value - beta / (alpha + beta))
    assert np.abs(misses).mean() < 0.015


def test_columns_may_have_other_names(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    names = {"params": "Model Size", "flops": "Training FLOP", "loss": "loss", "tokens": "seen"}
    rows = [{names[key]: value for key, value in row.items()} | {"who": "me"} for row in runs()]
    path = write(tmp_path / "runs.csv", rows)
    fit = fitted(capsys, path, "--columns", "params=Model Size, flops=Training FLOP,tokens=seen")
    assert fit["chinchilla"]["alpha"]["value"] == pytest.approx(LAW["alpha"], rel=1e-3)
    assert "'params'" in (error := refused(capsys, str(path), "--columns", "flops=Training FLOP"))
    assert "--columns" in error


def test_csv_with_byte_order_mark_carriage_returns_and_blank_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    plain = fitted(capsys, write(tmp_path / "plain.csv", runs()))
    path = write(tmp_path / "runs.csv", [{k: f" {v:.17e} " for k, v in row.items()} for row in runs()], end="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n,,,\r\n\r\n")
    fit = fitted(capsys, path)
    assert [fit["chinchilla"][name]["value"] for name in LAW] == pytest.approx(
        [plain["chinchilla"][name]["value"] for name in LAW]
    )


def test_seed_changes_only_intervals_and_row_order_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path / "runs.csv", runs(noise=0.01))
    one = fitted(capsys, path)
    assert fitted(capsys, path) == one
    other = fitted(capsys, path, "--seed", "1")
    assert other["chinchilla"]["E"]["value"] == one["chinchilla"]["E"]["value"]
    assert other["chinchilla"]["E"]["ci95"] != one["chinchilla"]["E"]["ci95"]
    turned = fitted(capsys, write(tmp_path / "turned.csv", runs(noise=0.01)[::-1]))
    assert turned["chinchilla"]["alpha"]["value"] == pytest.approx(one["chinchilla"]["alpha"]["value"], rel=1e-5)


def test_arms_are_fitted_separately_and_compared_by_the_nested_test(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    steep = LAW | {"alpha": 0.42, "beta": 0.36, "A": 1800.0, "B": 2000.0}
    rows = runs(noise=0.001, arm="one") + runs(steep, noise=0.001, arm="two", seed=1)
    fit = fitted(capsys, write(tmp_path / "runs.csv", rows))
    ArmsFit.model_validate(fit)
    assert list(fit["arms"]) == ["one", "two"]
    assert fit["arms"]["two"]["chinchilla"]["alpha"]["value"] == pytest.approx(0.42, abs=0.02)
    assert fit["separate_laws"]["simplest"] == "arm"
    one = fitted(capsys, write(tmp_path / "one.csv", runs(noise=0.001, arm="one")))
    assert one["chinchilla"] == fit["arms"]["one"]["chinchilla"]


def test_tables_are_printed_without_json(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path / "runs.csv", runs(noise=0.001, arm="one") + runs(noise=0.001, arm="two", seed=1))
    assert main(["fit-table", str(path), "--bootstraps", "40"]) == 0
    out = capsys.readouterr().out
    for words in ("alpha", "IsoFLOP minima", "separate laws"):
        assert words in out


def test_a_warning_names_its_arm_and_what_all_arms_share_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    bad = [row | {"flops": row["flops"] * (1.5 if number == 3 else 1)} for number, row in enumerate(runs(arm="two"))]
    path = write(tmp_path / "runs.csv", runs(arm="one") + bad)
    assert main(["fit-table", str(path), "--bootstraps", "40"]) == 0
    said = capsys.readouterr().err
    assert said.count("assumed_units") == 1
    named = {line.split()[1] for line in said.splitlines() if "budgets" in line or "6 N D" in line}
    assert named <= {"one:", "two:"}
    assert "two:" in named


def test_a_column_that_is_read_as_another_is_not_suggested(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path / "runs.csv", [{"tokens": 1, "loss": 2, "flops": 3}])
    error = refused(capsys, str(path), "--columns", "params=tokens")
    assert "there is no column 'tokens' (the one of that name is read as 'params')" in error


def test_advice_serves_the_verb_and_the_function(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", [{"size": 1, "tokens": 1, "loss": 2, "flops": 3}])
    with pytest.raises(FitError) as refused_:
        bytegap.fit_table(path)
    for words in ("--columns 'params=...'", "columns={'params': '...'}", "--convention 6nd", "convention='6nd'"):
        assert words in str(refused_.value)


# -- warnings ---------------------------------------------------------------------------------------------------------


def test_warning_about_units_is_always_given(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "nats or bits" in warned(fitted(capsys, write(tmp_path / "runs.csv", runs())), "assumed_units")


def test_warning_names_repeated_rows(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = runs()
    fit = fitted(capsys, write(tmp_path / "runs.csv", [*rows[:8], rows[2], *rows[8:]]))
    assert "rows 4 and 10 are equal" in warned(fit, "repeated_rows")


@pytest.mark.parametrize("name", ["single_budget", "single_size", "single_data", "fixed_ratio", "few_points"])
def test_constants_that_are_not_identified_have_no_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture, name: str
) -> None:
    rows = runs(noise=0.003, flops=FLOPS[:1] if name == "single_budget" else FLOPS)
    for at, row in enumerate(rows):
        if name == "single_size":
            row["params"] = 1e8
        elif name == "single_data":
            row["tokens"] = 1e10
        elif name == "fixed_ratio":
            row["tokens"] = 20 * row["params"]
        elif name == "few_points":
            row["params"], row["tokens"] = rows[at % 5]["params"], rows[at % 5]["tokens"] * (1 + at % 2)
        row["flops"] = row["flops"] if name == "single_budget" else 6 * row["params"] * row["tokens"]
    if name == "few_points":
        for at, row in enumerate(rows):
            row["params"], row["tokens"] = [(1e8, 1e9), (1e8, 4e9), (4e8, 1e9), (4e8, 4e9), (8e8, 2e9)][at % 5]
            row["flops"] = 6 * row["params"] * row["tokens"]
    fit = fitted(capsys, write(tmp_path / "runs.csv", rows))
    assert "not identified" in warned(fit, name)
    assert all(fit["chinchilla"][each]["ci95"] is None for each in LAW)
    assert fit["optimal"]["N_exponent"]["ci95"] is None


def test_warning_names_rows_whose_flops_are_not_6nd(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = runs()
    rows[3]["flops"] *= 1.3
    rows[9]["flops"] *= 1.15
    warning = warned(fitted(capsys, write(tmp_path / "runs.csv", rows)), "off_6nd")
    assert " in row 5;" in warning


def test_outliers_are_named_and_dropped_by_drop_worst(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = runs(noise=0.002)
    rows[5]["loss"] *= 1.4
    rows[20]["loss"] *= 0.8
    path = write(tmp_path / "runs.csv", rows)
    assert "rows 7 and 22 are" in warned(fitted(capsys, path), "outliers")
    fit = fitted(capsys, path, "--drop-worst", "2")
    assert "rows 7 and 22" in warned(fit, "dropped_rows")
    assert fit["chinchilla"]["rows"] == 40
    assert not [warning for warning in fit["warnings"] if warning.startswith("outliers")]


def test_warning_where_the_irreducible_loss_is_zero(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = runs()
    for row in rows:
        row["loss"] = 8 - 0.2 * float(np.log(row["params"])) - 0.05 * float(np.log(row["tokens"]))
    fit = fitted(capsys, write(tmp_path / "runs.csv", rows))
    warned(fit, "no_irreducible_loss")
    assert fit["chinchilla"]["E"]["value"] == 0
