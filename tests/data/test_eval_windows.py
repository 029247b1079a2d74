"""What `tokenize` says about the scoring windows: few bytes, few documents, ends where they should not be."""

import re

import pytest

from bytegap.data import eval_windows, prepare, tokenize
from bytegap.errors import counted
from bytegap.study.config import Context
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
from tests.helpers.tiny_study import write_study


@pytest.fixture
def said(tmp_path, capsys):
    """Function: what `tokenize` prints for the tiny study with another context and text."""

    def tokenized(context, change=lambda text: text):
        study = load_study(write_study(tmp_path)).model_copy(update={"context": context})
        for path in (tmp_path / "text").iterdir():
            path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        study_dir = StudyDir(tmp_path / "out" / "tiny")
        prepare.run(study, study_dir)
        capsys.readouterr()
        tokenize.run(study, study_dir)
        return " ".join(capsys.readouterr().err.split()), study_dir.windows()

    return tokenized


def test_words_in_text_without_spaces_are_warned_of(said):
    text, windows = said(Context(bytes=96, edges="words"), lambda text: text.replace(" ", ""))
    test = windows.splits["test"]
    assert test.fallbacks > 0.5 * test.windows
    shares = re.findall(r"(\d+)% of the (\w+) windows end elsewhere than \[context\] edges = 'words' asks", text)
    assert (f"{100 * test.fallbacks / test.windows:.0f}", "test") in shares
    assert "set edges = 'tokens' or 'any'" in text


def test_words_in_prose_are_not_warned_of(said):
    text, windows = said(Context(bytes=96, edges="words"))
    assert windows.splits["test"].fallbacks <= eval_windows.MOST_FALLBACKS * windows.splits["test"].windows
    assert "asks" not in text


@pytest.mark.parametrize("is_few", [True, False])
def test_little_test_text_is_warned_of(said, monkeypatch, is_few):
    if not is_few:
        monkeypatch.setattr(eval_windows, "FEW_BYTES", 1000)
    text, windows = said(Context(bytes=96))
    test = windows.splits["test"]
    assert 1000 < test.bytes < 50_000
    assert (f"only {test.bytes:,} bytes of test text are scored, 50,000 are needed" in text) == is_few
    assert f"test: {test.windows:,} windows of {test.n_documents} documents, {test.bytes:,} bytes" in text


def test_one_thing_is_not_counted_as_several():
    assert [counted(number, "document") for number in (0, 1, 2459)] == ["0 documents", "1 document", "2,459 documents"]
