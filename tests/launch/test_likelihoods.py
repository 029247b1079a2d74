"""What is scored of the best run of a budget: scored once, collected, left out where weights are gone."""

import shutil

import numpy as np
import pytest

from bytegap.data.windows import window_texts
from bytegap.launch import likelihoods
from bytegap.lm.language_model import load_run
from bytegap.lm.length_mass import length_mass
from bytegap.lm.likelihood import score_windows
from bytegap.lm.unmasking_rules import RULES, rule_nats
from bytegap.runs import collect
from bytegap.schema.plan import Plan
from bytegap.schema.runs import RunLikelihoods, chosen_rule
from bytegap.study.directory import LIKELIHOODS, PLAN, RUNS, StudyDir
from bytegap.train import likelihoods as scoring
from bytegap.train.likelihoods import _sample, spread
from tests.helpers.finished_runs import windows_of

ORDERS = 3


@pytest.fixture(scope="module")
def scored(finished_study, tmp_path_factory):
    """(study folder, {arm: folder of a run}) of a study with one run an arm, likelihoods scored."""
    root = tmp_path_factory.mktemp("likelihoods") / "tiny"
    shutil.copytree(finished_study[0].root, root)
    study_dir = StudyDir(root)
    runs = {arm: study_dir.run(finished_study[1][arm].path.name) for arm in ("byte-ar", "bpe-mdm")}
    specs = tuple(run.spec() for run in runs.values())
    study_dir.write(PLAN, Plan(inputs_sha256="", study="tiny", workers=2, rounds=0, runs=specs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "ORDERS", ORDERS)
        patch.setattr(scoring, "ORDER_WINDOWS", 10)
        likelihoods.run(study_dir)  # one masked run: in this process, whose constants are patched
    return study_dir, runs


def test_masked_runs_have_every_rule_and_the_orders(scored):
    study_dir, runs = scored
    assert study_dir.names(LIKELIHOODS) == sorted(run.path.name for run in runs.values())
    assert study_dir.read(LIKELIHOODS, runs["byte-ar"].path.name).scores == ()
    found = study_dir.read(LIKELIHOODS, runs["bpe-mdm"].path.name)
    assert [(own.split, own.likelihood) for own in found.scores] == [
        *(("validation", rule) for rule in RULES),
        *(("test", rule) for rule in sorted(RULES, key=lambda rule: rule != chosen_rule(found.scores))),
        ("test", f"orders:{ORDERS}"),
    ]
    assert found.weights_sha256 == runs["bpe-mdm"].record().weights_sha256
    for own in found.scores:
        assert sum(own.document_nats) == pytest.approx(own.nats)
        assert sum(own.nelbo_document_nats) == pytest.approx(own.nelbo_nats)
        assert sum(own.document_bytes) == own.bytes
        assert own.nelbo_se > 0
        assert (own.nats_se > 0) == own.likelihood.startswith("orders")


def test_scores_of_all_windows_are_those_of_the_model(scored):
    study_dir, runs = scored
    model, text = load_run(runs["bpe-mdm"]), windows_of(runs["bpe-mdm"])
    found = {own.likelihood: own for own in study_dir.read(LIKELIHOODS, runs["bpe-mdm"].path.name).scores[3:]}
    assert found["left"].windows == len(text.counts)
    assert found["left"].bytes == text.bytes
    assert found["left"].nats == pytest.approx(float(rule_nats(model, text, "left").sum()))
    nelbo = score_windows(model, text)
    for own in (found[rule] for rule in RULES):
        assert own.nelbo_nats == pytest.approx(nelbo.nats, abs=5 * np.hypot(own.nelbo_se, nelbo.nats_se))
    orders = found[f"orders:{ORDERS}"]
    assert orders.nats < orders.nelbo_nats


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
def test_the_mass_of_the_median_window_is_that_of_the_model(scored, arm):
    study_dir, runs = scored
    found = study_dir.read(LIKELIHOODS, runs[arm].path.name)
    sizes = sorted(map(len, window_texts(study_dir, "test", study_dir.windows().splits["test"])))
    assert sizes[0] < found.length_mass.bytes < sizes[-1]
    assert found.length_mass.bytes == sizes[(len(sizes) - 1) // 2]
    expected = length_mass(load_run(runs[arm]), found.length_mass.bytes, scoring.MASS_SAMPLES)
    assert found.length_mass == expected.numbers
    assert found.weights_sha256 == runs[arm].record().weights_sha256
    assert found.length_mass.log_mass < 0


def test_they_are_scored_once_and_collected(scored):
    study_dir, runs = scored
    paths = [study_dir.path(LIKELIHOODS, run.path.name) for run in runs.values()]
    before = [path.stat().st_mtime_ns for path in paths]
    likelihoods.run(study_dir)
    assert [path.stat().st_mtime_ns for path in paths] == before
    rows = {row.arm: row for row in collect.run(study_dir, print_runs=False)}
    for arm, run in runs.items():
        found = study_dir.read(LIKELIHOODS, run.path.name)
        assert (rows[arm].likelihoods, rows[arm].length_mass) == (found.scores, found.length_mass)
    assert study_dir.runs() == list(rows.values())
    older = rows["byte-ar"].model_copy(update={"length_mass": None})
    assert "length_mass" not in older.model_dump(exclude_defaults=True), "its hash is that of a row of earlier versions"
    assert older.content_sha256 != rows["byte-ar"].content_sha256


def test_rows_that_lose_scores_are_named(scored, tmp_path, capsys):
    shutil.copytree(scored[0].root, tmp_path / "tiny")
    copy, run = StudyDir(tmp_path / "tiny"), scored[1]["bpe-mdm"].path.name
    collect.run(copy, print_runs=False)
    assert "are dropped" not in capsys.readouterr().err
    copy.path(LIKELIHOODS, run).unlink()
    collect.run(copy)
    printed = capsys.readouterr()
    said = " ".join(printed.err.split())
    assert "1 row of runs.jsonl had likelihoods or ln Z that are dropped now" in said
    assert f"lacks them: {run} (bpe-mdm); 'bytegap train'" in said
    exact = scored[1]["byte-ar"].record().test.bpb
    assert f"{exact:.4f}" in printed.out
    assert f"{exact:.4f} +-" not in printed.out, "an exact likelihood has no error"
    collect.run(copy, print_runs=False)
    assert "are dropped" not in capsys.readouterr().err, "they are lost already"


def test_a_causal_run_alone_gets_ln_z(scored, tmp_path, capsys):
    shutil.copytree(scored[0].root, tmp_path / "tiny")
    copy = StudyDir(tmp_path / "tiny")
    copy.path(LIKELIHOODS, scored[1]["byte-ar"].path.name).unlink()
    likelihoods.run(copy)
    assert " ln Z of 1 run scored in" in " ".join(capsys.readouterr().err.split())


def test_a_file_of_a_version_without_the_mass_gets_it_and_keeps_its_scores(scored, tmp_path, monkeypatch):
    shutil.copytree(scored[0].root, tmp_path / "tiny")
    copy, run = StudyDir(tmp_path / "tiny"), scored[1]["bpe-mdm"].path.name
    complete = copy.read(LIKELIHOODS, run)
    older = RunLikelihoods.model_validate(complete.model_dump(exclude={"length_mass"}))
    assert older.length_mass is None
    copy.write(LIKELIHOODS, older, run)
    monkeypatch.delattr(scoring, "_scores")
    likelihoods.run(copy)
    assert copy.read(LIKELIHOODS, run) == complete


def test_runs_without_weights_are_named_and_left_out(scored, tmp_path, capsys):
    study_dir, runs = scored
    shutil.copytree(study_dir.root, tmp_path / "tiny")
    copy, run = StudyDir(tmp_path / "tiny"), runs["bpe-mdm"].path.name
    copy.path(LIKELIHOODS, run).unlink()
    copy.run(run).weights_path.unlink()
    likelihoods.run(copy)
    printed = capsys.readouterr().err
    assert "other likelihoods and ln Z of a run cannot be scored" in printed
    assert "weights.safetensors" in printed
    assert copy.names(LIKELIHOODS) == [runs["byte-ar"].path.name]


def test_only_budgets_all_of_whose_runs_ended_have_a_best(scored):
    study_dir, runs = scored
    plan, causal, masked = study_dir.plan(), runs["byte-ar"].spec(), runs["bpe-mdm"].spec()
    assert [best.spec.id for best in likelihoods.best_runs(study_dir, plan)] == [causal.id, masked.id]
    other = masked.model_copy(update={"seed": 99})
    unfinished = plan.model_copy(update={"runs": (*plan.runs, other)})
    assert [best.spec.id for best in likelihoods.best_runs(study_dir, unfinished)] == [causal.id]


def test_no_other_run_takes_the_part_of_a_best_one_that_has_no_folder(scored, tmp_path):
    """As in a study that was published without its weights, one run of which was trained again."""
    shutil.copytree(scored[0].root, tmp_path / "tiny")
    copy, causal = StudyDir(tmp_path / "tiny"), scored[1]["byte-ar"].spec()
    again = causal.model_copy(update={"seed": 99})
    plan = copy.plan().model_copy(update={"runs": (causal, again)})
    copy.write(PLAN, plan)
    shutil.copytree(copy.run(causal.id).path, copy.run(again.id).path)
    bpb = copy.run(causal.id).record().validation.bpb
    for better, best in ((bpb - 1, []), (bpb + 1, [again.id])):
        (row,) = [row for row in collect.run(scored[0], print_runs=False) if row.run == causal.id]
        copy.write_rows(RUNS, [row.model_copy(update={"validation_bpb": better})])
        shutil.rmtree(copy.run(causal.id).path, ignore_errors=True)
        assert [each.spec.id for each in likelihoods.best_runs(copy, plan)] == best


def test_the_mass_is_scored_at_the_largest_budget_of_arms_that_have_one(scored, finished_study, tmp_path):
    shutil.copytree(scored[0].root, tmp_path / "tiny")
    copy, runs = StudyDir(tmp_path / "tiny"), finished_study[1]

    def planned(own, **changes):
        """The run of an arm, as if it were planned otherwise."""
        spec = runs[own].spec().model_copy(update=changes)
        if not copy.run(spec.id).has_record:
            shutil.copytree(runs[own].path, copy.run(spec.id).path)
        return spec

    specs = [planned(arm) for arm in ("byte-ar", "unigram-ar", "byte-mdm", "byte-block", "byte-anyorder")]
    specs += [planned(arm, budget_flops=1e9) for arm in ("byte-ar", "byte-mdm")]
    specs += [planned(arm, arm="permuted " + arm, permutation="reverse") for arm in ("byte-ar", "byte-mdm")]
    best = likelihoods.best_runs(copy, copy.plan().model_copy(update={"runs": tuple(specs)}))
    assert {(each.spec.arm, each.spec.budget_flops): each.with_length_mass for each in best} == {
        ("byte-ar", 1e10): True,
        ("unigram-ar", 1e10): True,
        ("byte-mdm", 1e10): True,
        ("byte-block", 1e10): False,
        ("byte-anyorder", 1e10): False,
        ("byte-mdm", 1e9): False,
        ("permuted byte-mdm", 1e10): False,
    }


def test_a_sample_has_the_tokens_and_bytes_of_its_windows(scored):
    study_dir, runs = scored
    text, pieces = windows_of(runs["bpe-mdm"]), load_run(runs["bpe-mdm"]).tokenizer.token_bytes
    chosen = spread(text.documents, len(text.counts), 7)
    rows = [text.tokens[end - n : end] for end, n in zip(np.cumsum(text.counts), text.counts, strict=True)]
    sample = _sample(study_dir, "test", "bpe", 7)
    assert sample.windows.tokens.tolist() == np.concatenate([rows[i] for i in chosen]).tolist()
    assert sample.windows.counts.tolist() == text.counts[chosen].tolist()
    expected = [sum(len(pieces[token]) for token in rows[i] if token < len(pieces)) for i in chosen]
    assert sample.byte_W.tolist() == expected
    assert sample.windows.bytes == sum(expected)


@pytest.mark.slow
def test_several_processes_score_all_runs(scored, finished_study, tmp_path):
    shutil.copytree(scored[0].root, tmp_path / "tiny")
    copy, arms = StudyDir(tmp_path / "tiny"), ("bpe-mdm", "byte-mdm")
    runs = {arm: finished_study[1][arm].path.name for arm in arms}
    specs = tuple(copy.run(run).spec() for run in runs.values())
    copy.write(PLAN, copy.plan().model_copy(update={"runs": specs}))
    copy.path(LIKELIHOODS, runs["bpe-mdm"]).unlink()
    likelihoods.run(copy, workers=2)
    for run in runs.values():
        assert copy.read(LIKELIHOODS, run).scores[-1].likelihood == "orders:8"
    one, other = (each.read(LIKELIHOODS, runs["bpe-mdm"]) for each in (copy, scored[0]))
    assert (one.scores[:-1], one.length_mass) == (other.scores[:-1], other.length_mass)


def test_windows_are_spread_over_all_documents():
    documents = np.repeat(np.arange(4), [100, 3, 50, 200])
    chosen = spread(documents, len(documents), 63)
    assert len(chosen) == len(set(chosen)) == 63
    assert np.bincount(documents[chosen]).tolist() == [20, 3, 20, 20]
    first = chosen[documents[chosen] == 0]
    assert set(np.diff(first)) == {5}
    assert spread(None, 1000, 4).tolist() == [0, 250, 500, 750]
    assert spread(documents, len(documents), 1000).tolist() == list(range(353))
