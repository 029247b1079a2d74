"""The road through the command line, in processes of its own: each verb, then again, then with a changed input."""

import json
import subprocess
import sys

import pytest

from bytegap.cli import main
from tests.tiny import STUDY, write_study


def bytegap(*arguments, home):
    return subprocess.run(
        [sys.executable, "-m", "bytegap", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    home = tmp_path_factory.mktemp("road")
    study = write_study(home)
    done = bytegap("quickstart", study, home=home)
    return home, study, done


def test_quickstart_walks_from_text_to_report(walked):
    home, _, done = walked
    assert done.returncode == 0, done.stderr
    out = home / "out" / "tiny"
    for file in ("corpus/manifest.json", "tokens/windows.json", "plan.json", "fit.json", "report/index.html"):
        assert (out / file).is_file(), file
    rows = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert len({row["windows_sha256"] for row in rows}) == 1
    assert "all within 1 %" in done.stderr


def test_a_finished_road_is_not_walked_again(walked):
    home, study, _ = walked
    record = next((home / "out" / "tiny" / "runs").glob("*/record.json"))
    before = record.stat().st_mtime_ns
    again = bytegap("quickstart", study, home=home)
    assert again.returncode == 0, again.stderr
    assert record.stat().st_mtime_ns == before
    for stage in ("corpus", "tokens", "plan", "train", "fit", "report"):
        line = next(line for line in again.stderr.splitlines() if line.split()[:1] == [stage])
        assert "up to date" in line, line


def test_a_changed_arm_leaves_the_other_arms_runs_alone(walked):
    home, _, _ = walked
    out = home / "out" / "tiny"
    kept = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/*/record.json")}
    changed = write_study(home, STUDY.replace('objective = "mdm"', 'objective = {name = "mdm", schedule = "linear"}'))
    for verb in ("corpus", "tokens", "plan", "train"):
        done = bytegap(verb, changed, home=home)
        assert done.returncode == 0, done.stderr
        assert ("up to date" in done.stderr) is (verb in {"corpus", "tokens"})
    records = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/*/record.json")}
    assert len(records) == 12
    assert all(records[run] == time for run, time in kept.items())
    listed = bytegap("runs", changed, home=home)
    assert "4 runs of earlier plans" in listed.stderr
    assert "% of training went into checkpoints" in listed.stderr


@pytest.mark.parametrize(
    ("verb", "mend"),
    [
        ("tokens", "corpus"),
        ("plan", "tokens"),
        ("train", "plan"),
        ("runs", "plan"),
        ("fit", "runs"),
        ("report", "fit"),
    ],
)
def test_a_verb_too_early_names_the_one_before(tmp_path, capsys, verb, mend):
    study = write_study(tmp_path)
    assert main([verb, str(study), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"run 'bytegap {mend}' first" in error


@pytest.mark.parametrize(
    ("old", "new", "verbs", "words"),
    [
        ("{text}/*.txt", "{text}/none", ["corpus"], ["none"]),
        ("bytes = 96", "bytes = 100000", ["corpus", "tokens"], ["[context] bytes = 100000", "shorten the context"]),
        ("[1e10]", "[1e6]", ["corpus", "tokens", "plan"], ["too small", "raise the budget"]),
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


def test_help_teaches_and_loads_no_torch():
    code = "import sys; from bytegap.cli import main\ntry: main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in ("corpus", "tokens", "plan", "train", "runs", "fit", "report", "quickstart"):
        assert verb in done.stdout
