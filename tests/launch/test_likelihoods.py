"""Other likelihoods of the best masked run of a budget: scored once, collected, left out where weights are gone."""

import shutil

import numpy as np
import pytest

from bytegap.launch import likelihoods
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import score_windows
from bytegap.lm.unmasking_rules import RULES, rule_nats
from bytegap.runs import collect
from bytegap.schema.plan import Plan
from bytegap.schema.runs import chosen_rule
from bytegap.study.directory import LIKELIHOODS, PLAN, StudyDir
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
        likelihoods.run(study_dir)
    return study_dir, runs


def test_masked_runs_have_every_rule_and_the_orders(scored):
    study_dir, runs = scored
    assert study_dir.names(LIKELIHOODS) == [runs["bpe-mdm"].path.name]
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


def test_they_are_scored_once_and_collected(scored):
    study_dir, runs = scored
    path = study_dir.path(LIKELIHOODS, runs["bpe-mdm"].path.name)
    before = path.stat().st_mtime_ns
    likelihoods.run(study_dir)
    assert path.stat().st_mtime_ns == before
    rows = {row.arm: row for row in collect.run(study_dir, print_runs=False)}
    assert rows["bpe-mdm"].likelihoods == study_dir.read(LIKELIHOODS, runs["bpe-mdm"].path.name).scores
    assert rows["byte-ar"].likelihoods == ()
    assert study_dir.runs() == list(rows.values())


def test_runs_without_weights_are_named_and_left_out(scored, tmp_path, capsys):
    study_dir, runs = scored
    shutil.copytree(study_dir.root, tmp_path / "tiny")
    copy, run = StudyDir(tmp_path / "tiny"), runs["bpe-mdm"].path.name
    copy.path(LIKELIHOODS, run).unlink()
    copy.run(run).weights_path.unlink()
    likelihoods.run(copy)
    printed = capsys.readouterr().err
    assert "other likelihoods are not scored" in printed
    assert "weights.safetensors" in printed
    assert copy.names(LIKELIHOODS) == []


def test_only_budgets_all_of_whose_runs_ended_have_a_best(scored):
    study_dir, runs = scored
    plan, masked = study_dir.plan(), runs["bpe-mdm"].spec()
    assert [spec.id for spec in likelihoods.best_masked_runs(study_dir, plan)] == [masked.id]
    other = masked.model_copy(update={"seed": 99})
    unfinished = plan.model_copy(update={"runs": (*plan.runs, other)})
    assert likelihoods.best_masked_runs(study_dir, unfinished) == []


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
    assert copy.names(LIKELIHOODS) == sorted(runs.values())
    for run in runs.values():
        assert copy.read(LIKELIHOODS, run).scores[-1].likelihood == "orders:8"
    one, other = (each.read(LIKELIHOODS, runs["bpe-mdm"]).scores[:-1] for each in (copy, scored[0]))
    assert one == other


def test_windows_are_spread_over_all_documents():
    documents = np.repeat(np.arange(4), [100, 3, 50, 200])
    chosen = spread(documents, len(documents), 63)
    assert len(chosen) == len(set(chosen)) == 63
    assert np.bincount(documents[chosen]).tolist() == [20, 3, 20, 20]
    first = chosen[documents[chosen] == 0]
    assert set(np.diff(first)) == {5}
    assert spread(None, 1000, 4).tolist() == [0, 250, 500, 750]
    assert spread(documents, len(documents), 1000).tolist() == list(range(353))
