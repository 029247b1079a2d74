"""Scoring windows of a study: the same bytes for every tokenizer, each once; too little text is refused."""

import hashlib

import numpy as np
import pytest

from bytegap.cli.main import main
from bytegap.data import prepare as corpus
from bytegap.data import tokenize
from bytegap.data.tokenizers.base import load_tokenizer
from bytegap.data.windows import read_windows, window_texts
from bytegap.io.arrays import documents_of, read_array
from bytegap.study.directory import WINDOWS, StudyDir
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, opened, write_study


def test_windows_hold_the_same_bytes_for_every_tokenizer(tmp_path):
    study, study_dir = opened(tmp_path)
    corpus.run(study, study_dir)
    windows = tokenize.run(study, study_dir)
    text = study_dir.corpus()
    for name, split in windows.splits.items():
        held_out = b"".join(documents_of(study_dir.corpus_dir, text.splits[name]))
        document_ends = set(read_array(study_dir.corpus_dir, text.splits[name].ends).tolist())
        ends = read_array(study_dir.windows_dir, split.ends).astype(np.int64)
        assert split.bytes == len(held_out) == ends[-1]
        assert np.diff(np.concatenate(([0], ends))).max() <= study.context.bytes
        assert document_ends <= set(ends.tolist())
        for arm, own in split.tokenizers.items():
            manifest = study_dir.tokenizer(arm)
            tokenizer = load_tokenizer(tokenize.tokenize_with(arm, study, study_dir).kind, study_dir.tokenizer_dir(arm))
            pieces = [*tokenizer.token_bytes, b""]
            tokens = read_array(study_dir.windows_dir, own.tokens)
            counts = read_array(study_dir.windows_dir, own.counts).astype(np.int64)
            assert counts.max() <= windows.seq_len[arm]
            folder = 0
            for start, end, count in zip([0, *ends[:-1]], ends, counts, strict=True):
                window = tokens[folder : folder + count]
                folder += count
                assert b"".join(pieces[s] for s in window) == held_out[start:end]
                assert (window[-1] == manifest.vocab_size) == (end in document_ends)
                assert (window[:-1] != manifest.vocab_size).all()
            assert own.bigram_bpb < own.unigram_bpb
    byte = windows.splits["test"].tokenizers["byte"]
    assert byte.count_entropy_bpb < 0.02


def test_any_edge_cuts_as_before_there_were_others(tmp_path):
    """Checksums of the windows that 7a3ce7d made of the tiny study."""
    path = write_study(tmp_path, STUDY.replace("bytes = 96", 'bytes = 96\nedges = "any"'))
    study, study_dir = load_study(path), StudyDir(tmp_path / "out")
    corpus.run(study, study_dir)
    windows = tokenize.run(study, study_dir)
    assert [(name, split.windows, split.sha256[:16]) for name, split in windows.splits.items()] == [
        ("validation", 65, "8bec03d34efb5aee"),
        ("test", 41, "b6cad6083501f955"),
    ]
    bpe = windows.splits["test"].tokenizers["bpe"]
    assert (bpe.tokens.sha256[:16], bpe.counts.sha256[:16]) == ("e0403ff7f8f083dd", "baa03bba04aacab1")
    assert bpe.unigram_bpb == pytest.approx(2.927626055414533, rel=1e-12)
    assert windows.other_edges.keys() == {"tokens", "words"}
    assert windows.edge == "any"


def test_every_edge_has_the_same_text(tmp_path):
    study, study_dir = opened(tmp_path)
    corpus.run(study, study_dir)
    windows = tokenize.run(study, study_dir)
    own = windows.splits["test"]
    assert own.fallbacks == 0
    by_edge = {"tokens": own} | {edge: splits["test"] for edge, splits in windows.other_edges.items()}
    texts = {edge: window_texts(study_dir, "test", split) for edge, split in by_edge.items()}
    assert len({b"".join(each) for each in texts.values()}) == 1
    documents = [read_windows(study_dir.windows_dir, split, "bpe").document_bytes for split in by_edge.values()]
    assert documents[0] == documents[1] == documents[2]
    assert len(documents[0]) == study_dir.corpus().splits["test"].documents
    begins = {text[:1] for text in documents_of(study_dir.corpus_dir, study_dir.corpus().splits["test"])}
    assert {text[:1] for text in texts["words"]} <= begins | {b" ", b"\n"}
    assert len({text[:1] for text in texts["any"]}) > 5


def test_a_few_bytes_of_each_document(tmp_path, capsys):
    less = STUDY.replace("test = 0.1", "test = 0.4\nheld_out_bytes_per_document = 200")
    study, study_dir = load_study(write_study(tmp_path, less)), StudyDir(tmp_path / "out")
    corpus.run(study, study_dir)
    windows = tokenize.run(study, study_dir)
    test = windows.splits["test"]
    assert test.n_documents == study_dir.corpus().splits["test"].documents >= 20
    for each in read_windows(study_dir.windows_dir, test, "byte").document_bytes:
        assert 200 - 96 < each <= 200
    said = " ".join(capsys.readouterr().err.split())
    assert f"test: {test.windows} windows of {test.n_documents} documents, {test.bytes:,} bytes" in said
    assert "raise [corpus] test" not in said
    other = study.model_copy(update={"seed": 2})
    assert tokenize.run(other, study_dir).splits["test"].sha256 != test.sha256


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("held_out_bytes_per_document = 80", "is less than one window of 96 bytes ([context] bytes = 96)"),
        ("held_out_bytes_per_document = 4", "it should be at least 8"),
    ],
)
def test_less_than_a_window_of_each_document_is_refused(tmp_path, capsys, change, words):
    study = write_study(tmp_path, STUDY.replace("test = 0.1", f"test = 0.1\n{change}"))
    codes = [main([verb, str(study), "--out", str(tmp_path / "out")]) for verb in ("corpus", "tokenize")]
    assert codes[-1] == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_few_documents_and_fallbacks_are_said(tmp_path, capsys):
    """No white space in the text: windows at words end elsewhere, and few documents are tested."""
    path = write_study(tmp_path, STUDY.replace("bytes = 96", 'bytes = 96\nedges = "words"'))
    for number, text in enumerate(sorted((tmp_path / "text").iterdir())):
        text.write_text(text.read_text().replace(" ", "").strip() + str(number))
    study, study_dir = load_study(path), StudyDir(tmp_path / "out")
    corpus.run(study, study_dir)
    test = tokenize.run(study, study_dir).splits["test"]
    said = " ".join(capsys.readouterr().err.split())
    assert test.fallbacks == test.windows - test.n_documents > 0
    assert f"{test.fallbacks} end elsewhere because white space was not in reach" in said
    assert f"only {test.n_documents} test document" in said


def test_windows_stand_until_text_or_context_change(tmp_path, capsys):
    study, study_dir = opened(tmp_path)
    corpus.run(study, study_dir)
    first = tokenize.run(study, study_dir)
    assert tokenize.run(study, study_dir) == first
    longer = load_study(write_study(tmp_path, STUDY.replace("bytes = 96", "bytes = 98")))
    capsys.readouterr()
    assert tokenize.run(longer, study_dir).context_bytes == 98
    said = capsys.readouterr().err
    assert "byte: V = 256" in said
    assert said.count("up to date") == 2
    assert "windows.json: an input changed" in said
    assert study_dir.windows().context_bytes == 98


def test_a_context_in_tokens_gives_every_arm_the_same_seq_len(tmp_path):
    path = write_study(tmp_path, STUDY.replace("bytes = 96", "tokens = 64"))
    study, study_dir = load_study(path), StudyDir(tmp_path / "out")
    corpus.run(study, study_dir)
    manifest = tokenize.run(study, study_dir)
    assert manifest.seq_len == {"byte": 64, "bpe": 64}
    assert manifest.context_bytes > 100
    for split in manifest.splits.values():
        for scored in split.tokenizers.values():
            assert read_array(study_dir.windows_dir, scored.counts).max() <= 64
        assert read_array(study_dir.windows_dir, split.tokenizers["byte"].counts).max() >= 63


def document_in(split, length, number):
    """A text of `length` bytes that its hash sends to `split` when a tenth each goes to test and validation."""
    for attempt in range(10_000):
        text = (f"{number} {attempt} " + "word " * length)[:length]
        u = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
        if split == ("test" if u < 0.1 else "validation" if u < 0.2 else "train"):
            return text
    raise AssertionError


def test_a_held_out_split_smaller_than_a_window_is_refused(tmp_path, capsys):
    study = write_study(tmp_path)
    for path in (tmp_path / "text").iterdir():
        path.unlink()
    for number, (split, length) in enumerate([("train", 4000), ("train", 5000), ("test", 900), ("validation", 40)]):
        (tmp_path / "text" / f"{number}.txt").write_text(document_in(split, length, number))
    only_bytes = study.read_text().replace('kind = "bpe"\nvocab_size = 300', 'kind = "bytes"')
    study.write_text(only_bytes)
    out = ["--out", str(tmp_path / "out")]
    assert main(["corpus", str(study), *out]) == 0
    assert main(["tokenize", str(study), *out]) == 2
    error = capsys.readouterr().err
    assert "[corpus] validation: 40 bytes are held out, less than one window of 96" in error
    assert "raise the fraction" in error
    assert not StudyDir(tmp_path / "out" / "tiny").path(WINDOWS).exists()
    assert not (tmp_path / "out" / "tiny" / "tokens" / "windows").exists()
