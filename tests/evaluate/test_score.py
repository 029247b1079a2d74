"""Nats of a text under a model, against the record of the run and against scores of the same windows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import bytegap
from bytegap.cli.main import main
from bytegap.data.windows import Windows, chunk_lengths
from bytegap.errors import EvaluateError
from bytegap.evaluate.score import score_bytes, score_text
from bytegap.io.arrays import documents_of
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import score_windows
from bytegap.nn.attention_spec import CAUSAL
from tests.evaluate.texts import MIXED
from tests.helpers.finished_runs import ARMS, finish


@pytest.fixture(scope="module")
def byte_study(tmp_path_factory):
    """A study of bytes only, whose scoring windows no other tokenizer shortens."""
    arms = {arm: ARMS[arm] for arm in ("byte-ar", "byte-mdm")}
    return finish(tmp_path_factory.mktemp("bytes"), arms)


def test_documents_of_the_test_split_score_as_the_runs_record_says(byte_study):
    study_dir, runs = byte_study
    texts = list(documents_of(study_dir.corpus_dir, study_dir.corpus().splits["test"]))
    model, record = load_run(runs["byte-ar"]), runs["byte-ar"].record()
    assert not any(len(text) % model.seq_len == 0 for text in texts), "else EOS would be a sequence of its own"
    assert sum(score_bytes(model, text).nats for text in texts) == pytest.approx(record.test.nats, rel=1e-9)
    model, record = replace(load_run(runs["byte-mdm"]), mc_passes=64), runs["byte-mdm"].record()
    scored = [score_bytes(model, text) for text in texts]
    difference = sum(own.nats for own in scored) - record.test.nats
    error = (record.test.nats_se**2 + sum((own.pass_nats.std(ddof=1) / 8) ** 2 for own in scored)) ** 0.5
    assert abs(difference) < 4 * error
    assert error < 0.05 * record.test.nats


@pytest.mark.parametrize("arm", list(ARMS))
def test_nats_of_bytes_and_eos_add_up_to_the_score_of_the_same_windows(finished_study, arm):
    model = replace(load_run(finished_study[1][arm]), mc_passes=8)
    text = MIXED * 9
    own = score_bytes(model, text)
    assert own.nats == pytest.approx(own.byte_nats.sum() + own.eos_nats, rel=1e-9)
    assert len(own.byte_nats) == len(text)
    tokens = np.append(model.tokenizer.encode_batch([text])[0], model.vocabulary.eos)
    counts = np.array(chunk_lengths(len(tokens), model.seq_len))
    windows = score_windows(model, Windows(tokens, counts, len(text), ""))
    assert own.nats == pytest.approx(windows.nats, rel=1e-9)
    score = score_text(model, text)
    assert score.se == pytest.approx(windows.bpb_se, rel=1e-6)
    assert (score.se == 0) == model.objective.is_exact
    assert (score.bits_per_byte, score.nats, score.bytes) == (pytest.approx(windows.bpb), own.nats, len(text))


def test_score_text_takes_a_model_or_its_name_and_text_or_bytes(finished_study):
    run = finished_study[1]["byte-ar"]
    score = bytegap.score_text(load_run(run), MIXED)
    assert bytegap.score_text(str(run.path), MIXED) == score
    assert bytegap.score_text(run.path, MIXED.decode("utf-8", "surrogateescape")) == score


def test_an_empty_text_and_a_single_pass_are_refused(finished_study):
    model = load_run(finished_study[1]["byte-mdm"])
    with pytest.raises(EvaluateError, match="the text is empty"):
        score_text(model, "")
    with pytest.raises(EvaluateError, match="use 2 or more"):
        score_text(model, "text", mc_passes=1)


@pytest.mark.parametrize("stride", [1, 3, 16])
def test_sliding_sequences_score_each_token_given_those_before_it(finished_study, stride):
    """Against the network itself, asked for one token at a time."""
    model = load_run(finished_study[1]["byte-ar"])
    text = MIXED[:70]
    own = score_bytes(model, text, stride=stride)
    tokens = np.append(model.tokenizer.encode_batch([text])[0], model.vocabulary.eos).astype(np.int64)
    expected = np.zeros(len(tokens))
    with torch.no_grad():
        for i, token in enumerate(tokens):
            steps = max(0, -(-(i + 1 - model.seq_len) // stride))
            end = min(model.seq_len + steps * stride, len(tokens))
            begin = max(0, end - model.seq_len)
            ids = torch.tensor([[model.vocabulary.bos, *tokens[begin:i]]])
            logits = model(ids, torch.tensor([ids.shape[1] - 1]), CAUSAL)
            expected[i] = -float(logits.double().log_softmax(-1)[0, token])
    assert own.nats == pytest.approx(expected.sum(), rel=1e-6)
    assert np.allclose(own.byte_nats, expected[:-1], rtol=1e-5)
    assert own.eos_nats == pytest.approx(expected[-1], rel=1e-5)


def test_sliding_sequences_of_a_masked_model(finished_study):
    """A text of one sequence is scored as without a stride; in a longer one every token is charged once."""
    model = replace(load_run(finished_study[1]["byte-mdm"]), mc_passes=64)
    short = MIXED[: model.seq_len - 1]
    assert score_bytes(model, short, stride=3).nats == score_bytes(model, short).nats
    text = MIXED * 4
    own, plain = score_bytes(model, text, stride=model.seq_len // 4), score_bytes(model, text)
    assert own.nats == pytest.approx(own.byte_nats.sum() + own.eos_nats, rel=1e-9)
    assert own.sequences > plain.sequences
    assert (own.byte_nats > 0).all()
    assert abs(own.nats - plain.nats) < 0.3 * plain.nats, "the model has learned little, so that context changes little"


def test_a_stride_that_would_leave_tokens_out_is_refused(finished_study, tmp_path, capsys):
    run = finished_study[1]["byte-ar"]
    (tmp_path / "t.txt").write_bytes(MIXED)
    assert main(["evaluate", str(run.path), str(tmp_path / "t.txt"), "--stride", "100000"]) == 2
    assert "tokens would be left out" in capsys.readouterr().err
    masked = finished_study[1]["byte-mdm"]
    assert main(["evaluate", str(masked.path), str(tmp_path / "t.txt"), "--stride", "4", "--likelihood", "left"]) == 2
    assert "not with 'left'" in capsys.readouterr().err
