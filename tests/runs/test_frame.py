"""runs.jsonl as a data frame: the columns that docs/runs.md lists, the same in polars, pandas and DuckDB."""

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
from bytegap.errors import MissingExtraError, StudyDirError
from bytegap.schema import base, runs
from bytegap.schema.evaluate import LengthMassNumbers
from bytegap.schema.runs import RunRow
from bytegap.study.directory import RUNS, StudyDir
from tests.helpers.synthetic_runs import simulated_rows

ROOT = Path(__file__).parents[2]
LAPTOP = ROOT / "results" / "laptop"
PAGE = ROOT / "docs" / "runs.md"
KINDS = {"str": "text", "int": "integer", "float": "number", "float | None": "number or none", "bool": "true or false"}
KINDS |= {"FrozenDict[str, float]": "number by name", "FrozenDict[str, FrozenJson]": "options by name"}
KINDS |= {"Literal['finished', 'failed']": "text", "Literal[2]": "integer"}
KINDS |= {"tuple[RuleScore, ...]": "list of scores", "LengthMassNumbers | None": "numbers by name, or none"}
KINDS |= {"tuple[float, ...]": "list of numbers", "tuple[int, ...]": "list of integers"}
KINDS |= {"FrozenDict[str, tuple[float, ...]]": "list of numbers by name"}


def fields(name, schema):
    """A record's own fields with their docstrings, from the source of its module."""
    module = ast.parse(inspect.getsource(schema))
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield ast.unparse(node.target), ast.unparse(node.annotation), after.value.value if documented else ""


def test_documented_columns_are_those_of_the_record():
    """The table in docs/runs.md, word for word; this test prints what it should be."""
    rows = [*fields("Record", base), *fields("RunRow", runs)]
    assert [name for name, _, _ in rows] == list(RunRow.model_fields)
    table = [f"| `{name}` | {KINDS[kind]} | {' '.join(text.split())} |" for name, kind, text in rows]
    given = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    print("\n".join(table))
    assert given == table


NEW_BY_EDGE = ("bpb_by_edge", "document_nats_by_edge")


@pytest.mark.parametrize("path", [LAPTOP, LAPTOP / "runs.jsonl", str(LAPTOP)])
def test_a_frame_has_the_rows_of_the_file(path):
    frame = bytegap.load_runs(path)
    assert frame.columns == list(RunRow.model_fields)
    lines = [json.loads(line) for line in (LAPTOP / "runs.jsonl").read_text().splitlines()]
    for line, row in zip(lines, frame.iter_rows(named=True), strict=True):
        nested = (
            "objective_options",
            "permutation_options",
            "model_options",
            "likelihoods",
            "length_mass",
            *NEW_BY_EDGE,
        )
        decoded = {key: json.loads(row[key]) for key in nested}
        given = {key: line[key] for key in RunRow.model_fields if key in line}
        assert RunRow.model_validate(given).model_dump(mode="json") == row | decoded


def test_a_checksum_is_checked_and_left_out(tmp_path):
    first, *others = simulated_rows(sizes=4)
    mass = LengthMassNumbers(bytes=9, log_mass=-0.5, log_mass_se=0.1, samples=48, token_counts=(3, 9))
    rows = [first.model_copy(update={"length_mass": mass}), *others]
    path = tmp_path / "runs.jsonl"
    StudyDir(tmp_path).write_rows(RUNS, rows)
    frame = bytegap.load_runs(tmp_path)
    assert frame.columns == list(RunRow.model_fields)
    assert frame["bpb"].to_list() == [row.bpb for row in rows]
    assert json.loads(frame["length_mass"][0]) == mass.model_dump(mode="json")
    assert set(frame["length_mass"][1:]) == {"null"}
    assert list(pd.read_json(path, lines=True).columns) == [*RunRow.model_fields, "checksum"]
    path.write_text(path.read_text().replace('"n_layers":4', '"n_layers":5', 1))
    with pytest.raises(StudyDirError, match="line 1"):
        bytegap.load_runs(tmp_path)


def test_column_types_do_not_depend_on_the_values(tmp_path):
    rows = [row.model_copy(update={"bpb": None, "status": "failed"}) for row in simulated_rows(sizes=4)]
    StudyDir(tmp_path).write_rows(RUNS, rows)
    failed, laptop = bytegap.load_runs(tmp_path), bytegap.load_runs(LAPTOP)
    assert failed.schema["bpb"] == laptop.schema["bpb"] == pl.Float64
    assert failed.drop("flops_by_convention").schema == laptop.drop("flops_by_convention").schema
    assert failed.schema["tokens"] == pl.Int64


def test_polars_pandas_and_duckdb_agree():
    """Runs the code of docs/runs.md."""
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


def test_a_missing_or_damaged_table_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(StudyDirError, match=r"runs.jsonl is missing: run 'bytegap collect' first"):
        bytegap.load_runs(tmp_path)
    (tmp_path / "runs.jsonl").write_text('{"run": 1}\n')
    with pytest.raises(StudyDirError, match="line 1"):
        bytegap.load_runs(tmp_path)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"load_runs needs the package 'polars'.*'bytegap\[frame\]'"):
        bytegap.load_runs(tmp_path)


def test_importing_bytegap_loads_only_the_standard_library():
    code = "import sys; before = set(sys.modules); import bytegap; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} <= {"bytegap", "pathlib", "typing"} | set(
        sys.stdlib_module_names
    )
    code = "import bytegap, sys; bytegap.load_runs(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(LAPTOP)], check=True)
