"""Plans: budgets matched, the same rule for every arm, kept until an input changes, printed, extended."""

from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bytegap.autotune import memory
from bytegap.autotune.backends import ExecutionPlan, default_execution
from bytegap.autotune.search import autotune
from bytegap.errors import PlanError, StudyError
from bytegap.objectives.base import objective
from bytegap.plan import hyperparameters, stage
from bytegap.plan.extend import missing_sizes
from bytegap.plan.grid import REPEAT_SEED_STRIDE, check, isoflop_cell, run_seed
from bytegap.schema.base import digest
from bytegap.study.config import Compute
from bytegap.study.directory import PLAN, StudyDir
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, write_study


def context_of(tokenized, arm="byte-ar"):
    _, study, study_dir = tokenized
    return stage.arm_contexts(study, study_dir, default_execution(study.compute))[arm]


@pytest.fixture
def unplanned(tokenized, tmp_path):
    """A study folder without a plan that shares the tokens of the tokenized study."""
    _, study, study_dir = tokenized
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "tokens").symlink_to(study_dir.tokens_dir)
    return study, StudyDir(tmp_path / "tiny")


def test_budgets_are_matched_within_one_percent(unplanned):
    plan = stage.make_plan(*unplanned)
    assert len(plan.runs) == 8
    for run in plan.runs:
        assert run.flops == pytest.approx(run.budget_flops, rel=0.01)
        assert run.steps >= 50
        assert run.tokens == run.steps * run.batch_size * run.seq_len
    for arm in ("byte-ar", "bpe-mdm"):
        sizes = [run.non_embedding_parameters for run in plan.runs if run.arm == arm]
        assert sizes == sorted(set(sizes))


def test_without_a_plan_runs_are_executed_as_those_of_the_table(unplanned, monkeypatch, capsys):
    study, study_dir = unplanned
    elsewhere = {"dtype": "bfloat16", "attention": "matmul", "compile": True, "threads": 3}
    execution = default_execution(study.compute).model_copy(update=elsewhere)
    planned = stage.resolve_plan(study, study_dir).runs
    kept = [run.model_copy(update={"execution": execution}).id for run in planned[2:5]]
    monkeypatch.setattr(StudyDir, "runs", lambda _: [SimpleNamespace(run=run) for run in [*kept, "of another study"]])
    monkeypatch.setattr(stage, "autotune", lambda *_: pytest.fail("measured, so that the runs are trained again"))
    runs = stage.make_plan(study, study_dir).runs
    assert {run.execution for run in runs} == {execution}
    assert {run.id for run in runs} >= set(kept)
    assert "as the 3 of these runs that" in " ".join(capsys.readouterr().err.split())


def test_the_rule_is_the_same_for_every_arm(unplanned):
    runs = stage.make_plan(*unplanned).runs
    for run in runs:
        assert run.optimizer == hyperparameters.optimizer(run.non_embedding_parameters, run.steps)
        supervised = objective(run.objective).sequence_cost(run.seq_len).supervised
        expected = hyperparameters.batch_tokens(run.tokens, supervised / run.seq_len)
        assert abs(run.batch_size * run.seq_len - expected) <= max(0.51 * run.seq_len, 0.02 * expected)
    assert len({run.execution for run in runs}) == 1


def test_plan_is_kept_until_an_input_changes(unplanned, tmp_path, capsys):
    study, study_dir = unplanned
    first = stage.make_plan(study, study_dir)
    before = study_dir.path(PLAN).stat().st_mtime_ns
    assert stage.make_plan(study, study_dir) == first
    assert study_dir.path(PLAN).stat().st_mtime_ns == before
    changed = load_study(write_study(tmp_path, STUDY.replace("seed = 1", "seed = 2")))
    assert stage.make_plan(changed, study_dir) != first
    assert "plan.json: an input changed" in capsys.readouterr().err
    assert stage.make_plan(study, study_dir) == first


def test_edited_study_is_reported(unplanned, capsys):
    study, study_dir = unplanned
    stage.make_plan(study, study_dir)
    stage.warn_if_stale(study, study_dir)
    assert "edited" not in capsys.readouterr().err
    stage.warn_if_stale(study.model_copy(update={"seed": study.seed + 1}), study_dir)
    assert "the study was edited since: run 'bytegap plan'" in " ".join(capsys.readouterr().err.split())


def test_dry_run_writes_nothing(unplanned, capsys):
    study, study_dir = unplanned
    plan = stage.resolve_plan(study, study_dir)
    stage.dry_run(plan, study_dir)
    assert not study_dir.path(PLAN).exists()
    printed = "".join(capsys.readouterr())
    for word in ("byte-ar", "epochs", "MB of disk", "minutes", "GB of memory for each worker"):
        assert word in printed
    assert plan.runs[0].id in {run.id for run in stage.make_plan(study, study_dir).runs}


@pytest.mark.parametrize("studies", [1, 2])
def test_dry_run_says_which_repeat_a_run_is_of_where_there_are_several(unplanned, capsys, studies):
    study, study_dir = unplanned
    study = study.model_copy(update={"grid": study.grid.model_copy(update={"studies": studies})})
    plan = stage.resolve_plan(study, study_dir)
    stage.dry_run(plan, study_dir)
    printed = capsys.readouterr().out
    assert ("repeat" in printed) == (studies == 2)
    rows = [line.strip("\u2502\n ").split() for line in printed.splitlines() if "byte-ar" in line]
    repeats = [row[2] for row in rows if "1e+10" not in row[2]]
    expected = [str(run.repeat) for run in plan.runs if run.arm == "byte-ar"]
    assert repeats == (expected if studies == 2 else [])


def test_more_workers_than_memory_are_warned_about(unplanned, capsys, monkeypatch):
    study, study_dir = unplanned
    plan = stage.resolve_plan(study, study_dir).model_copy(update={"workers": 3})
    monkeypatch.setattr(stage, "peak_bytes", lambda _: 4e9)
    for own, warned in ((13e9, False), (11e9, True)):
        monkeypatch.setattr(stage, "memory_bytes", lambda _, own=own: own)
        stage.dry_run(plan, study_dir)
        printed = " ".join(capsys.readouterr().err.split())
        assert ("this machine has 11.00 GB of memory: 2 workers fit; lower [compute] workers" in printed) is warned


def test_budget_too_small_for_the_sizes_is_refused(unplanned, tmp_path):
    study = load_study(write_study(tmp_path, STUDY.replace("[1e10]", "[1e7]", 1)))
    with pytest.raises(PlanError, match=r"arms.byte-ar.* 1e\+07 FLOPs is too small.*raise the budget"):
        stage.make_plan(study, unplanned[1])


@pytest.mark.parametrize("budget", ["1e20", "1e25"])
def test_budget_with_models_too_large_for_the_machine_is_refused_before_a_step_is_timed(
    unplanned, tmp_path, monkeypatch, budget
):
    study = load_study(write_study(tmp_path, STUDY.replace("[1e10]", f"[1e10, {budget}]", 1)))
    monkeypatch.setattr(stage, "autotune", None)
    for _ in ("no plan", "an earlier plan, whose execution would be kept"):
        with pytest.raises(PlanError, match=r"arms.byte-ar.*needs models too large for this machine.*lower the budget"):
            stage.make_plan(study, unplanned[1])
        with monkeypatch.context() as patch:
            patch.setattr(stage, "autotune", autotune)
            stage.make_plan(*unplanned)


def test_memory_is_that_of_the_machine_and_of_the_process(unplanned, monkeypatch):
    runs = stage.resolve_plan(*unplanned).runs
    needed = 16 * max(run.parameters for run in runs)
    monkeypatch.setattr(memory, "memory_bytes", lambda _: 2 * needed)
    memory.check_memory(runs, 2)
    with pytest.raises(PlanError, match=r"for 3 workers at the same time.*workers to fewer"):
        memory.check_memory(runs, 3)
    monkeypatch.setattr(memory, "process_memory_bytes", lambda: needed - 1)
    with pytest.raises(PlanError, match="lower the budget or the hours, or plan where there is more memory"):
        memory.check_memory(runs, 2)


@pytest.mark.parametrize(
    ("arm", "change", "message"),
    [
        ("bpe-mdm", {"objective": "whole_word_mdm"}, "requires a byte tokenizer; 'bpe' is not one"),
        ("byte-ar", {"objective": "block_diffusion", "size": 7}, "objective 'block_diffusion': blocks of 7 do not"),
        (
            "byte-ar",
            {"objective": "patch", "size": 99},
            "objective 'patch': patches of 99 tokens are longer",
        ),
        (
            "byte-ar",
            {"objective": "streams", "size": 99},
            "objective 'streams': streams of 99 tokens are longer",
        ),
        ("byte-ar", {"permutation": "block_shuffle", "size": 7}, "permutation 'block_shuffle': .* of 7 do not divide"),
        ("byte-ar", {"objective": "whole_word_mdm", "units": "byte"}, "'byte' must be one of .* not a byte tokenizer"),
        ("byte-ar", {"objective": "whole_word_mdm", "units": "nosuch"}, "'nosuch' must be one of"),
    ],
)
def test_objective_or_permutation_that_does_not_fit_is_refused(tokenized, arm, change, message):
    context = context_of(tokenized, arm)
    kind, name = next(iter(change.items()))
    options = {key: value for key, value in change.items() if key != kind}
    part = getattr(context.arm, kind).model_copy(update={"name": name, "options": options})
    context = replace(context, arm=context.arm.model_copy(update={kind: part}))
    if options.get("units") == "byte":
        context = replace(context, conditioning_tokenizer=context.tokenizer)
    with pytest.raises(StudyError, match=rf"\[arms.{arm}\].*{message}"):
        check(context)


@pytest.mark.parametrize(
    ("objective_name", "options", "suits"),
    [
        ("ar", {}, True),
        ("mdm", {}, True),
        ("patch", {}, True),
        ("patch", {"by": "order"}, False),
        ("any_order", {}, False),
        ("block_diffusion", {}, False),
    ],
)
def test_a_convolution_that_would_see_hidden_text_is_refused(tokenized, objective_name, options, suits):
    context = context_of(tokenized, "byte-ar")
    own = context.arm.objective.model_copy(update={"name": objective_name, "options": options})
    model = context.arm.model.model_copy(update={"name": "transformer", "options": {"convolution": 4}})
    context = replace(context, arm=context.arm.model_copy(update={"objective": own, "model": model}))
    if suits:
        check(context)
        return
    with pytest.raises(StudyError, match=r"\[arms.byte-ar\] model: .* might see hidden text; leave the"):
        check(context)


@pytest.mark.parametrize(
    ("options", "kept"), [({}, {}), ({"convolution": 0}, {}), ({"convolution": 4}, {"convolution": 4})]
)
def test_an_option_at_its_default_makes_no_other_model(tokenized, options, kept):
    context = context_of(tokenized)
    model = context.arm.model.model_copy(update={"options": options})
    changed = replace(context, arm=context.arm.model_copy(update={"model": model}))
    assert changed.model_options == kept
    assert isoflop_cell(changed, 1e10)[0].model_options == kept


def test_conditioning_tokenizer_excludes_permutations(tokenized):
    context, other = context_of(tokenized), context_of(tokenized, "bpe-mdm").tokenizer
    words = context.arm.objective.model_copy(update={"name": "whole_word_mdm", "options": {"units": "bpe"}})
    context = replace(context, arm=context.arm.model_copy(update={"objective": words}), conditioning_tokenizer=other)
    check(context)
    assert context.tokens_sha256 != context.tokenizer.content_sha256
    fixed = context.arm.permutation.model_copy(update={"name": "fixed"})
    with pytest.raises(StudyError, match=r"cannot be combined with permutation 'fixed'.*remove 'permutation'"):
        check(replace(context, arm=context.arm.model_copy(update={"permutation": fixed})))


def test_the_tiny_studys_runs_are_those_of_earlier_versions(unplanned):
    """Fields that a later version adds to a run, such as `repeat`, leave the ids of runs without them."""
    plan = stage.resolve_plan(*unplanned)
    for run in plan.runs:
        fields = run.model_dump(mode="json")
        assert fields.pop("repeat") == 0
        assert fields.pop("model_options") == {}
        assert run.id == digest(fields)[:12]
        assert run.optimizer.weight_decay == 0.1
    again = plan.runs[0].model_copy(update={"repeat": 1})
    assert again.id != plan.runs[0].id


def repeated(study, studies):
    return study.model_copy(update={"grid": study.grid.model_copy(update={"studies": studies})})


def test_a_study_may_be_repeated_under_other_seeds(unplanned):
    study, study_dir = unplanned
    once = stage.resolve_plan(study, study_dir).runs
    thrice = stage.resolve_plan(repeated(study, 3), study_dir).runs
    assert len({run.id for run in thrice}) == len(thrice) == 3 * len(once)
    for repeat in range(3):
        own = [run for run in thrice if run.repeat == repeat]
        stride = run_seed(repeat * REPEAT_SEED_STRIDE, 0, 0)
        moved = [run.model_copy(update={"seed": run.seed - stride, "repeat": 0}) for run in own]
        assert moved == list(once), "the same study but for its seed"


def test_each_repeat_is_extended_by_its_own_losses(unplanned, monkeypatch):
    study, study_dir = unplanned
    study = repeated(study, 2)
    study = study.model_copy(update={"grid": study.grid.model_copy(update={"extensions": 1})})
    plan = stage.make_plan(study, study_dir)
    own = [run for run in plan.runs if run.arm == "byte-ar"]
    sizes = sorted({run.non_embedding_parameters for run in own})
    # The second repeat's losses fall towards large models; those of the first have their minimum in the middle.
    bpb = {run.id: 2.0 + 0.1 * abs(sizes.index(run.non_embedding_parameters) - (9 if run.repeat else 1)) for run in own}
    monkeypatch.setattr(StudyDir, "validation_bpb", lambda *_: bpb)
    assert stage.extend_plan(study, study_dir)
    added = study_dir.plan().runs[len(plan.runs) :]
    assert {run.repeat for run in added} == {1}


def test_smallest_and_largest_budget_may_have_more_seeds(tokenized):
    context = context_of(tokenized)
    study = context.study
    context = replace(
        context,
        study=study.model_copy(update={"grid": study.grid.model_copy(update={"seeds_at_ends": 3})}),
        arm=context.arm.model_copy(update={"budgets": (1e10, 3e10, 1e11)}),
    )
    cells = [isoflop_cell(context, budget) for budget in context.arm.budgets]
    assert [len(cell) // study.grid.sizes for cell in cells] == [3, 1, 3]
    assert len({run.id for run in cells[0]}) == 3 * study.grid.sizes


def test_seeds_differ_between_sizes_and_repetitions(tokenized):
    context = context_of(tokenized)
    study = context.study
    grid = study.grid.model_copy(update={"seeds": 3})
    context = replace(context, study=study.model_copy(update={"grid": grid}))
    cell = isoflop_cell(context, 1e10)
    assert len({run.seed for run in cell}) == len(cell) == 3 * study.grid.sizes
    sizes = [config.parameters().non_embedding for config in islice(context.sizes(), 40)]
    assert all(
        run.seed == run_seed(study.seed, number % 3, sizes.index(run.non_embedding_parameters))
        for number, run in enumerate(cell)
    )
    added = missing_sizes(context, [(run, 2.0 - run.non_embedding_parameters / 1e9) for run in cell])
    assert len({run.seed for run in added}) == len(added) > 0
    assert {run.seed for run in added}.isdisjoint(run.seed for run in cell)


@given(*[st.tuples(st.integers(0, 2**40 - 1), st.integers(0, 999), st.integers(0, 999))] * 2)
def test_no_two_runs_of_any_studies_share_a_seed_by_chance(one, other):
    assert (run_seed(*one) == run_seed(*other)) == (one == other)


def test_edited_study_keeps_its_execution(unplanned, monkeypatch, capsys):
    study, study_dir = unplanned
    first = stage.make_plan(study, study_dir)
    slower = first.runs[0].execution.model_copy(update={"attention": "matmul"})
    monkeypatch.setattr(stage, "autotune", lambda *_: ExecutionPlan(slower, 5))
    edited = study.model_copy(update={"seed": study.seed + 1})
    again = stage.make_plan(edited, study_dir)
    assert {run.id for run in again.runs}.isdisjoint(run.id for run in first.runs)
    assert {run.execution for run in again.runs} == {run.execution for run in first.runs}
    assert capsys.readouterr().err.count("an input changed") == 1
    two_threads = stage.make_plan(edited.model_copy(update={"compute": Compute(threads=2)}), study_dir)
    assert ({run.execution for run in two_threads.runs}, two_threads.workers) == ({slower}, 5), "autotuned again"


def test_edited_study_keeps_the_workers_measured_on_a_gpu(unplanned, monkeypatch):
    study, study_dir = unplanned
    study = study.model_copy(update={"compute": Compute()})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(stage, "check_memory", lambda *_: None)
    on_gpu = default_execution(study.compute)
    monkeypatch.setattr(stage, "autotune", lambda *_: ExecutionPlan(on_gpu, 8))
    assert stage.make_plan(study, study_dir).workers == 8
    edited = study.model_copy(update={"seed": study.seed + 1})
    assert stage.make_plan(edited, study_dir).workers == 8
    assert stage.make_plan(edited.model_copy(update={"compute": Compute(workers=3)}), study_dir).workers == 3


def scored(context, minimum):
    """A cell's runs with losses that fall towards the size at index `minimum`."""
    return [(run, 2 + 0.1 * abs(i - minimum)) for i, run in enumerate(isoflop_cell(context, 1e11))]


def test_a_cell_is_extended_only_past_the_edge_where_its_minimum_is(tokenized):
    context = context_of(tokenized)
    sizes = [run.non_embedding_parameters for run, _ in scored(context, 0)]
    assert missing_sizes(context, scored(context, 1)) == []
    added = missing_sizes(context, scored(context, 3))
    assert [run.non_embedding_parameters > sizes[-1] for run in added] == [True]
    assert all(run.non_embedding_parameters < sizes[0] for run in missing_sizes(context, scored(context, 0)))


def test_a_plan_is_equal_when_read_back(unplanned):
    study, study_dir = unplanned
    plan = stage.make_plan(study, study_dir)
    assert study_dir.plan() == plan
    assert [run.id for run in study_dir.plan().runs] == [run.id for run in plan.runs]
