"""Studies that name hours: rounds of a pilot, the plan that follows from its records, and what may not be combined."""

import numpy as np
import pytest

from bytegap.autotune import memory
from bytegap.autotune.backends import ExecutionPlan, default_execution
from bytegap.check import missing
from bytegap.errors import PlanError, StudyDirError, StudyError
from bytegap.plan import hours, machine, stage
from bytegap.plan.outlook import CONTEXT_BPB
from bytegap.plan.placement import LEAST_BUDGETS
from bytegap.power import forecast
from bytegap.schema.data import WindowsManifest
from bytegap.schema.pilot import SizeTiming
from bytegap.schema.runs import RunRecord, Score, Timings
from bytegap.study.config import Compute
from bytegap.study.directory import PILOT, PLAN, RECORD, RUNS, TIMINGS, WINDOWS, StudyDir
from bytegap.study.load import load_study
from tests.helpers.rough_worlds import PARAMS_J, world
from tests.helpers.tiny_study import STUDY, with_hours, write_study

WORLD = dict(zip(("byte-ar", "bpe-ar", "byte-mdm", "bpe-mdm"), world(), strict=True))


@pytest.fixture
def unpiloted(tokenized, tmp_path, monkeypatch):
    """A study of eight hours and its folder, on a machine whose speed is known."""
    _, _, tokens = tokenized
    study = load_study(write_study(tmp_path, with_hours(8.0).replace("spacing = 1", "spacing = 2")))
    study_dir = StudyDir(tmp_path / "out" / "tiny")
    study_dir.tokens_dir.mkdir(parents=True)
    for path in tokens.tokens_dir.iterdir():
        (study_dir.tokens_dir / path.name).symlink_to(path)
    study_dir.path(WINDOWS).unlink()
    study_dir.write(WINDOWS, with_unigrams(tokens.windows()))
    timings = tuple(
        SizeTiming(non_embedding_parameters=int(params), step_s=0.001, sequence_s=2e-7 * params + 1e-3)
        for params in (532, 894, *PARAMS_J[:9])  # two sizes are below those of the world
    )
    monkeypatch.setattr(machine, "time_sizes", lambda *_: timings)
    monkeypatch.setattr(machine, "autotune", lambda *_: ExecutionPlan(default_execution(Compute()), 2))
    return study, study_dir


def with_unigrams(windows):
    """The manifest of scoring windows with the unigrams of the test's world."""
    changed = windows.model_dump()
    for name, bpb in (("byte", WORLD["byte-ar"].unigram_bpb), ("bpe", WORLD["bpe-ar"].unigram_bpb)):
        changed["splits"]["validation"]["tokenizers"][name]["unigram_bpb"] = bpb
    return WindowsManifest.model_validate(changed)


def finish(study_dir, specs, slowdown=1.2):
    """Write the records that training would leave if the laws of the test's world held; the number of them."""
    waiting = study_dir.unfinished(specs)
    for spec in waiting:
        bpb = WORLD[spec.arm].bpb_of(spec.non_embedding_parameters, spec.flops)
        score = Score(nats=1.0, nats_se=0.0, bytes=1, bpb=bpb, bpb_se=0.0, windows_sha256="5" * 64)
        train_s = slowdown * spec.steps * (0.001 + spec.batch_size * (2e-7 * spec.non_embedding_parameters + 1e-3))
        times = {"train_s": train_s, "evaluate_s": 2.0, "tokens_per_s": 1.0, "flops_per_s": spec.flops / train_s}
        run_dir = study_dir.run(spec.id)
        run_dir.path.mkdir(parents=True, exist_ok=True)
        run_dir.write(TIMINGS, Timings(run=spec.id, started="2026-01-01T00:00:00+00:00", host="test", **times))
        run_dir.write(RECORD, RunRecord(run=spec.id, status="finished", validation=score, test=score))
    return len(waiting)


def pilot_to_its_end(study, study_dir):
    while pilot := hours.pilot_round(study, study_dir):
        finish(study_dir, pilot.specs)
    return study_dir.read(PILOT)


def test_the_pilot_is_recorded_and_counted(unpiloted):
    study, study_dir = unpiloted
    pilot = pilot_to_its_end(study, study_dir)
    assert pilot.finished
    assert {spec.arm for spec in pilot.runs} == set(study.arms)
    assert set(pilot.validation_bpb) == {spec.id for spec in pilot.runs}
    assert pilot.slowdown == pytest.approx(1.2)
    spent_s = sum(hours.pilot_seconds(pilot).values())
    assert spent_s == pytest.approx(sum(_took(study_dir, spec) for spec in pilot.runs), rel=0.02)
    assert 0 < spent_s <= hours.PILOT_SHARE * 8 * 3600 * 2
    assert hours.hours_left(pilot) == pytest.approx(0.9 * (8 - spent_s / 7200))
    for arm in study.arms:
        best = min(pilot.validation_bpb[spec.id] for spec in pilot.runs if spec.arm == arm)
        assert best <= pilot.unigram_bpb[arm] - CONTEXT_BPB


def _took(study_dir, spec):
    timings = study_dir.run(spec.id).timings()
    return timings.train_s + timings.evaluate_s


def test_a_machine_slower_than_timed_gets_a_smaller_pilot(unpiloted):
    study, study_dir = unpiloted
    few = study.model_copy(update={"plan": study.plan.model_copy(update={"hours": 1.0})})
    rounds = []
    while pilot := hours.pilot_round(few, study_dir):
        rounds.append(len(pilot.runs))
        finish(study_dir, pilot.specs, slowdown=500.0)
    assert len(rounds) == 1, "the first round has spent the pilot's share"
    assert study_dir.read(PILOT).slowdown == pytest.approx(500.0)


@pytest.mark.parametrize("slowdown", [2.0, 20.0])
def test_a_wrong_timing_costs_the_pilot_no_more_than_one_cell(unpiloted, slowdown):
    study, study_dir = unpiloted
    few = study.model_copy(update={"plan": study.plan.model_copy(update={"hours": 1.0})})
    allowed_s = hours.PILOT_SHARE * 3600 * 2
    spent_s = [0.0]
    while pilot := hours.pilot_round(few, study_dir):
        finish(study_dir, pilot.specs, slowdown=slowdown)
        spent_s.append(sum(_took(study_dir, spec) for spec in pilot.runs))
    assert all(spent <= allowed_s for spent in spent_s[:-1]), "only the last cell goes beyond"
    cells = {(spec.arm, spec.budget_flops) for spec in study_dir.read(PILOT).runs}
    assert len(cells) == len(spent_s) - 1, "a cell is a round of two workers"


def test_the_machine_is_measured_again_once_where_runs_contradict_the_timings(unpiloted, monkeypatch):
    study, study_dir = unpiloted
    first = hours.pilot_round(study, study_dir)
    finish(study_dir, first.specs, slowdown=4.0)
    other = default_execution(Compute()).model_copy(update={"threads": 2})
    monkeypatch.setattr(machine, "autotune", lambda *_: ExecutionPlan(other, 1))
    second = hours.pilot_round(study, study_dir)
    assert second.timed_again
    assert (second.execution, second.workers) == (other, 1)
    assert second.runs[: len(first.runs)] == first.runs
    assert {spec.execution for spec in second.runs[len(first.runs) :]} == {other}
    finish(study_dir, second.specs, slowdown=5.0)
    monkeypatch.setattr(machine, "autotune", lambda *_: pytest.fail("measured a third time"))
    third = hours.pilot_round(study, study_dir)
    assert third.slowdown == pytest.approx(5.0), "of the runs under the new execution alone"


def test_repeats_share_budgets_and_sizes_and_the_hours(unpiloted):
    study, study_dir = unpiloted
    study = study.model_copy(update={"grid": study.grid.model_copy(update={"studies": 2})})
    pilot = pilot_to_its_end(study, study_dir)
    assert {spec.repeat for spec in pilot.runs} == {0}
    plan = stage.make_plan(study, study_dir)
    cells = [
        [(spec.arm, spec.budget_flops, spec.non_embedding_parameters) for spec in plan.runs if spec.repeat == repeat]
        for repeat in (0, 1)
    ]
    assert cells[0]
    assert sorted(cells[0]) == sorted(cells[1])
    assert len({spec.seed for spec in plan.runs}) >= 2 * len({cell[2] for cell in cells[0]})
    finish(study_dir, plan.specs)
    took_s = sum(_took(study_dir, spec) for spec in [*plan.runs, *pilot.runs])
    assert 0.5 * 8 < took_s / 7200 <= 8.0, "two repeats in the hours of one"
    assert stage.extend_plan(study, study_dir) == 0


def test_a_pilot_that_was_cut_short_continues(unpiloted):
    study, study_dir = unpiloted
    first = hours.pilot_round(study, study_dir)
    finish(study_dir, first.specs[:2])
    assert hours.pilot_round(study, study_dir) == first, "runs are left: no round is added"
    assert len(study_dir.unfinished(first.specs)) == len(first.specs) - 2
    assert finish(study_dir, first.specs) == len(first.specs) - 2
    second = hours.pilot_round(study, study_dir)
    assert second.runs[: len(first.runs)] == first.runs
    assert len(second.runs) > len(first.runs)


def test_a_folder_whose_pilot_is_not_finished_lacks_no_plan(unpiloted):
    study, study_dir = unpiloted
    pilot = hours.pilot_round(study, study_dir)
    finish(study_dir, pilot.specs)
    assert not [finding for finding in missing.files(study, study_dir) if "plan.json" in finding]
    study_dir.path(PILOT).unlink()
    assert [finding for finding in missing.files(study, study_dir) if "plan.json is missing" in finding]


def test_the_plan_follows_from_the_pilots_record_alone(unpiloted, tmp_path):
    study, study_dir = unpiloted
    pilot_to_its_end(study, study_dir)
    plan = stage.make_plan(study, study_dir)
    other = StudyDir(tmp_path / "other")
    other.root.mkdir()
    (other.root / "tokens").symlink_to(study_dir.tokens_dir)
    assert study_dir.read(PILOT).finished
    other.write(PILOT, study_dir.read(PILOT))
    assert stage.make_plan(study, other) == plan, "neither runs nor clocks are needed"
    assert hours.pilot_round(study, other) is None
    assert study_dir.plan() == plan
    assert not set(plan.specs) & set(study_dir.read(PILOT).specs)


def test_the_planned_runs_fit_into_the_hours_and_share_losses(unpiloted):
    study, study_dir = unpiloted
    pilot = pilot_to_its_end(study, study_dir)
    plan = stage.make_plan(study, study_dir)
    finish(study_dir, plan.specs)
    took_s = sum(_took(study_dir, spec) for spec in plan.runs)
    assert 0.5 * 8 < took_s / 7200 + sum(hours.pilot_seconds(pilot).values()) / 7200 <= 8.0
    ends = []
    for arm in study.arms:
        cells = {}
        for spec in plan.runs:
            if spec.arm == arm:
                cells.setdefault(spec.budget_flops, []).append(study_dir.run(spec.id).record().test.bpb)
        assert len(cells) >= LEAST_BUDGETS
        assert all(min(cell) not in (cell[0], cell[-1]) for cell in cells.values()), "every minimum is bracketed"
        minima = [min(cell) for cell in cells.values()]
        ends.append((min(minima), max(minima)))
    assert min(high for _, high in ends) - max(low for low, _ in ends) >= 0.15


def test_models_too_large_for_the_machine_are_refused(unpiloted, monkeypatch):
    study, study_dir = unpiloted
    pilot_to_its_end(study, study_dir)
    monkeypatch.setattr(memory, "memory_bytes", lambda _: 100)
    with pytest.raises(PlanError, match="lower the budget or the hours"):
        stage.make_plan(study, study_dir)
    assert not study_dir.path(PLAN).exists()


def test_seeds_at_ends_and_extensions_know_the_planned_budgets(unpiloted):
    study, study_dir = unpiloted
    study = study.model_copy(update={"grid": study.grid.model_copy(update={"seeds_at_ends": 2, "extensions": 1})})
    pilot_to_its_end(study, study_dir)
    plan = stage.make_plan(study, study_dir)
    own = [spec for spec in plan.runs if spec.arm == "byte-ar"]
    budgets = sorted({spec.budget_flops for spec in own})
    runs = [sum(spec.budget_flops == budget for spec in own) for budget in budgets]
    assert runs == [8, *[4] * (len(budgets) - 2), 8]
    finish(study_dir, plan.specs)
    assert stage.extend_plan(study, study_dir) == 0, "every minimum was bracketed"


def test_other_hours_make_another_pilot(unpiloted):
    study, study_dir = unpiloted
    pilot_to_its_end(study, study_dir)
    edited = study.model_copy(update={"plan": study.plan.model_copy(update={"hours": 4.0})})
    assert hours.current_pilot(edited, study_dir) is None
    with pytest.raises(StudyDirError, match=r"pilot\.json is missing or unfinished: run 'bytegap plan'"):
        stage.resolve_plan(edited, study_dir)


def test_comparisons_are_those_of_the_fit(unpiloted):
    study, study_dir = unpiloted
    contexts = list(stage.arm_contexts(study, study_dir, default_execution(study.compute)).values())
    names = [context.arm_name for context in contexts]
    found = [tuple(names[arm] for arm in each) for each in hours.compared_arms(contexts)]
    assert found == [
        ("byte-ar", "bpe-ar"),
        ("byte-mdm", "bpe-mdm"),
        ("byte-mdm", "bpe-mdm", "byte-ar", "bpe-ar"),
    ]
    fixed = [
        _with_permutation(context, "fixed") if context.arm.objective.name == "mdm" else context for context in contexts
    ]
    assert len(hours.compared_arms(fixed)) == 2, "objective and permutation differ: no interaction"


def _with_permutation(context, name):
    from dataclasses import replace

    part = context.arm.permutation.model_copy(update={"name": name})
    return replace(context, arm=context.arm.model_copy(update={"permutation": part}))


def test_forecast_before_the_pilot_says_what_hours_are_too_few(unpiloted, capsys):
    study, study_dir = unpiloted
    few = study.model_copy(update={"plan": study.plan.model_copy(update={"hours": 0.1})})
    found = forecast.forecast(few, study_dir)
    said = " ".join(capsys.readouterr().err.split())
    assert found.placement.identified[2] < 0.8
    assert "from laws of the committed studies" in said
    assert "with 0.1 hours" in said
    assert "hours would do" in said
    assert "95 % interval within a factor of" in said
    assert not study_dir.path(PILOT).exists(), "a forecast writes nothing"
    needed = forecast.hours_needed(found, found.prospect.comparisons)
    enough = study.model_copy(update={"plan": study.plan.model_copy(update={"hours": needed})})
    assert min(forecast.forecast(enough, study_dir).placement.identified) >= 0.7
    assert not study_dir.path(RUNS).exists()


def test_hours_that_would_not_do_are_said_so(unpiloted, monkeypatch, capsys):
    study, study_dir = unpiloted
    monkeypatch.setattr(hours, "MOST_HOURS_FACTOR", 1.5)
    monkeypatch.setattr(forecast, "LIKELY", 1.1)
    forecast.forecast(study, study_dir)
    said = " ".join(capsys.readouterr().err.split())
    assert "identified; even 12 hours would not do" in said
    assert "for all" not in said


def test_a_forecast_after_the_pilot_is_the_plan(unpiloted, capsys):
    study, study_dir = unpiloted
    pilot_to_its_end(study, study_dir)
    found = forecast.forecast(study, study_dir)
    assert "from the pilot's runs" in " ".join(capsys.readouterr().err.split())
    assert forecast.plan_of(study, study_dir, found).runs == stage.make_plan(study, study_dir).runs
    simulation = forecast.simulation_of(study, study_dir, found)
    run = simulation.plan.runs[0]
    drawn = [simulation.world(seed)[run.arm].bpb_of(run.non_embedding_parameters, run.flops) for seed in range(20)]
    assert np.std(drawn) > 0, "each simulated study has laws of its own"


def test_arms_without_a_budget_are_named(unpiloted, monkeypatch, capsys):
    study, study_dir = unpiloted
    pilot = pilot_to_its_end(study, study_dir)
    runs = hours.placed_runs(study, study_dir, pilot)
    kept = {"byte-ar", "bpe-ar", "byte-mdm"}
    monkeypatch.setattr(hours, "placed_runs", lambda *_: [run for run in runs if run.arm in kept])
    capsys.readouterr()
    assert {run.arm for run in stage.make_plan(study, study_dir).runs} == kept
    said = " ".join(capsys.readouterr().err.split())
    assert "arm bpe-mdm gets no budget: 8 hours are too few; raise the hours" in said
    assert said.count("gets no budget") == 1


def test_hours_for_no_compared_pair_are_refused(unpiloted, monkeypatch):
    study, study_dir = unpiloted
    pilot = pilot_to_its_end(study, study_dir)
    runs = hours.placed_runs(study, study_dir, pilot)
    monkeypatch.setattr(hours, "placed_runs", lambda *_: [run for run in runs if run.arm in {"byte-ar", "bpe-mdm"}])
    with pytest.raises(PlanError, match=r"hours = 8 are too few: only bpe-mdm, byte-ar would get .* raise the hours"):
        stage.make_plan(study, study_dir)
    assert not study_dir.path(PLAN).exists()


def test_a_pilot_says_which_arms_it_did_not_reach_and_what_it_took(unpiloted, capsys):
    study, study_dir = unpiloted
    few = study.model_copy(update={"plan": study.plan.model_copy(update={"hours": 1.0})})
    capsys.readouterr()
    while pilot := hours.pilot_round(few, study_dir):
        finish(study_dir, pilot.specs, slowdown=500.0)
    pilot = study_dir.read(PILOT)
    said = " ".join(capsys.readouterr().err.split())
    reached = {spec.arm for spec in pilot.runs}
    other = [name for name in study.arms if name not in reached]
    assert len(other) == 3
    minutes = sum(_took(study_dir, spec) for spec in pilot.runs) / 2 / 60
    assert f"pilot: 4 runs, {minutes:.1f} of 60 minutes" in said
    assert f"the pilot reached {min(reached)} only; {other[0]}, {other[1]} and {other[2]} are placed by laws" in said
    forecast.forecast(few, study_dir)
    said = " ".join(capsys.readouterr().err.split())
    assert f"from the pilot's runs of {min(reached)}, and for {', '.join(other)} laws of the committed studies" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STUDY.replace("budgets = [1e10]\n", "", 1), r"\[arms.byte-ar\] has no budgets: give them, or give \[plan\]"),
        (STUDY + "\n[plan]\nhours = 2\n", r"\[plan\] hours and \[arms.byte-ar\] budgets: hours choose .*remove one"),
        (
            STUDY.replace("budgets = [1e10]", "expected_optimum = { params = 1e4, flops = 1e12 }")
            + "\n[plan]\nhours = 2\n",
            r"hours and \[arms.byte-ar\] expected_optimum",
        ),
        (with_hours(0), "hours"),
        (with_hours(1e9), r"'plan.hours': it should be at most 8760, not 1000000000.0"),
        (
            with_hours(2).replace("[grid]", "[grid]\nstudies = 101"),
            r"'grid.studies': it should be at most 100, not 101",
        ),
    ],
)
def test_either_budgets_or_hours(tmp_path, text, message):
    with pytest.raises(StudyError, match=message):
        load_study(write_study(tmp_path, text))
