"""`bytegap count STUDY.toml`: the plan's own sizes and FLOPs, with a plan and without; what is missing is named."""

import json

import pytest

from bytegap.cli import main
from bytegap.corpus import stage as corpus
from bytegap.plan import stage as plan
from bytegap.tokens import stage as tokens
from tests.tiny import opened


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    home = tmp_path_factory.mktemp("count")
    study, folder = opened(home)
    corpus.run(study, folder)
    tokens.run(study, folder)
    return home, study, folder


def test_the_counts_are_the_plans(prepared, capsys):
    home, study, folder = prepared
    command = ["count", str(home / "tiny.toml"), "--out", str(home / "out"), "--json"]
    assert main(command) == 0
    assert not folder.plan.exists()
    document = json.loads(capsys.readouterr().out)
    runs = plan.run(study, folder).runs
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == document
    found = {(each["objective"], each["parameters"]["non_embedding"]): each for each in document["counts"]}
    assert len(found) == len({(run.arm, run.non_embedding_parameters) for run in runs})
    for run in runs:
        each = found[run.objective, run.non_embedding_parameters]
        rows = run.steps * run.rows_per_batch
        for one in each["flops"]:
            assert rows * one["training_flops_per_row"] == pytest.approx(run.flops_by_convention[one["convention"]])
        assert set(run.flops_by_convention) == {one["convention"] for one in each["flops"]}


def test_what_is_missing_is_named(prepared, tmp_path, capsys):
    home, _, _ = prepared
    path = str(home / "tiny.toml")
    assert main(["count", path, "--out", str(tmp_path)]) == 2
    assert "run 'bytegap tokens' first" in capsys.readouterr().err
    assert main(["count", path, "--out", str(home / "out"), "--context", "64"]) == 2
    assert "--context is not for a study" in capsys.readouterr().err
