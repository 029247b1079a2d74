"""Plans: budgets matched, the same rule for every arm, frozen, extended where a minimum lies at the edge."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from bytegap import plugins
from bytegap import study as study_file
from bytegap.errors import PlanError
from bytegap.models import transformer
from bytegap.plan import measure, rules, stage
from bytegap.plan.extend import missing
from bytegap.plan.grid import cell
from bytegap.records import Plan
from bytegap.store import Folder, read_record
from bytegap.study import Compute
from tests.tiny import STUDY, write_study


def test_budgets_are_matched_within_one_percent(prepared):
    _, study, folder = prepared
    plan = stage.run(study, folder)
    assert len(plan.runs) == 8
    for spec in plan.runs:
        assert spec.flops == pytest.approx(spec.budget_flops, rel=0.01)
        assert spec.steps >= 50
        assert spec.symbols == spec.steps * spec.rows_per_batch * spec.row_symbols
    for arm in ("byte-ar", "bpe-mdm"):
        sizes = [spec.non_embedding_parameters for spec in plan.runs if spec.arm == arm]
        assert sizes == sorted(set(sizes))


def test_the_rule_is_the_same_for_every_arm(prepared):
    _, study, folder = prepared
    for spec in stage.run(study, folder).runs:
        assert spec.optimiser == rules.optimiser(spec.non_embedding_parameters, spec.steps)
        objective = plugins.load("objectives", spec.objective)
        answers = objective.row(spec.row_symbols, plugins.options("objectives", spec.objective, {})).supervised
        asked = rules.batch_symbols(spec.symbols, answers / spec.row_symbols)
        assert abs(spec.rows_per_batch * spec.row_symbols - asked) <= max(0.51 * spec.row_symbols, 0.02 * asked)
    assert len({spec.numerics for spec in stage.run(study, folder).runs}) == 1


def test_a_batch_counts_its_answers():
    assert rules.batch_symbols(1e6, 1.0) == pytest.approx(260)
    assert rules.batch_symbols(3e6, 1 / 3) / 3 == pytest.approx(260), "the same answers, the same answers a batch"
    assert rules.batch_symbols(4e6, 0.5) / rules.batch_symbols(1e6, 0.5) == pytest.approx(2)


def test_the_learning_rate_goes_as_one_over_the_width_up_to_its_cap():
    sizes = {
        shape.width: transformer.parameters(shape).non_embedding
        for shape in islice(transformer.ladder(vocabulary=259, positions=65), 17)
    }
    for width in (24, 48, 96, 256, 512):
        narrow, wide = rules.learning_rate(sizes[width]), rules.learning_rate(sizes[2 * width])
        assert narrow / wide == pytest.approx(2, rel=0.06)
    assert rules.learning_rate(sizes[8]) == 0.015


def test_a_plan_is_frozen_until_an_input_changes(prepared, capsys):
    home, study, folder = prepared
    first = stage.run(study, folder)
    before = folder.plan.stat().st_mtime_ns
    assert stage.run(study, folder) == first
    assert folder.plan.stat().st_mtime_ns == before
    changed = study_file.load(write_study(home, STUDY.replace("seed = 1", "seed = 2")))
    assert stage.run(changed, folder) != first
    assert "plan.json: an input changed" in capsys.readouterr().err
    assert stage.run(study, folder) == first


def test_a_dry_run_writes_nothing(prepared, tmp_path, capsys):
    _, study, folder = prepared
    shadow = Folder(tmp_path / "tiny")
    shadow.root.mkdir()
    (shadow.root / "tokens").symlink_to(folder.tokens)
    plan = stage.resolve(study, shadow)
    stage.dry_run(plan, shadow)
    assert not shadow.plan.exists()
    printed = "".join(capsys.readouterr())
    for word in ("byte-ar", "epochs", "MB of disk", "minutes"):
        assert word in printed
    assert plan.runs[0].id in {spec.id for spec in stage.run(study, folder).runs}


def test_a_budget_too_small_for_the_sizes_is_refused(prepared):
    home, _, folder = prepared
    study = study_file.load(write_study(home, STUDY.replace("[1e10]", "[1e7]", 1)))
    with pytest.raises(PlanError, match=r"arms.byte-ar.* 1e\+07 FLOPs is too small.*raise the budget"):
        stage.run(study, folder)


def test_the_ends_of_a_ladder_may_have_more_seeds(prepared):
    _, study, folder = prepared
    setting = stage._settings(study, folder, measure.plain(study.compute))["byte-ar"]
    setting = replace(
        setting,
        study=study.model_copy(update={"grid": study.grid.model_copy(update={"end_seeds": 3})}),
        arm=setting.arm.model_copy(update={"budgets": (1e10, 3e10, 1e11)}),
    )
    assert [len(cell(setting, budget)) // study.grid.sizes for budget in setting.arm.budgets] == [3, 1, 3]
    assert len({spec.id for spec in cell(setting, 1e10)}) == 3 * study.grid.sizes


def test_an_edited_study_keeps_its_numerics(prepared, tmp_path, monkeypatch, capsys):
    _, study, folder = prepared
    home = Folder(tmp_path)
    home.tokens, home.windows_manifest = folder.tokens, folder.windows_manifest
    first = stage.run(study, home)
    slower = first.runs[0].numerics.model_copy(update={"attention": "matmul"})
    monkeypatch.setattr(measure, "choose", lambda *_: (slower, 5))
    edited = study.model_copy(update={"seed": study.seed + 1})
    again = stage.run(edited, home)
    assert {run.id for run in again.runs}.isdisjoint(run.id for run in first.runs)
    assert {run.numerics for run in again.runs} == {run.numerics for run in first.runs}
    assert capsys.readouterr().err.count("an input changed") == 1
    two_threads = stage.run(edited.model_copy(update={"compute": Compute(threads=2)}), home)
    assert ({run.numerics for run in two_threads.runs}, two_threads.workers) == ({slower}, 5), "it asks for others"


def test_an_edited_study_keeps_the_workers_that_a_gpu_was_seen_to_bear(prepared, tmp_path, monkeypatch):
    _, study, folder = prepared
    study = study.model_copy(update={"compute": Compute()})
    home = Folder(tmp_path)
    home.tokens, home.windows_manifest = folder.tokens, folder.windows_manifest
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    on_gpu = measure.plain(study.compute)
    monkeypatch.setattr(measure, "choose", lambda *_: (on_gpu, 8))
    assert stage.run(study, home).workers == 8
    edited = study.model_copy(update={"seed": study.seed + 1})
    assert stage.run(edited, home).workers == 8
    assert stage.run(edited.model_copy(update={"compute": Compute(workers=3)}), home).workers == 3


def losses(setting, minimum):
    """A cell's finished runs with losses falling towards size number `minimum`."""
    runs = cell(setting, 1e11)
    return [(spec, 2 + 0.1 * abs(i - minimum)) for i, spec in enumerate(runs)]


def test_a_grid_is_extended_only_past_the_edge_where_the_minimum_lies(prepared):
    _, study, folder = prepared
    setting = stage._settings(study, folder, measure.plain(study.compute))["byte-ar"]
    edge = [spec.non_embedding_parameters for spec, _ in losses(setting, 0)]
    assert missing(setting, losses(setting, 1)) == []
    up = missing(setting, losses(setting, 3))
    assert [spec.non_embedding_parameters > edge[-1] for spec in up] == [True]
    assert all(spec.non_embedding_parameters < edge[0] for spec in missing(setting, losses(setting, 0)))


def test_a_plan_survives_its_file(prepared):
    _, study, folder = prepared
    plan = stage.run(study, folder)
    assert read_record(folder.plan, Plan, "plan") == plan
    assert [spec.id for spec in read_record(folder.plan, Plan, "plan").runs] == [s.id for s in plan.runs]
