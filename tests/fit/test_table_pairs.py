"""`fit-table --pair`: known overheads and interactions are recovered, with labels; the study's own are found again."""

import math
from pathlib import Path

import numpy as np
import pytest

import bytegap
from bytegap.fit.table_schema import ArmsFit
from bytegap.study.directory import StudyDir
from tests.helpers.run_tables import FLOPS, fitted, refused, runs, write

RESULTS = Path(__file__).parents[2] / "results"


def dearer(arm: str, factor: float, noise: float = 0.0, seed: int = 0, flops: tuple = FLOPS) -> list[dict]:
    """An arm that needs `factor` times the compute for every loss."""
    rows = runs(noise=noise, arm=arm, seed=seed, flops=flops)
    return [row | {"flops": row["flops"] * factor, "tokens": row["tokens"] * factor} for row in rows]


def test_a_known_overhead_is_recovered(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path / "runs.csv", [*runs(arm="subword"), *dearer("raw", 3.0)])
    fit = fitted(capsys, path, "--pair", "bytes=raw,bpe=subword")
    [pair] = fit["pairs"]
    assert (pair["bytes"], pair["bpe"], pair["note"]) == ("raw", "subword", "")
    by_label: dict[str, list[dict]] = {}
    for each in pair["overhead"]:
        by_label.setdefault(each["label"], []).append(each)
    assert len(by_label["estimated"]) >= 9
    for each in by_label["estimated"]:
        assert each["value"] == pytest.approx(3, rel=0.01)
        assert each["ci95"][0] <= each["value"] <= each["ci95"][1]
    assert sum(each["headline"] for each in pair["overhead"]) == 1
    assert pair["slope"]["value"] == pytest.approx(0, abs=0.02)
    assert all(each["value"] > 0 for each in pair["gap"])
    assert pair["parity"] is None
    assert fit["interactions"] == []
    ArmsFit.model_validate(fit)


def test_a_bound_is_labelled_a_bound(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Arms without a common loss: bytes need more than their largest budget over the other's smallest."""
    rows = [*runs(arm="subword", flops=FLOPS[3:]), *dearer("raw", 50.0, flops=FLOPS[:3])]
    [pair] = fitted(capsys, write(tmp_path / "runs.csv", rows), "--pair", "bytes=raw,bpe=subword")["pairs"]
    assert {each["label"] for each in pair["overhead"]} <= {"censored", "extrapolated"}
    [headline] = [each for each in pair["overhead"] if each["headline"]]
    assert headline["bound"] == ">"
    assert headline["value"] <= 50


def test_two_pairs_give_their_interaction(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [*runs(arm="a1", noise=0.002), *dearer("b1", 6.0, 0.002, 1), *runs(arm="a2", noise=0.002, seed=2)]
    rows += dearer("b2", 2.0, 0.002, 3)
    fit = fitted(capsys, write(tmp_path / "runs.csv", rows), "--pair", "bytes=b1,bpe=a1", "--pair", "bytes=b2,bpe=a2")
    [interaction] = fit["interactions"]
    assert (interaction["first"], interaction["second"]) == (["b1", "a1"], ["b2", "a2"])
    estimated = [each for each in interaction["values"] if each["label"] == "estimated"]
    assert estimated
    for each in estimated:
        low, high = each["ci95"]
        assert low - 0.02 <= math.log(3) <= high + 0.02
    one, other = fit["pairs"]
    at = estimated[len(estimated) // 2]["at_loss"]
    ln_k = [
        np.interp(at, *zip(*((e["at_loss"], math.log(e["value"])) for e in pair["overhead"]), strict=True))
        for pair in (one, other)
    ]
    assert estimated[len(estimated) // 2]["value"] == pytest.approx(ln_k[0] - ln_k[1], abs=0.02)


def test_parity_is_found_where_the_arms_cross(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    steeper = {"E": 1.2, "A": 460.0, "B": 900.0, "alpha": 0.34, "beta": 0.30}
    rows = [*runs(arm="subword"), *runs(steeper, arm="raw")]
    [pair] = fitted(capsys, write(tmp_path / "runs.csv", rows), "--pair", "bytes=raw,bpe=subword")["pairs"]
    gaps = [(each["at_flops"], each["value"]) for each in pair["gap"]]
    assert gaps[0][1] > 0 > gaps[-1][1], "the arms cross within the budgets, or this test is wrong"
    before = max(flops for flops, gap in gaps if gap > 0)
    after = min(flops for flops, gap in gaps if gap < 0)
    assert before < pair["parity"]["value"] < after
    assert pair["slope"]["value"] < 0


def test_a_pair_without_frontiers_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [*runs(arm="subword"), *dearer("raw", 3.0, flops=FLOPS[:1])]
    [pair] = fitted(capsys, write(tmp_path / "runs.csv", rows), "--pair", "bytes=raw,bpe=subword")["pairs"]
    assert "raw has 1 budgets" in pair["note"]
    assert pair["slope"] is None


def test_a_studys_own_overhead_is_found_again() -> None:
    """From nothing but sizes, tokens, FLOPs and losses of its runs: the same k, within the study's interval."""
    study = StudyDir(RESULTS / "laptop", read_only=True)
    finished = [row for row in study.runs() if row.status == "finished" and row.arm in {"byte-ar", "bpe512-ar"}]
    rows = [
        {
            "arm": row.arm,
            "budget": row.budget_flops,
            "flops": row.flops,
            "params": row.non_embedding_parameters,
            "tokens": row.tokens,
            "loss": row.bpb,
        }
        for row in finished
    ]
    fit = bytegap.fit_table(rows, bootstraps=200, pairs=[("byte-ar", "bpe512-ar")])
    assert isinstance(fit, ArmsFit)
    [claim] = [each for each in study.fit().claims if each.kind == "overhead" and each.arms == ("byte-ar", "bpe512-ar")]
    estimated = [each for each in fit.pairs[0].overhead if each.label == "estimated"]
    ln_k = np.interp(claim.at_bpb, [each.at_loss for each in estimated], [math.log(each.value) for each in estimated])
    low, high = claim.ci95
    assert low <= math.exp(ln_k) <= high


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("bytes=raw", "bytes=ARM,bpe=ARM"),
        ("bytes=,bpe=subword", "bytes=ARM,bpe=ARM"),
        ("raw,subword", "bytes=ARM,bpe=ARM"),
        ("bytes=raw,bpe=raw", "twice"),
        ("bytes=rav,bpe=subword", "did you mean 'raw'"),
    ],
)
def test_a_wrong_pair_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture, pair: str, says: str) -> None:
    path = write(tmp_path / "runs.csv", [*runs(arm="subword"), *dearer("raw", 3.0)])
    assert says in refused(capsys, str(path), "--pair", pair)


def test_a_pair_of_a_table_without_arms_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "column 'arm'" in refused(capsys, str(write(tmp_path / "runs.csv", runs())), "--pair", "bytes=a,bpe=b")


def test_names_with_commas_and_equals_signs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """In either order of the keys."""
    rows = [row | {"arm": '"bpe, V=32k"'} for row in runs(arm="x")] + [
        row | {"arm": '"raw, V=256"'} for row in dearer("x", 3.0)
    ]
    path = write(tmp_path / "runs.csv", rows)
    for text in ("bytes=raw, V=256,bpe=bpe, V=32k", "bpe=bpe, V=32k,bytes=raw, V=256"):
        [pair] = fitted(capsys, path, "--pair", text)["pairs"]
        assert (pair["bytes"], pair["bpe"]) == ("raw, V=256", "bpe, V=32k")
