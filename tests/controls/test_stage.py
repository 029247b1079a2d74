"""Controls of a whole study: the identity changes nothing, windows lose what is local and keep what is not."""

import pytest

from bytegap.controls import stage
from bytegap.corpus import stage as corpus
from bytegap.errors import StudyError
from bytegap.plan import stage as plan
from bytegap.store import Folder
from bytegap.study import load
from bytegap.tokens import stage as tokens
from tests.tiny import STUDY, write_study

SHUFFLED = """\
[arms.byte-shuffled]
tokens = "byte"
objective = "ar"
order = { name = "window", size = 4 }
budgets = [1e10]

"""
ORDERED = STUDY.replace("[arms.bpe-mdm]", f"{SHUFFLED}[arms.bpe-mdm]")


def prepare(home, text):
    study, folder = load(write_study(home, text)), Folder(home / "out")
    corpus.run(study, folder)
    tokens.run(study, folder)
    return study, folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("controls"), ORDERED)


def test_each_order_stands_beside_the_text(prepared):
    found = {(each.tokens, each.order): each for each in stage.run(*prepared).controls}
    assert set(found) == {("byte", "identity"), ("byte", "window (size 4)"), ("bpe", "identity")}
    plain, shuffled = found["byte", "identity"], found["byte", "window (size 4)"]
    assert plain.same_histogram
    assert shuffled.same_histogram
    assert plain.local_kept == 1
    assert plain.pairs_kept == pytest.approx([1.0] * len(plain.distances))
    assert shuffled.bytes == plain.bytes
    assert shuffled.local_kept < 0.8
    assert shuffled.pairs_kept[0] < 0.8
    assert found["bpe", "identity"].bytes_per_symbol > 1.2


def test_controls_stand_until_an_order_changes(prepared, capsys):
    study, folder = prepared
    stage.run(study, folder)
    stage.run(study, folder)
    assert "up to date" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('{ name = "window", size = 5 }', "windows of 5 do not divide a row of 96 symbols: 4 or 6 would"),
        ('{ name = "blocks", size = 200 }', "blocks of 200 do not divide a row of 96 symbols: 96 would"),
    ],
)
def test_an_order_that_does_not_fit_is_refused_by_the_plan(tmp_path, given, words):
    study, folder = prepare(tmp_path, ORDERED.replace('{ name = "window", size = 4 }', given))
    with pytest.raises(StudyError, match=words):
        plan.run(study, folder)
    assert not folder.plan.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('objective = "words"', "'words' is for bytes alone, and 'bpe' are none"),
        ('objective = { name = "span", length = 500 }', "spans of 500 are longer than a row of"),
        ('objective = { name = "block", size = 500 }', "blocks of 500 do not divide a row of"),
    ],
)
def test_an_objective_that_does_not_fit_is_refused_by_the_plan(tmp_path, given, words):
    study, folder = prepare(tmp_path, STUDY.replace('objective = "mdm"', given))
    with pytest.raises(StudyError, match=words):
        plan.run(study, folder)
