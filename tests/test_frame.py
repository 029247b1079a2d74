"""runs.jsonl as a table: the columns that docs/runs.md names, in polars, pandas and DuckDB alike."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import bytegap
from bytegap import records
from bytegap.errors import StoreError
from bytegap.records import RunRow
from bytegap.store import write_table
from tests.studies import simulated_rows

ROOT = Path(__file__).parents[1]
LAPTOP = ROOT / "results" / "laptop"
PAGE = ROOT / "docs" / "runs.md"
KINDS = {"str": "text", "int": "whole number", "float": "number", "float | None": "number or none"}
KINDS |= {"dict[str, float]": "number by name", "Literal['finished', 'failed']": "text", "Literal[1]": "whole number"}


def fields(name):
    """A record's own fields with their docstrings, read off its source."""
    module = ast.parse(inspect.getsource(records))
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield ast.unparse(node.target), ast.unparse(node.annotation), after.value.value if told else ""


def test_the_documented_columns_are_those_of_the_record():
    """The table in docs/runs.md, word for word: `pytest -k documented` prints what it should be."""
    rows = [*fields("Record"), *fields("RunRow")]
    assert [name for name, _, _ in rows] == list(RunRow.model_fields)
    table = [f"| `{name}` | {KINDS[kind]} | {' '.join(told.split())} |" for name, kind, told in rows]
    given = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    print("\n".join(table))
    assert given == table


@pytest.mark.parametrize("path", [LAPTOP, LAPTOP / "runs.jsonl", str(LAPTOP)])
def test_a_frame_is_the_file_row_for_row(path):
    frame = bytegap.load_runs(path)
    assert frame.columns == list(RunRow.model_fields)
    lines = [json.loads(line) for line in (LAPTOP / "runs.jsonl").read_text().splitlines()]
    for line, row in zip(lines, frame.iter_rows(named=True), strict=True):
        assert {key: line[key] for key in RunRow.model_fields} == row


def test_a_checksum_is_checked_and_left_out(tmp_path):
    rows = simulated_rows(sizes=4)
    path = tmp_path / "runs.jsonl"
    write_table(path, rows)
    frame = bytegap.load_runs(tmp_path)
    assert frame.columns == list(RunRow.model_fields)
    assert frame["bpb"].to_list() == [row.bpb for row in rows]
    assert list(pd.read_json(path, lines=True).columns) == [*RunRow.model_fields, "checksum"]
    path.write_text(path.read_text().replace('"depth":4', '"depth":5', 1))
    with pytest.raises(StoreError, match="line 1"):
        bytegap.load_runs(tmp_path)


def test_types_do_not_hang_on_what_a_study_holds(tmp_path):
    rows = [row.model_copy(update={"bpb": None, "status": "failed"}) for row in simulated_rows(sizes=4)]
    write_table(tmp_path / "runs.jsonl", rows)
    failed, laptop = bytegap.load_runs(tmp_path), bytegap.load_runs(LAPTOP)
    assert failed.schema["bpb"] == laptop.schema["bpb"] == pl.Float64
    assert failed.drop("flops_by_convention").schema == laptop.drop("flops_by_convention").schema
    assert failed.schema["symbols"] == pl.Int64


def test_the_same_question_has_one_answer_in_polars_pandas_and_duckdb():
    """The code of docs/runs.md, run as it stands there."""
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block.replace("results/laptop", str(LAPTOP)), scope)
    of_polars, of_pandas, of_duckdb = scope["polars_best"], scope["pandas_best"], scope["duckdb_best"]
    assert isinstance(of_polars, pl.DataFrame)
    assert isinstance(of_pandas, pd.Series)
    best = {(arm, budget): bpb for arm, budget, bpb in of_polars.iter_rows()}
    assert of_pandas.to_dict() == best
    assert {(arm, budget): bpb for arm, budget, bpb in of_duckdb} == best
    assert len(best) == len({(r["arm"], r["budget_flops"]) for r in bytegap.load_runs(LAPTOP).iter_rows(named=True)})


def test_what_is_missing_or_damaged_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(StoreError, match=r"runs.jsonl is missing: run 'bytegap runs' first"):
        bytegap.load_runs(tmp_path)
    (tmp_path / "runs.jsonl").write_text('{"run": 1}\n')
    with pytest.raises(StoreError, match="line 1"):
        bytegap.load_runs(tmp_path)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(StoreError, match=r"polars is not installed: pip install 'bytegap\[frame\]'"):
        bytegap.load_runs(tmp_path)


def test_importing_bytegap_loads_next_to_nothing():
    code = "import sys; before = set(sys.modules); import bytegap; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} <= {"bytegap", "pathlib", "typing"} | set(
        sys.stdlib_module_names
    )
    code = "import bytegap, sys; bytegap.load_runs(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(LAPTOP)], check=True)
