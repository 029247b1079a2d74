"""`fit-table` reads other layouts than its own CSV: JSON lines, a study's runs.jsonl, exports of trackers."""

import csv
import json
from pathlib import Path

import pytest

from bytegap.fit.read_table import parse_columns, read
from bytegap.study.directory import StudyDir
from tests.helpers.run_tables import fitted, refused, runs, write

RESULTS = Path(__file__).parents[2] / "results"
PLAIN = runs(noise=0.002)


def same(path: Path, columns: str = "") -> bool:
    """Whether the file's rows are those of `PLAIN`."""
    rows = read(path, parse_columns(columns), None)
    own = [(row.flops, row.params, row.tokens, row.loss) for row in rows]
    return own == [(row["flops"], row["params"], row["tokens"], row["loss"]) for row in PLAIN]


def test_json_lines_and_a_json_list(tmp_path: Path) -> None:
    lines = tmp_path / "runs.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in PLAIN) + "\n\n")
    assert same(lines)
    listed = tmp_path / "runs.json"
    listed.write_text(json.dumps(PLAIN, indent=1))
    assert same(listed)
    (tmp_path / "bom.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.read_bytes())
    assert same(tmp_path / "bom.jsonl")


def test_nested_objects_are_dotted_columns(tmp_path: Path) -> None:
    """As runs of wandb's API are written: a config and a summary."""
    path = tmp_path / "wandb.jsonl"
    rows = [
        {
            "name": f"run-{i}",
            "config": {"model": {"n_params": row["params"]}, "flops": row["flops"], "betas": [0.9, 0.95]},
            "summary": {"val/loss": row["loss"], "tokens": row["tokens"], "_step": 10},
        }
        for i, row in enumerate(PLAIN)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert same(path, "params=config.model.n_params,flops=config.flops,loss=summary.val/loss,tokens=summary.tokens")


def test_columns_with_commas_in_their_names(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Size, non-embedding", "Compute (FLOP)", "tokens", "loss"])
        writer.writerows([row["params"], row["flops"], row["tokens"], row["loss"]] for row in PLAIN)
    assert same(path, '"params=Size, non-embedding",flops=Compute (FLOP)')


def test_a_studys_rows_need_no_names() -> None:
    source = RESULTS / "laptop" / "runs.jsonl"
    rows = read(source, {}, None)
    finished = [row for row in StudyDir(RESULTS / "laptop", read_only=True).runs() if row.status == "finished"]
    assert [(row.arm, row.loss, row.params) for row in rows] == [
        (row.arm, row.bpb, row.non_embedding_parameters) for row in finished
    ]
    assert rows[0].budget == finished[0].budget_flops


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"loss": 1.0, "flops": 2\n', "row 1: not JSON"),
        ('{"a": 1}\n[1, 2]\n', "row 2"),
        ("[1, 2, 3]", "row 1: 1 is not a JSON object"),
        ('{"a": 1}\n', "no column 'loss'"),
        ("[]", "no column 'loss'"),
        ('[{"loss": "3,1", "flops": 1e18, "params": 1e6, "tokens": 1e7}]', "thousands separators"),
        ('[{"loss": true, "flops": 1e18, "params": 1e6, "tokens": 1e7}]', "not a number"),
    ],
)
def test_damaged_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture, text: str, says: str) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(text)
    assert says in refused(capsys, str(path))


def test_open_quotes_in_columns_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "quotes" in refused(capsys, str(write(tmp_path / "runs.csv", PLAIN)), "--columns", '"params=Size, M')


def test_the_fit_is_that_of_the_csv(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    lines = tmp_path / "runs.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in PLAIN))
    assert fitted(capsys, lines) == fitted(capsys, write(tmp_path / "runs.csv", PLAIN))
