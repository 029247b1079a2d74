"""Whole-token masks in a study: starts are the tokenizer's, row by row; what cannot be had is refused by the plan."""

import numpy as np
import pytest

from bytegap.corpus import stage as corpus
from bytegap.errors import StoreError, StudyError
from bytegap.plan import stage as plan
from bytegap.records import TokensManifest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record
from bytegap.study import load
from bytegap.symbols import reopen
from bytegap.tokens import stage as tokens
from bytegap.train import run, stage
from bytegap.train.loop import Training
from tests.tiny import STUDY, write_study

WORDS = STUDY.replace('objective = "ar"', 'objective = { name = "words", of = "bpe" }').replace("[1e10]", "[2e9]")


def prepared(home, text=WORDS):
    study, folder = load(write_study(home, text)), Folder(home / "out")
    corpus.run(study, folder)
    tokens.run(study, folder)
    return study, folder


def test_training_is_told_where_symbols_begin(tmp_path):
    study, folder = prepared(tmp_path)
    spec = next(spec for spec in plan.run(study, folder).runs if spec.arm == "byte-ar")
    manifest = read_record(folder.tokens_of("byte") / "manifest.json", TokensManifest, "tokens")
    stream = read_array(folder.tokens_of("byte"), manifest.stream)
    starts = run._starts(spec, folder)
    assert len(starts) == len(stream)
    training = Training(spec, stream, starts=starts)
    tokenizer = reopen(folder, tokens.symbols_of("bpe", study, folder))
    text = bytes(stream[: int(np.flatnonzero(stream == 256)[0])].astype(np.uint8))
    (symbols,) = tokenizer.encode_batch([text])
    begun = np.cumsum([0, *(len(tokenizer.symbol_bytes[symbol]) for symbol in symbols)])
    assert np.flatnonzero(starts[: len(text) + 1]).tolist() == begun.tolist()  # EOS begins where the text ends
    symbols_BS, _ = training.rows.batch(3, spec.rows_per_batch)
    starts_BS, _ = training.starts.batch(3, spec.rows_per_batch)
    for row, begins in zip(symbols_BS, starts_BS, strict=True):
        at = next(i for i in range(0, len(stream), spec.row_symbols) if np.array_equal(stream[i : i + len(row)], row))
        assert np.array_equal(starts[at : at + len(row)], begins)
    assert run.train_run(spec, folder, lambda *_: None).status == "finished"


@pytest.mark.parametrize("file", ["train.sym", "lengths"])
def test_symbols_told_of_are_verified_as_those_trained_on(tmp_path, file):
    study, folder = prepared(tmp_path)
    runs = [spec for spec in plan.run(study, folder).runs if spec.arm == "byte-ar"]
    stage.check_shards(folder, runs)
    path = folder.tokens_of("bpe") / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match=f"tokens/bpe/{file}: checksum differs"):
        stage.check_shards(folder, runs)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('of = "bpe"', 'of = "bpee"', "'bpee' is no symbol set that has tokens"),
        ('of = "bpe"', 'of = "byte"', "'byte' is no symbol set that has tokens"),
        ('of = "bpe" }', 'of = "bpe" }\norder = "reverse"', "tokens have no places in an order of 'reverse'"),
    ],
)
def test_what_cannot_be_had_is_refused(tmp_path, old, new, words):
    study, folder = prepared(tmp_path, WORDS.replace(old, new))
    with pytest.raises(StudyError, match=rf"\[arms.byte-ar\] objective 'words': {words}"):
        plan.run(study, folder)
