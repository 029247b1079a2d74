"""OrderControls of a whole study: the identity changes nothing, windows lose what is local and keep what is not."""

import pytest

from bytegap.data import order_controls as stage
from bytegap.data import prepare as corpus
from bytegap.data import tokenize as tokens
from bytegap.errors import StudyError
from bytegap.plan import stage as plan
from bytegap.study.directory import PLAN, StudyDir
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, write_study

SHUFFLED = """\
[arms.byte-shuffled]
tokenizer = "byte"
objective = "ar"
permutation = { name = "within_window", size = 4 }
budgets = [1e10]

"""
ORDERED = STUDY.replace("[arms.bpe-mdm]", f"{SHUFFLED}[arms.bpe-mdm]")


def prepare(home, text):
    study, study_dir = load_study(write_study(home, text)), StudyDir(home / "out")
    corpus.run(study, study_dir)
    tokens.run(study, study_dir)
    return study, study_dir


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("controls"), ORDERED)


def test_every_permutation_is_compared_with_the_text(prepared):
    found = {(each.tokenizer, each.permutation): each for each in stage.run(*prepared).controls}
    assert set(found) == {("byte", "identity"), ("byte", "within_window (size 4)"), ("bpe", "identity")}
    plain, shuffled = found["byte", "identity"], found["byte", "within_window (size 4)"]
    assert plain.same_histogram
    assert shuffled.same_histogram
    assert plain.local_kept == 1
    assert plain.pairs_kept == pytest.approx([1.0] * len(plain.distances))
    assert shuffled.bytes == plain.bytes
    assert shuffled.local_kept < 0.8
    assert shuffled.pairs_kept[0] < 0.8
    assert found["bpe", "identity"].bytes_per_token > 1.2


def test_controls_are_current_until_a_permutation_changes(prepared, capsys):
    study, study_dir = prepared
    stage.run(study, study_dir)
    (shuffled,) = (each for each in stage.run(study, study_dir).controls if each.permutation != "identity")
    printed = capsys.readouterr().err
    assert "up to date" in printed
    assert f"that is kept: {shuffled.local_kept:.0%} under within_window (size 4) of byte tokens" in printed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('{ name = "within_window", size = 5 }', "windows of 5 do not divide a sequence of 96 tokens; try 4 or 6"),
        ('{ name = "block_shuffle", size = 200 }', "blocks of 200 do not divide a sequence of 96 tokens; try 96"),
    ],
)
def test_a_permutation_that_does_not_fit_is_refused_by_the_plan(tmp_path, given, words):
    study, study_dir = prepare(tmp_path, ORDERED.replace('{ name = "within_window", size = 4 }', given))
    with pytest.raises(StudyError, match=words):
        plan.make_plan(study, study_dir)
    assert not study_dir.path(PLAN).exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('objective = "whole_word_mdm"', "'whole_word_mdm' requires a byte tokenizer; 'bpe' is not one"),
        ('objective = { name = "span_mdm", length = 500 }', "spans of 500 tokens are longer than a sequence of"),
        ('objective = { name = "block_diffusion", size = 500 }', "blocks of 500 do not divide a sequence of"),
    ],
)
def test_an_objective_that_does_not_fit_is_refused_by_the_plan(tmp_path, given, words):
    study, study_dir = prepare(tmp_path, STUDY.replace('objective = "mdm"', given))
    with pytest.raises(StudyError, match=words):
        plan.make_plan(study, study_dir)
