"""`bytegap harness`: a file in, answers out, what is answered is not asked again; mistakes in one sentence."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from bytegap.cli import main
from bytegap.export import stage as export
from bytegap.harness import stage
from bytegap.harness.model import Harnessed
from bytegap.records import Harness
from bytegap.store import read_record
from tests.finished import ARMS, finish
from tests.harness.test_harness import own_cache, tasks  # noqa: F401 - fixtures

SHIPPED = Path(__file__).parents[2] / "studies" / "downstream.toml"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An autoregressive run, and a masked one's export."""
    home = tmp_path_factory.mktemp("models")
    runs = finish(home, {arm: ARMS[arm] for arm in ("byte-ar", "byte-mdm")})[1]
    export.run(runs["byte-mdm"], home / "exported")
    return [str(runs["byte-ar"]), f"hf:{home / 'exported'}"]


@pytest.fixture
def file(models, tasks, tmp_path):  # noqa: F811 - the fixture
    path = tmp_path / "mine.toml"
    path.write_text(
        f'name = "mine"\nmodels = {models}\ntasks = ["choice", "rolling", "writing"]\nfolder = "{tasks[2]}"\n'
        "limit = 4\npasses = 3\npoints = 2\n"
    )
    return path


def test_models_are_asked_and_their_answers_kept(file, tmp_path, capsys, monkeypatch):
    assert main(["harness", str(file), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    found = read_record(tmp_path / "out" / "mine" / "harness.json", Harness, "harness")
    assert [(each.exact, each.asked) for each in found.tasks] == [
        (exact, task) for exact in (True, False) for task in ("choice", "rolling", "writing")
    ]
    for each in found.tasks:
        assert each.questions == {each.asked: 4}
        assert each.name in shown
        assert set(each.estimate) == set(each.metrics) - {"writing"}
        for own in each.estimate.values():
            assert (own.mean_se_nats == 0) == each.exact
            assert own.passes == (1 if each.exact else 3)
    bits = {
        each.exact: each.metrics["rolling"]["bits_per_byte,none"] for each in found.tasks if each.asked == "rolling"
    }
    assert f"{bits[True]:.4f}" in shown
    assert f"{bits[False]:.4f}" in shown

    def refuse(*_, **__):
        pytest.fail("what is answered is not asked again")

    monkeypatch.setattr(stage, "_answers", refuse)
    assert main(["harness", str(file), "--out", str(tmp_path / "out")]) == 0
    assert read_record(tmp_path / "out" / "mine" / "harness.json", Harness, "harness") == found
    file.write_text(file.read_text().replace("passes = 3", "passes = 4"))
    with pytest.raises(pytest.fail.Exception):
        main(["harness", str(file), "--out", str(tmp_path / "out")])


def test_what_was_answered_before_a_mistake_is_kept(file, tmp_path, capsys):
    file.write_text(file.read_text().replace('"choice", "rolling"', '"rolling", "nowhere"'))
    folder = Path(tomllib.loads(file.read_text())["folder"])
    nowhere = (folder / "rolling.yaml").read_text().replace("task: rolling", "task: nowhere").replace(".jsonl", ".none")
    (folder / "nowhere.yaml").write_text(nowhere)
    assert main(["harness", str(file), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "task 'nowhere': its data cannot be had" in told
    assert "HF_HUB_OFFLINE=1" in told
    kept = read_record(tmp_path / "out" / "mine" / "harness.json", Harness, "harness")
    assert [each.asked for each in kept.tasks] == ["rolling"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "mine"', 'nmae = "mine"', "unknown key 'nmae': did you mean 'name'?"),
        ("limit = 4", "limit = 0", "'limit'"),
        ("passes = 3", "passes = 1", "'passes'"),
        ("points", "=", "not TOML"),
        ('folder = "', 'folder = "/none', "no such folder"),
        ("hf:", "", "is no run's folder"),
        ("limit = 4", "context = 50", "leave it out"),
    ],
)
def test_what_is_wrong_is_one_sentence(file, tmp_path, capsys, old, new, said):
    file.write_text(file.read_text().replace(old, new).replace('"rolling", "writing"', '"rolling"'))
    assert main(["harness", str(file), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert main(["harness", str(tmp_path / "none.toml")]) == 2


def test_code_is_not_run_unasked(file, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    folder = Path(tomllib.loads(file.read_text())["folder"])
    text = (folder / "writing.yaml").read_text()
    (folder / "running.yaml").write_text(text.replace("task: writing", "task: running\nunsafe_code: true"))
    file.write_text(file.read_text().replace('"choice", "rolling", "writing"', '"running"'))
    assert main(["harness", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "run_code = true allows it" in capsys.readouterr().err
    file.write_text(file.read_text() + "run_code = true\n")
    assert main(["harness", str(file), "--out", str(tmp_path / "out")]) == 0


def test_without_the_package_one_sentence_says_which(file, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    assert main(["harness", str(file)]) == 2
    assert "pip install 'bytegap[eval]'" in capsys.readouterr().err


def test_the_model_is_the_harnesss_by_name(models):
    from lm_eval.api.registry import get_model

    assert get_model("bytegap") is Harnessed
    model = get_model("bytegap").create_from_arg_string(f"run={models[1]},passes=5,points=2", {"batch_size": 1})
    assert (model.passes, model.points) == (5, 2)
    assert not model.trained.objective.EXACT


def run_of(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


@pytest.mark.slow
def test_the_harnesss_own_command_line_takes_it(models, tasks, tmp_path):  # noqa: F811 - the fixture
    done = run_of(
        *("bytegap.harness", "run", "--model", "bytegap", "--model_args", f"run={models[1]},passes=2,points=1"),
        *("--tasks", "rolling", "--include_path", str(tasks[2]), "--limit", "2", "--output_path", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "bits_per_byte" in done.stdout
    [written] = tmp_path.rglob("results*.json")
    assert "mean_se_nats" in written.read_text()


@pytest.mark.slow
def test_every_task_of_the_shipped_file_is_one_of_the_harnesss():
    from lm_eval.tasks import TaskManager

    shipped = stage.load(SHIPPED)
    assert len(set(shipped.tasks)) == len(shipped.tasks)
    assert not set(shipped.tasks) - set(TaskManager().all_tasks)


@pytest.mark.slow
def test_no_hub_is_one_sentence(file, tmp_path):
    text = file.read_text().replace('"choice", "rolling", "writing"', '"arc_easy"')
    file.write_text(text)
    cache = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = run_of("bytegap", "harness", str(file), "--out", str(tmp_path / "out"), **cache)
    assert done.returncode == 2, done.stderr
    assert "bring that machine's cache (HF_HOME)" in done.stderr.splitlines()[-1]
    done = run_of("bytegap", "harness", str(SHIPPED), "--out", str(tmp_path / "out"), **cache)
    assert "is no run's folder" in done.stderr.splitlines()[-1]
