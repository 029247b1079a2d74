"""`tuning-audit` from the command line to the tables that are kept, with losses in place of training."""

import shutil
from math import log2

import pytest

from bytegap.cli.main import main
from bytegap.launch import local
from bytegap.plan import stage as plan
from bytegap.plan.hyperparameters import WEIGHT_DECAY, learning_rate
from bytegap.runs import collect
from bytegap.schema.runs import RunRecord, Score
from bytegap.study.directory import AUDIT, PLAN, RECORD, RUNS, TUNING, StudyDir
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, write_study

TWO_BUDGETS = STUDY.replace("budgets = [1e10]", "budgets = [1e10, 2e10, 4e10]", 1)


def loss(spec):
    """Validation BPB; the best learning rate is sqrt(2) times the rule's, the best weight decay is the rule's."""
    octaves = log2(spec.optimizer.learning_rate / learning_rate(spec.non_embedding_parameters)) - 0.5
    decay = log2((1 + spec.optimizer.weight_decay / WEIGHT_DECAY) / 2)
    return 2.0 * (spec.budget_flops / 1e10) ** -0.2 * (1 + 0.01 * octaves**2 + 0.01 * decay**2) + 1e-4 * (spec.seed % 7)


def finish(study_dir, **_options):
    """Write the record of every planned run that has none."""
    windows = study_dir.windows().splits["test"].sha256
    for spec in study_dir.unfinished(study_dir.plan().specs):
        score = Score(nats=1, nats_se=0, bytes=1, bpb=loss(spec), bpb_se=0, windows_sha256=windows)
        flops = {f"{how}_supervised_step_flops": 1.0 for how in ("counted", "analytic")} | {"spent_flops": spec.flops}
        outcome = {"status": "finished", "steps": 1, "validation": score, "test": score}
        study_dir.write(RECORD, RunRecord.model_validate({"run": spec.id} | flops | outcome), spec.id)


@pytest.fixture
def folder(tokenized, tmp_path, monkeypatch):
    """(arguments that name the study, its folder), planned and finished."""
    _, _, source = tokenized
    study_dir = StudyDir(tmp_path / "tiny")
    study_dir.root.mkdir()
    study_dir.tokens_dir.symlink_to(source.tokens_dir)
    path = write_study(tmp_path, TWO_BUDGETS)
    monkeypatch.setattr(local, "run", finish)
    plan.make_plan(load_study(path), study_dir)
    return (str(path), "--out", str(tmp_path)), study_dir


def refused(capsys, *arguments):
    assert main(list(arguments)) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_an_audit_at_one_cell_is_kept_without_its_runs(folder, capsys):
    study, study_dir = folder
    finish(study_dir)
    assert main(["tuning-audit", *study, "--at", "2e10", "--arm", "byte-ar"]) == 0
    tuned, runs = study_dir.tuning_runs(), study_dir.runs()
    assert {(row.arm, row.budget_flops) for row in tuned} == {("byte-ar", 2e10)}
    assert len({(row.log2_learning_rate, row.log2_batch_size, row.weight_decay_factor) for row in tuned}) >= 10
    assert {row.weight_decay for row in tuned} >= {0.0, 0.1}
    assert {row.run for row in tuned} & {row.run for row in runs}, "the rule's own run is in both tables"
    assert {spec.id for spec in study_dir.plan().runs} == {row.run for row in runs}
    (made,) = study_dir.audit().tuning
    assert made.best_rate.value == pytest.approx(2**0.5, rel=0.01)
    assert made.best_weight_decay.value == pytest.approx(1.0, abs=0.01)
    assert made.lost_compute.value == pytest.approx(0.0025 / 0.2, rel=0.05)

    shutil.rmtree(study_dir.runs_dir)
    study_dir.path(PLAN).unlink()
    study_dir.path(AUDIT).unlink()
    capsys.readouterr()
    assert main(["collect", *study, "--audit"]) == 0
    assert study_dir.audit().tuning == (made,)
    assert "byte-ar at 2e+10 FLOPs: the shared rule costs" in " ".join("".join(capsys.readouterr()).split())
    assert (study_dir.runs(), study_dir.tuning_runs()) == (runs, tuned)


def test_an_interrupted_audit_trains_what_is_planned_before_it_adds_settings(folder, monkeypatch):
    study, study_dir = folder
    finish(study_dir)
    at = ["tuning-audit", *study, "--at", "2e10", "--arm", "byte-ar"]

    def interrupted(_study_dir, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "run", interrupted)
    assert main(at) == 130
    planned = study_dir.plan()
    collect.run(study_dir, print_runs=False, with_audit=True)
    assert not study_dir.audit().tuning, "the rule alone says nothing about other settings"
    first_round = []

    def finish_and_note(study_dir, **_options):
        first_round.append(study_dir.plan())
        finish(study_dir)

    monkeypatch.setattr(local, "run", finish_and_note)
    assert main(at) == 0
    assert planned.tuning
    assert first_round[0] == planned
    assert study_dir.audit().tuning[0].best_rate.value == pytest.approx(2**0.5, rel=0.01)


def test_a_study_that_came_as_a_table_can_be_audited(folder):
    study, study_dir = folder
    finish(study_dir)
    collect.run(study_dir, print_runs=False)
    before = study_dir.audit()
    shutil.rmtree(study_dir.runs_dir)
    assert main(["tuning-audit", *study, "--at", "2e10", "--arm", "byte-ar"]) == 0
    after = study_dir.audit()
    assert after.tuning[0].best_rate.value == pytest.approx(2**0.5, rel=0.01)
    assert (after.runs, after.summary, after.warnings) == (before.runs, before.summary, before.warnings)


def test_a_second_cell_adds_its_rows_to_the_first(folder):
    study, study_dir = folder
    finish(study_dir)
    main(["tuning-audit", *study, "--at", "2e10", "--arm", "byte-ar"])
    first = study_dir.tuning_runs()
    main(["tuning-audit", *study, "--arm", "bpe-mdm"])
    both = study_dir.tuning_runs()
    assert both[: len(first)] == first
    assert {(row.arm, row.budget_flops) for row in both[len(first) :]} == {("bpe-mdm", 1e10)}
    assert [row.arm for row in study_dir.audit().tuning] == ["byte-ar", "bpe-mdm"]


def test_rows_of_runs_that_are_gone_are_kept_while_the_plan_is_the_same(folder, capsys):
    study, study_dir = folder
    finish(study_dir)
    main(["tuning-audit", *study, "--at", "2e10", "--arm", "byte-ar"])
    tuned = study_dir.tuning_runs()
    # Planned again, the audit's runs are no longer in the plan, nor on disk.
    study_dir.write(PLAN, study_dir.plan().model_copy(update={"tuning": ()}))
    planned = {spec.id for spec in study_dir.plan().runs}
    for row in tuned:
        if row.run not in planned:
            shutil.rmtree(study_dir.run(row.run).path)
    collect.run(study_dir, print_runs=False)
    assert study_dir.tuning_runs() == tuned
    # Another plan has other runs at the rule: the audit says nothing about it.
    edited = study_dir.plan()
    other = tuple(run.model_copy(update={"seed": run.seed + 50}) for run in edited.runs)
    study_dir.write(PLAN, edited.model_copy(update={"runs": other}))
    finish(study_dir)
    collect.run(study_dir, print_runs=False)
    assert study_dir.tuning_runs() == []
    assert f"{len(tuned)} rows of an earlier plan's tuning audit" in " ".join("".join(capsys.readouterr()).split())


def test_bad_input_is_one_sentence_and_nothing_is_written(folder, capsys):
    study, study_dir = folder
    before = study_dir.path(PLAN).read_bytes()
    assert "no run of byte-ar at 1e+10 FLOPs has finished" in refused(capsys, "tuning-audit", *study)
    finish(study_dir)
    assert "no such arm: did you mean 'byte-ar'?" in refused(capsys, "tuning-audit", *study, "--arm", "byte-arr")
    message = refused(capsys, "tuning-audit", *study, "--at", "3e10", "--arm", "byte-ar")
    assert "--at 3e+10: not a budget of byte-ar: byte-ar has 1e+10, 2e+10, 4e+10" in message
    assert study_dir.path(PLAN).read_bytes() == before
    assert not study_dir.names(RUNS)
    with pytest.raises(SystemExit) as end:
        main(["tuning-audit", *study, "--at", "much"])
    assert end.value.code == 2
    assert "'much' is not a number of FLOPs such as 2e11" in capsys.readouterr().err
    study_dir.path(PLAN).unlink()
    assert "plan.json is missing: run 'bytegap plan' first" in refused(capsys, "tuning-audit", *study)


def test_a_damaged_table_is_not_overwritten(folder, capsys):
    study, study_dir = folder
    finish(study_dir)
    main(["tuning-audit", *study, "--at", "2e10", "--arm", "byte-ar"])
    path = study_dir.path(TUNING)
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    message = refused(capsys, "collect", *study)
    assert "tuning.jsonl, line" in message
    assert "restore the file, or delete it to keep only the runs in runs/" in message
    assert "tuning.jsonl, line" in refused_check(capsys, study)
    assert path.read_bytes() == torn


def refused_check(capsys, study):
    assert main(["check", *study]) == 2
    return " ".join("".join(capsys.readouterr()).split())
