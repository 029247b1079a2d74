"""`bytegap flops STUDY.toml`: the sizes and FLOPs of the plan, before and after it is made; missing files."""

import json

import pytest

from bytegap.cli.main import main
from bytegap.plan.stage import make_plan
from bytegap.study.directory import PLAN, StudyDir


def test_counts_are_those_of_the_plan(tokenized, tmp_path, capsys):
    home, study, shared = tokenized
    study_dir = StudyDir(tmp_path / "tiny")
    study_dir.root.mkdir()
    (study_dir.root / "tokens").symlink_to(shared.tokens_dir)
    command = ["flops", str(home / "tiny.toml"), "--out", str(tmp_path), "--json"]
    assert main(command) == 0
    assert not study_dir.path(PLAN).exists()
    document = json.loads(capsys.readouterr().out)
    runs = make_plan(study, study_dir).runs
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == document
    found = {(each["objective"], each["parameters"]["non_embedding"]): each for each in document["breakdowns"]}
    assert len(found) == len({(run.arm, run.non_embedding_parameters) for run in runs})
    for run in runs:
        each = found[run.objective, run.non_embedding_parameters]
        sequences = run.steps * run.batch_size
        for one in each["flops"]:
            assert sequences * one["training_flops_per_sequence"] == pytest.approx(
                run.flops_by_convention[one["convention"]]
            )
        assert set(run.flops_by_convention) == {one["convention"] for one in each["flops"]}


def test_missing_tokens_and_needless_context_are_refused(tokenized, tmp_path, capsys):
    home, _, _ = tokenized
    path = str(home / "tiny.toml")
    assert main(["flops", path, "--out", str(tmp_path)]) == 2
    assert "run 'bytegap tokenize' first" in capsys.readouterr().err
    assert main(["flops", path, "--out", str(home / "out"), "--context", "64"]) == 2
    assert "--context is not for a study" in capsys.readouterr().err
