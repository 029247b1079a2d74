"""A study through the command line, in processes of its own: all of it, again, and again with a changed arm."""

import csv
import json
import shutil
import subprocess
import sys

import pytest

from bytegap.autotune.backends import ExecutionPlan, default_execution
from bytegap.cli.main import main
from bytegap.plan import hours, machine
from bytegap.schema.base import FrozenDict
from bytegap.schema.pilot import SizeTiming
from bytegap.study.config import Compute
from bytegap.study.directory import LIKELIHOODS, PILOT, RECORD, StudyDir
from tests.helpers.tiny_study import STUDY, with_hours, write_study

SMALL = STUDY.replace("[1e10]", "[1e9]")


def bytegap(*arguments, home):
    return subprocess.run(
        [sys.executable, "-m", "bytegap", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, study file, the process of `bytegap run`)."""
    home = tmp_path_factory.mktemp("end_to_end")
    study = write_study(home, SMALL)
    return home, study, bytegap("run", study, home=home)


def test_run_goes_from_text_to_report(finished):
    home, _, done = finished
    assert done.returncode == 0, done.stderr
    out = home / "out" / "tiny"
    for file in ("corpus/manifest.json", "tokens/windows.json", "plan.json", "fit.json", "report/index.html"):
        assert (out / file).is_file(), file
    rows = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert len({row["windows_sha256"] for row in rows}) == 1
    assert "all within 1 %" in done.stderr


def test_the_mass_of_a_length_is_recorded_of_the_best_run_of_each_arm_and_reported(finished):
    home, _, _ = finished
    out = StudyDir(home / "out" / "tiny")
    best = {}
    for row in sorted(out.runs(), key=lambda row: -row.validation_bpb):
        best[row.arm] = row.run
    masses = {row.run: row.length_mass for row in out.runs() if row.length_mass}
    assert masses == {run: out.read(LIKELIHOODS, run).length_mass for run in best.values()}
    with (out.report_dir / "tables" / "length_mass.csv").open() as file:
        table = {row["arm"]: float(row["log_mass"]) for row in csv.DictReader(file)}
    assert table == {arm: masses[run].log_mass for arm, run in best.items()}


def test_finished_stages_are_not_repeated(finished):
    home, study, _ = finished
    out = StudyDir(home / "out" / "tiny")
    files = [out.path(kind, name) for kind in (RECORD, LIKELIHOODS) for name in out.names(kind)]
    before = [file.stat().st_mtime_ns for file in files]
    again = bytegap("run", study, home=home)
    assert again.returncode == 0, again.stderr
    assert [file.stat().st_mtime_ns for file in files] == before
    for stage in ("corpus", "tokenize", "plan", "train", "fit", "report"):
        line = next(line for line in again.stderr.splitlines() if line.split()[:1] == [stage])
        assert "up to date" in line, line


def test_runs_of_a_committed_table_are_not_trained_again(finished, tmp_path, capsys):
    """A study that came with runs.jsonl and without the folders of its runs."""
    home, study, _ = finished
    shutil.copytree(home / "out", tmp_path / "out")
    out, arguments = tmp_path / "out" / "tiny", [str(study), "--out", str(tmp_path / "out")]
    shutil.rmtree(out / "runs")
    before = {name: (out / name).read_bytes() for name in ("runs.jsonl", "fit.json", "audit.json")}
    (out / "fit.json").unlink()
    for verb in ("train", "collect", "fit"):
        assert main([verb, *arguments]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "8 of 8 runs are taken from" in said
    assert "8 of 8 planned runs" in said
    assert not list(out.glob("runs/*/record.json"))
    assert {name: (out / name).read_bytes() for name in before} == before

    lines = before["runs.jsonl"].splitlines(keepends=True)
    (out / "runs.jsonl").write_bytes(b"".join(lines[1:]))
    assert main(["train", *arguments]) == 0
    assert main(["collect", *arguments]) == 0
    [trained] = out.glob("runs/*/record.json")
    assert trained.parent.name == json.loads(lines[0])["run"]
    assert (out / "runs.jsonl").read_bytes() == before["runs.jsonl"], "the same row in the same place"


@pytest.mark.slow
def test_a_changed_arm_leaves_the_runs_of_the_other_arms_alone(finished):
    home, _, _ = finished
    out = home / "out" / "tiny"
    kept = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/*/record.json")}
    changed = write_study(home, SMALL.replace('objective = "mdm"', 'objective = {name = "mdm", schedule = "linear"}'))
    for verb in ("corpus", "tokenize", "plan", "train"):
        done = bytegap(verb, changed, home=home)
        assert done.returncode == 0, done.stderr
        assert ("up to date" in done.stderr) is (verb in {"corpus", "tokenize"})
    records = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/*/record.json")}
    assert len(records) == 12
    assert all(records[run] == time for run, time in kept.items())
    listed = bytegap("collect", changed, home=home)
    assert "4 runs of earlier plans" in listed.stderr
    assert "checkpoints took " in listed.stderr


@pytest.mark.parametrize(
    ("verb", "fix"),
    [
        ("tokenize", "corpus"),
        ("plan", "tokenize"),
        ("train", "plan"),
        ("collect", "plan"),
        ("fit", "collect"),
        ("report", "fit"),
    ],
)
def test_a_verb_that_runs_too_early_names_the_one_before(tmp_path, capsys, verb, fix):
    study = write_study(tmp_path)
    assert main([verb, str(study), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"run 'bytegap {fix}' first" in error


@pytest.mark.parametrize(
    ("old", "new", "verbs", "words"),
    [
        ("{text}/*.txt", "{text}/none", ["corpus"], ["none"]),
        ("bytes = 96", "bytes = 100000", ["corpus", "tokenize"], ["[context] bytes = 100000", "shorten the context"]),
        ("[1e10]", "[1e6]", ["corpus", "tokenize", "plan"], ["too small", "raise the budget"]),
        ("seed = 1", "sead = 1", ["corpus"], ["did you mean 'seed'"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, capsys, old, new, verbs, words):
    study = write_study(tmp_path, STUDY.replace(old, new, 1))
    codes = [main([verb, str(study), "--out", str(tmp_path / "out")]) for verb in verbs]
    assert codes == [0] * (len(verbs) - 1) + [2]
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bytegap: ")]
    assert len(error) == 1
    for word in words:
        assert word in error[0]


@pytest.mark.slow
def test_hours_become_a_study(tmp_path, monkeypatch, capsys):
    """Pilot, plan, runs and fit of real runs, on a machine that is said to be so slow that 96 minutes are two."""
    timings = tuple(
        SizeTiming(non_embedding_parameters=params, step_s=0.6, sequence_s=0.03 + 1e-6 * params)
        for params in (532, 894, 2088, 3516, 6736, 13944, 26784)
    )
    measured = hours._measured
    monkeypatch.setattr(machine, "time_sizes", lambda *_: timings)
    monkeypatch.setattr(machine, "autotune", lambda *_: ExecutionPlan(default_execution(Compute()), 2))
    monkeypatch.setattr(
        hours,
        "_measured",
        lambda *inputs: measured(*inputs).model_copy(
            update={"slowdown": 1.0, "evaluate_sequences": FrozenDict({"byte-ar": 1.0, "bpe-ar": 1.0})}
        ),
    )
    text = with_hours(1.6, ("ar",), STUDY.replace("vocab_size = 300", "vocab_size = 257"))
    long_windows = text.replace("bytes = 96", "bytes = 192")  # few steps for their FLOPs
    study = write_study(tmp_path, long_windows.replace("spacing = 1", "spacing = 2"))
    assert main(["run", str(study), "--out", str(tmp_path / "out")]) == 0
    out = StudyDir(tmp_path / "out" / "tiny")
    pilot, plan = out.read(PILOT), out.plan()
    assert pilot.finished
    assert {spec.arm for spec in pilot.runs} == {"byte-ar", "bpe-ar"}
    assert {spec.arm for spec in plan.runs} == {"byte-ar", "bpe-ar"}
    assert {row.run for row in out.runs()} <= {spec.id for spec in plan.specs}
    assert len(out.fit().cells) == len({(spec.arm, spec.budget_flops) for spec in plan.runs})
    assert "part of the hours and of no fit" in " ".join(capsys.readouterr().err.split())
    assert main(["check", str(study), "--out", str(tmp_path / "out")]) == 0
