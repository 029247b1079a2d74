"""Scoring windows of a study: the same bytes for every tokenizer, each once; too little text is refused."""

import hashlib

import numpy as np

from bytegap import study as study_file
from bytegap.cli import main
from bytegap.corpus import stage as corpus
from bytegap.records import CorpusManifest, TokensManifest, WindowsManifest
from bytegap.shards import documents_of, read_array
from bytegap.store import Folder, read_record
from bytegap.symbols import reopen
from bytegap.tokens import stage as tokens
from tests.tiny import STUDY, opened, write_study


def test_windows_hold_the_same_bytes_for_every_tokenizer(tmp_path):
    study, folder = opened(tmp_path)
    corpus.run(study, folder)
    windows = tokens.run(study, folder)
    text = read_record(folder.corpus_manifest, CorpusManifest, "corpus")
    for name, split in windows.splits.items():
        held_out = b"".join(documents_of(folder.corpus, text.splits[name]))
        document_ends = set(read_array(folder.corpus, text.splits[name].ends).tolist())
        ends = read_array(folder.tokens / "windows", split.ends).astype(np.int64)
        assert split.bytes == len(held_out) == ends[-1]
        assert np.diff(np.concatenate(([0], ends))).max() <= study.context.bytes
        assert document_ends <= set(ends.tolist())
        for arm, own in split.tokens.items():
            manifest = read_record(folder.tokens_of(arm) / "manifest.json", TokensManifest, "tokens")
            tokenizer = reopen(folder, tokens.symbols_of(arm, study, folder))
            pieces = [*tokenizer.symbol_bytes, b""]
            symbols = read_array(folder.tokens / "windows", own.symbols)
            counts = read_array(folder.tokens / "windows", own.counts).astype(np.int64)
            assert counts.max() <= windows.row_symbols[arm]
            place = 0
            for start, end, count in zip([0, *ends[:-1]], ends, counts, strict=True):
                window = symbols[place : place + count]
                place += count
                assert b"".join(pieces[s] for s in window) == held_out[start:end]
                assert (window[-1] == manifest.vocabulary) == (end in document_ends)
                assert (window[:-1] != manifest.vocabulary).all()
            assert own.bigram_bpb < own.unigram_bpb
    byte = windows.splits["test"].tokens["byte"]
    assert byte.count_entropy_bpb < 0.02


def test_windows_stand_until_text_or_context_change(tmp_path, capsys):
    study, folder = opened(tmp_path)
    corpus.run(study, folder)
    first = tokens.run(study, folder)
    assert tokens.run(study, folder) == first
    longer = study_file.load(write_study(tmp_path, STUDY.replace("bytes = 96", "bytes = 98")))
    capsys.readouterr()
    assert tokens.run(longer, folder).context_bytes == 98
    said = capsys.readouterr().err
    assert "byte: V = 256" in said
    assert said.count("up to date") == 2
    assert "windows.json: an input changed" in said
    assert read_record(folder.windows_manifest, WindowsManifest, "tokens").context_bytes == 98


def test_a_context_in_symbols_gives_every_arm_the_same_row(tmp_path):
    path = write_study(tmp_path, STUDY.replace("bytes = 96", "symbols = 64"))
    study, folder = study_file.load(path), Folder(tmp_path / "out")
    corpus.run(study, folder)
    manifest = tokens.run(study, folder)
    assert manifest.row_symbols == {"byte": 64, "bpe": 64}
    assert manifest.context_bytes > 100
    for split in manifest.splits.values():
        for scored in split.tokens.values():
            assert read_array(folder.tokens / "windows", scored.counts).max() <= 64
        assert read_array(folder.tokens / "windows", split.tokens["byte"].counts).max() >= 63


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
    only_bytes = study.read_text().replace('kind = "bpe"\nvocabulary = 300', 'kind = "bytes"')
    study.write_text(only_bytes)
    out = ["--out", str(tmp_path / "out")]
    assert main(["corpus", str(study), *out]) == 0
    assert main(["tokens", str(study), *out]) == 2
    error = capsys.readouterr().err
    assert "[corpus] validation: 40 bytes are held out, less than one window of 96" in error
    assert "raise the fraction" in error
    assert not Folder(tmp_path / "out" / "tiny").windows_manifest.exists()
    assert not (tmp_path / "out" / "tiny" / "tokens" / "windows").exists()
