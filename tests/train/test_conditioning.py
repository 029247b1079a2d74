"""Whole-word masks by tokens of another tokenizer: where they begin in training, and which studies are refused."""

import numpy as np
import pytest

from bytegap.data import prepare, tokenize
from bytegap.data.tokenizers.base import load_tokenizer
from bytegap.errors import StudyError
from bytegap.io.arrays import read_array
from bytegap.plan import stage as plan
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
from bytegap.train.run import conditioning_starts, train_run
from bytegap.train.trainer import Trainer
from tests.helpers.tiny_study import STUDY, write_study

WORDS = STUDY.replace('objective = "ar"', 'objective = { name = "whole_word_mdm", units = "bpe" }')
WORDS = WORDS.replace("[1e10]", "[2e9]")


def tokenized(home, text=WORDS):
    study, study_dir = load_study(write_study(home, text)), StudyDir(home / "out")
    prepare.run(study, study_dir)
    tokenize.run(study, study_dir)
    return study, study_dir


def test_training_sequences_have_the_starts_of_their_own_tokens(tmp_path):
    study, study_dir = tokenized(tmp_path)
    spec = next(spec for spec in plan.make_plan(study, study_dir).runs if spec.arm == "byte-ar")
    stream = read_array(study_dir.tokenizer_dir("byte"), study_dir.tokenizer("byte").stream)
    starts = conditioning_starts(spec, study_dir)
    assert len(starts) == len(stream)
    trainer = Trainer(spec, stream, token_starts=starts)
    text = bytes(stream[: int(np.flatnonzero(stream == 256)[0])].astype(np.uint8))
    tokenizer = load_tokenizer("bpe", study_dir.tokenizer_dir("bpe"))
    (tokens,) = tokenizer.encode_batch([text])
    begins = np.cumsum([0, *(len(tokenizer.token_bytes[token]) for token in tokens)])
    assert np.flatnonzero(starts[: len(text) + 1]).tolist() == begins.tolist()  # EOS begins where the text ends
    tokens_BS, _ = trainer.sequences.batch(3, spec.batch_size)
    starts_BS, _ = trainer.token_starts.batch(3, spec.batch_size)
    for tokens_S, starts_S in zip(tokens_BS, starts_BS, strict=True):
        offsets = range(0, len(stream), spec.seq_len)
        at = next(i for i in offsets if np.array_equal(stream[i : i + spec.seq_len], tokens_S))
        assert np.array_equal(starts[at : at + spec.seq_len], starts_S)
    assert train_run(spec, study_dir).status == "finished"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('units = "bpe"', 'units = "bpee"', "'bpee'"),
        ('units = "bpe"', 'units = "byte"', "'byte'"),
        ('units = "bpe" }', 'units = "bpe" }\npermutation = "reverse"', "reverse"),
    ],
)
def test_a_study_that_cannot_condition_is_refused(tmp_path, old, new, message):
    with pytest.raises(StudyError, match=rf"arms.byte-ar\].*whole_word_mdm.*{message}"):
        plan.make_plan(*tokenized(tmp_path, WORDS.replace(old, new)))
