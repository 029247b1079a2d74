"""Exports against their runs: with `transformers` for AR, with bytegap's own loader for every objective."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from bytegap.cli import main as cli
from bytegap.errors import ModelError, StudyDirError
from bytegap.export import stage
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import score_windows, token_nats
from bytegap.lm.open_model import open_pretrained
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL
from bytegap.objectives.ar import Autoregressive
from bytegap.sampling.any_order import AnyOrder
from tests.helpers.finished_runs import ARMS, windows_of
from tests.helpers.pretrained_folders import change_config

TEXTS = [
    "The people of the United States.",
    "Gru\u00df, \u6c34 and \u00c9te\u0301: it's 1790 again.",
    "  two  spaces\n\n\ttab and end ",
    "\U0001f469\u200d\U0001f680 <|eos|> <|mask|>, \u0130stanbul",
    "a",
]
CAUSAL_ARMS = ("byte-ar", "bpe-ar", "unigram-ar")


@pytest.fixture(scope="module")
def study(finished_study, tmp_path_factory):
    """(study folder, runs by arm, folders of their exports by arm)."""
    study_dir, runs = finished_study
    home = tmp_path_factory.mktemp("exported")
    for arm, run in runs.items():
        stage.run(run.path, home / arm)
    return study_dir, runs, {arm: home / arm for arm in runs}


@pytest.mark.parametrize("arm", CAUSAL_ARMS)
def test_transformers_gives_the_logits_of_the_run(study, arm):
    _, runs, exports = study
    model = load_run(runs[arm])
    ids = torch.randint(model.vocabulary.n_ids, (3, model.seq_len + 1), generator=torch.Generator().manual_seed(0))
    llama = AutoModelForCausalLM.from_pretrained(exports[arm], attn_implementation="eager")
    with torch.no_grad():
        expected = model.network(ids, None, CAUSAL)
        assert expected.abs().max() > 0.5
        assert (llama(ids).logits.flatten(0, 1) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("arm", CAUSAL_ARMS)
def test_transformers_gives_the_bits_per_byte_of_the_record(study, arm):
    """From text to nats by `transformers` alone: its tokenizer, its model, BOS first, EOS where a document ends."""
    _, runs, exports = study
    windows = windows_of(runs[arm])
    tokenizer, llama = AutoTokenizer.from_pretrained(exports[arm]), AutoModelForCausalLM.from_pretrained(exports[arm])
    token_bytes = load_run(runs[arm]).tokenizer.token_bytes
    nats, ends = 0.0, np.cumsum(windows.counts.astype(np.int64)).tolist()
    for start, end in pairwise([0, *ends]):
        tokens = windows.tokens[start:end].astype(int).tolist()
        ends_document = tokens[-1] == tokenizer.eos_token_id
        text = b"".join(token_bytes[token] for token in tokens[: len(tokens) - ends_document]).decode()
        eos = [tokenizer.eos_token_id] if ends_document else []
        ids = torch.tensor([[*tokenizer(text)["input_ids"], *eos]])
        with torch.no_grad():
            logp = llama(ids).logits[0, :-1].double().log_softmax(-1)
        nats -= float(logp.gather(1, ids[0, 1:, None]).sum())
    assert nats / np.log(2) / windows.bytes == pytest.approx(runs[arm].record().test.bpb, abs=1e-5)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm", "unigram-ar"])
def test_the_exported_tokenizer_gives_the_tokens_of_the_run(study, arm):
    _, runs, exports = study
    model, tokenizer = load_run(runs[arm]), AutoTokenizer.from_pretrained(exports[arm])
    vocabulary = model.vocabulary
    for text in TEXTS:
        tokens = model.tokenizer.encode_batch([text.encode()])[0].tolist()
        assert tokenizer(text)["input_ids"] == [vocabulary.bos, *tokens]
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == tokens
        assert tokenizer.decode(tokens) == text
    special = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.mask_token_id, len(tokenizer))
    assert special == (vocabulary.eos, vocabulary.bos, vocabulary.mask, vocabulary.n_ids)


@pytest.mark.parametrize("arm", ARMS)
def test_our_loader_gives_back_the_model_of_the_run(study, arm):
    _, runs, exports = study
    run, export = load_run(runs[arm]), open_pretrained(exports[arm])
    for name in ("name", "objective", "vocabulary", "seq_len", "permutation", "mc_passes", "seed"):
        assert getattr(export, name) == getattr(run, name), name
    assert export.tokenizer.token_bytes == run.tokenizer.token_bytes
    texts = [*(text.encode() for text in TEXTS), b"", b"not \xff\xc3 UTF-8"]
    for one, other in zip(export.tokenizer.encode_batch(texts), run.tokenizer.encode_batch(texts), strict=True):
        assert one.tolist() == other.tolist()
    windows = windows_of(runs[arm])
    nats, sums = token_nats(replace(run, mc_passes=2), windows)
    assert float(sums.mean()) == pytest.approx(score_windows(replace(run, mc_passes=2), windows).nats)
    assert torch.equal(token_nats(replace(export, mc_passes=2), windows)[0], nats)


@pytest.mark.parametrize("arm", ["bpe-mdm", "byte-block", "byte-anyorder"])
def test_transformers_refuses_a_model_that_is_not_causal(study, arm):
    _, runs, exports = study
    with pytest.raises(ValueError, match=f"bytegap-{runs[arm].spec().objective}"):
        AutoModelForCausalLM.from_pretrained(exports[arm])


def test_a_causal_model_that_does_not_read_from_left_to_right_is_no_causal_lm(study, tmp_path, monkeypatch):
    monkeypatch.setattr(Autoregressive, "sampler", lambda _: AnyOrder())
    stage.run(study[1]["byte-ar"].path, tmp_path / "made")
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert (config["model_type"], config.get("architectures")) == ("bytegap-ar", None)
    assert "It is not a causal language model" in (tmp_path / "made" / "README.md").read_text(encoding="utf-8")


def test_a_convolution_is_not_exported_as_llama(study, tmp_path, monkeypatch):
    path = study[1]["byte-ar"].path
    config = stage.model_config(study[1]["byte-ar"].spec()).model_copy(update={"convolution": 4})
    monkeypatch.setattr(stage, "model_config", lambda _: config)
    with pytest.raises(ModelError, match="its convolution over neighbours: it cannot be exported"):
        stage.run(path, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_masked_export_is_a_bidirectional_llama(study):
    """Any Llama computes the same with its weights and an attention mask that hides nothing."""
    _, runs, exports = study
    model = load_run(runs["bpe-mdm"])
    config = json.loads((exports["bpe-mdm"] / "config.json").read_text())
    llama = LlamaForCausalLM.from_pretrained(
        exports["bpe-mdm"], config=LlamaConfig(**config | {"model_type": "llama"}), attn_implementation="eager"
    )
    ids = torch.randint(model.vocabulary.n_ids, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = llama(ids, attention_mask=torch.zeros(2, 1, 20, 20)).logits.flatten(0, 1)
        assert (logits - model.network(ids, None, BIDIRECTIONAL)).abs().max() < 1e-5


def test_the_model_card_has_the_numbers_of_the_record(study):
    study_dir, runs, exports = study
    split = study_dir.windows().splits["test"]
    for arm in ("byte-ar", "byte-mdm"):
        card = (exports[arm] / "README.md").read_text(encoding="utf-8")
        score, ngrams = runs[arm].record().test, split.tokenizers["byte"]
        bpb = f"{score.bpb:.4f}" + (f" +- {score.bpb_se:.4f}" if arm == "byte-mdm" else "")
        for number in (f"| test loss | {bpb} bits per byte |", split.sha256, f"{ngrams.bigram_bpb:.4f}"):
            assert number in card
        assert ("AutoModelForCausalLM.from_pretrained" in card) is (arm == "byte-ar")
        assert ("Sahoo et al. 2024" in card) is (arm == "byte-mdm"), "from the docstring of the objective's module"


def test_an_export_replaces_an_earlier_one_and_nothing_else(study, tmp_path, capsys):
    study_dir, runs, _ = study
    out = tmp_path / "model"
    command = ["export", str(runs["byte-mdm"].path), "--to", "hf", "--out", str(out)]
    assert cli.main(command) == 0
    assert cli.main(command) == 0
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "LICENSE").write_text("mine")
    assert cli.main(command) == 2
    assert "holds 'LICENSE', which 'bytegap export' did not write" in capsys.readouterr().err
    (out / "LICENSE").unlink()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    assert cli.main([*command[:-1], str(other)]) == 2
    assert "did not write" in capsys.readouterr().err
    assert cli.main([*command[:-1], str(other / "config.json")]) == 2
    assert cli.main(["export", str(study_dir.root), "--out", str(tmp_path / "new")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


def test_a_run_that_is_not_finished_is_not_exported(study, tmp_path):
    study_dir, runs, _ = study
    run = shutil.copytree(study_dir.root, tmp_path / "study") / "runs" / runs["byte-ar"].path.name
    (run / "record.json").unlink()
    with pytest.raises(StudyDirError, match=r"record.json is missing: run 'bytegap train' first"):
        stage.run(run, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_an_export_of_an_earlier_format_is_refused(study, tmp_path):
    folder = shutil.copytree(study[2]["byte-ar"], tmp_path / "model")
    own = json.loads((folder / "config.json").read_text())["bytegap"]
    change_config(folder, bytegap=own | {"format": 1})
    with pytest.raises(ModelError, match=r"config.json: 'format': it should be 2"):
        open_pretrained(folder)
