"""The verb `lm-eval`: a task file to results, which are kept and not computed again; errors in one sentence."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bytegap.cli.main import main
from bytegap.export import stage as export
from bytegap.lm_eval import stage
from bytegap.lm_eval.config import load
from bytegap.lm_eval.model import BytegapLM
from bytegap.study.directory import LM_EVAL, StudyDir

SHIPPED = Path(__file__).parents[2] / "studies" / "downstream.toml"


@pytest.fixture(scope="module")
def models(finished_study, tmp_path_factory):
    """Names of an autoregressive run, and of a masked one's export."""
    folder = tmp_path_factory.mktemp("models") / "exported"
    runs = finished_study[1]
    export.run(runs["byte-mdm"].path, folder)
    return [str(runs["byte-ar"].path), f"hf:{folder}"]


@pytest.fixture
def file(models, tasks, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        f'name = "mine"\nmodels = {models}\ntasks = ["choice", "rolling", "writing"]\nfolder = "{tasks[2]}"\n'
        "limit = 4\nmc_passes = 3\npoints = 2\n"
    )
    return path


def results(tmp_path):
    return StudyDir(tmp_path / "out" / "mine").read(LM_EVAL)


def test_every_model_is_evaluated_once_on_every_task(file, tmp_path, capsys, monkeypatch):
    assert main(["lm-eval", str(file), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    found = results(tmp_path)
    assert [(each.exact, each.requested) for each in found.tasks] == [
        (exact, task) for exact in (True, False) for task in ("choice", "rolling", "writing")
    ]
    for each in found.tasks:
        assert each.examples == {each.requested: 4}
        assert each.name in shown
        assert set(each.likelihood_error) == set(each.metrics) - {"writing"}
        for own in each.likelihood_error.values():
            assert (own.mean_se_nats == 0) == each.exact
            assert own.mc_passes == (1 if each.exact else 3)
    for each in found.tasks:
        if each.requested == "rolling":
            assert f"{each.metrics['rolling']['bits_per_byte,none']:.4f}" in shown

    def refuse(*_, **__):
        pytest.fail("a result that is kept was computed again")

    monkeypatch.setattr(stage, "_evaluate", refuse)
    assert main(["lm-eval", str(file), "--out", str(tmp_path / "out")]) == 0
    assert results(tmp_path) == found
    file.write_text(file.read_text().replace("mc_passes = 3", "mc_passes = 4"))
    with pytest.raises(pytest.fail.Exception):
        main(["lm-eval", str(file), "--out", str(tmp_path / "out")])


def test_results_before_an_error_are_kept(file, tmp_path, capsys):
    file.write_text(file.read_text().replace('"choice", "rolling"', '"rolling", "nowhere"'))
    folder = Path(tomllib.loads(file.read_text())["folder"])
    nowhere = (folder / "rolling.yaml").read_text().replace("task: rolling", "task: nowhere").replace(".jsonl", ".none")
    (folder / "nowhere.yaml").write_text(nowhere)
    try:
        assert main(["lm-eval", str(file), "--out", str(tmp_path / "out")]) == 2
    finally:
        (folder / "nowhere.yaml").unlink()
    printed = capsys.readouterr().err
    assert "task 'nowhere': its data set is not available" in printed
    assert "HF_HUB_OFFLINE=1" in printed
    assert [each.requested for each in results(tmp_path).tasks] == ["rolling"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mine"', 'nmae = "mine"', "unknown key 'nmae': did you mean 'name'?"),
        ("limit = 4", "limit = 0", "'limit'"),
        ("mc_passes = 3", "mc_passes = 1", "'mc_passes'"),
        ("mc_passes = 3", "passes = 3", "passes is now called mc_passes"),
        ("points", "=", "is not valid TOML"),
        ('folder = "', 'folder = "/none', "no such folder"),
        ("hf:", "", "is not a run's folder"),
        ("limit = 4", "context = 50", "leave it out"),
    ],
)
def test_an_error_is_one_sentence(file, tmp_path, capsys, old, new, message):
    file.write_text(file.read_text().replace(old, new).replace('"rolling", "writing"', '"rolling"'))
    assert main(["lm-eval", str(file), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert main(["lm-eval", str(tmp_path / "none.toml")]) == 2


def test_generated_code_runs_only_with_permission(file, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    folder = Path(tomllib.loads(file.read_text())["folder"])
    text = (folder / "writing.yaml").read_text()
    (folder / "running.yaml").write_text(text.replace("task: writing", "task: running\nunsafe_code: true"))
    file.write_text(file.read_text().replace('"choice", "rolling", "writing"', '"running"'))
    try:
        assert main(["lm-eval", str(file), "--out", str(tmp_path / "out")]) == 2
        assert "set run_code = true to allow it" in capsys.readouterr().err
        file.write_text(file.read_text() + "run_code = true\n")
        assert main(["lm-eval", str(file), "--out", str(tmp_path / "out")]) == 0
    finally:
        (folder / "running.yaml").unlink()


def test_a_missing_harness_is_named_with_its_extra(file, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert main(["lm-eval", str(file)]) == 2
    assert "pip install 'bytegap[eval]'" in capsys.readouterr().err.replace("train,", "")


def test_the_harness_knows_the_model_by_name(models):
    from lm_eval.api.registry import get_model

    assert get_model("bytegap") is BytegapLM
    harness = get_model("bytegap").create_from_arg_string(f"run={models[1]},mc_passes=5,points=2", {"batch_size": 1})
    assert (harness.model.num_passes, harness.points) == (5, 2)
    assert not harness.model.objective.is_exact


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


@pytest.mark.slow
def test_the_command_line_of_the_harness_takes_the_model(models, tasks, tmp_path):
    done = python(
        *("bytegap.lm_eval", "run", "--model", "bytegap", "--model_args", f"run={models[1]},mc_passes=2,points=1"),
        *("--tasks", "rolling", "--include_path", str(tasks[2]), "--limit", "2", "--output_path", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "bits_per_byte" in done.stdout
    [written] = tmp_path.rglob("results*.json")
    assert "mean_se_nats" in written.read_text()


@pytest.mark.slow
def test_every_task_of_the_shipped_file_is_known_to_the_harness():
    from lm_eval.tasks import TaskManager

    shipped = load(SHIPPED)
    assert len(set(shipped.tasks)) == len(shipped.tasks)
    assert not set(shipped.tasks) - set(TaskManager().all_tasks)


@pytest.mark.slow
def test_an_unreachable_hub_is_one_sentence(file, tmp_path):
    file.write_text(file.read_text().replace('"choice", "rolling", "writing"', '"arc_easy"'))
    cache = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = python("bytegap", "lm-eval", str(file), "--out", str(tmp_path / "out"), **cache)
    assert done.returncode == 2, done.stderr
    assert "copy that machine's cache (HF_HOME)" in done.stderr.splitlines()[-1]
    done = python("bytegap", "lm-eval", str(SHIPPED), "--out", str(tmp_path / "out"), **cache)
    assert "is not a run's folder" in done.stderr.splitlines()[-1]
