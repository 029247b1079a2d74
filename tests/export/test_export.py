"""Exports against the run they are of: with `transformers` for AR, by our own loader for every objective."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bytegap import cli
from bytegap.export import stage
from bytegap.likelihood import score_windows, symbol_nats
from bytegap.pretrained import open_pretrained
from bytegap.records import RunRecord, WindowsManifest
from bytegap.sight import ALL, CAUSAL
from bytegap.store import read_record
from bytegap.trained import open_run
from tests.finished import ARMS, finish, windows_of

TEXTS = [
    "The people of the United States.",
    "Gru\u00df, \u6c34 and \u00c9te\u0301: it's 1790 again.",
    "  two  spaces\n\n\ttab and end ",
    "\U0001f469\u200d\U0001f680 <|eos|> <|mask|>, \u0130stanbul",
    "a",
]
CAUSAL_ARMS = ("byte-ar", "bpe-ar", "unigram-ar")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(its folder, runs by arm, their exports by arm)."""
    home = tmp_path_factory.mktemp("export")
    folder, runs = finish(home)
    for arm, run in runs.items():
        stage.run(run, home / "exported" / arm)
    return folder, runs, {arm: home / "exported" / arm for arm in runs}


@pytest.mark.parametrize("arm", CAUSAL_ARMS)
def test_transformers_gives_the_logits_of_the_run(study, arm):
    _, runs, exports = study
    run = open_run(runs[arm])
    ids = torch.randint(run.vocabulary.ids, (3, run.row_symbols + 1), generator=torch.Generator().manual_seed(0))
    llama = AutoModelForCausalLM.from_pretrained(exports[arm], attn_implementation="eager")
    with torch.no_grad():
        expected = run.network(ids, None, CAUSAL)
        assert expected.abs().max() > 0.5
        assert (llama(ids).logits.flatten(0, 1) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("arm", CAUSAL_ARMS)
def test_transformers_gives_the_bits_per_byte_of_the_record(study, arm):
    """From text to nats by `transformers` alone: its tokenizer, its model, BOS first, EOS where a document ends."""
    folder, runs, exports = study
    windows, record = windows_of(folder, runs[arm]), read_record(runs[arm] / "record.json", RunRecord, "train")
    tokenizer, llama = AutoTokenizer.from_pretrained(exports[arm]), AutoModelForCausalLM.from_pretrained(exports[arm])
    pieces = open_run(runs[arm]).tokenizer.symbol_bytes
    nats, ends = 0.0, np.cumsum(windows.counts.astype(np.int64)).tolist()
    for start, end in pairwise([0, *ends]):
        symbols = windows.symbols[start:end].astype(int).tolist()
        closed = symbols[-1] == tokenizer.eos_token_id
        text = b"".join(pieces[symbol] for symbol in symbols[: len(symbols) - closed]).decode()
        ids = torch.tensor([[*tokenizer(text)["input_ids"], *([tokenizer.eos_token_id] if closed else [])]])
        with torch.no_grad():
            logp = llama(ids).logits[0, :-1].double().log_softmax(-1)
        nats -= float(logp.gather(1, ids[0, 1:, None]).sum())
    assert nats / np.log(2) / windows.bytes == pytest.approx(record.test.bpb, abs=1e-5)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm", "unigram-ar"])
def test_its_tokenizer_gives_the_symbols_of_the_run(study, arm):
    _, runs, exports = study
    run, tokenizer = open_run(runs[arm]), AutoTokenizer.from_pretrained(exports[arm])
    vocabulary = run.vocabulary
    for text in TEXTS:
        symbols = run.tokenizer.encode_batch([text.encode()])[0].tolist()
        assert tokenizer(text)["input_ids"] == [vocabulary.bos, *symbols]
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == symbols
        assert tokenizer.decode(symbols) == text
    special = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.mask_token_id, len(tokenizer))
    assert special == (vocabulary.eos, vocabulary.bos, vocabulary.mask, vocabulary.ids)


@pytest.mark.parametrize("arm", ARMS)
def test_our_loader_gives_the_run_back(study, arm):
    folder, runs, exports = study
    run, again = open_run(runs[arm]), open_pretrained(exports[arm])
    for name in ("name", "objective", "options", "vocabulary", "row_symbols", "passes", "seed"):
        assert getattr(again, name) == getattr(run, name), name
    assert again.tokenizer.symbol_bytes == run.tokenizer.symbol_bytes
    texts = [*(text.encode() for text in TEXTS), b"", b"not \xff\xc3 UTF-8"]
    for one, other in zip(again.tokenizer.encode_batch(texts), run.tokenizer.encode_batch(texts), strict=True):
        assert one.tolist() == other.tolist()
    windows, how = windows_of(folder, runs[arm]), {"passes": 2, "seed": run.seed}
    for ask in (run, again):
        own, sums = symbol_nats(ask, ask.objective, ask.options, windows, ask.vocabulary, **how)
        score = score_windows(
            ask, ask.objective, ask.options, windows, ask.vocabulary, **how, permute=lambda symbols, _: symbols
        )
        assert float(sums.mean()) == pytest.approx(score.nats)
        if ask is run:
            expected = own
    assert torch.equal(own, expected)


@pytest.mark.parametrize("arm", ["bpe-mdm", "byte-block", "byte-anyorder"])
def test_nobody_runs_a_masked_model_causally_by_mistake(study, arm):
    _, _, exports = study
    with pytest.raises(ValueError, match=f"bytegap-{arm.split('-')[1]}"):
        AutoModelForCausalLM.from_pretrained(exports[arm])


def test_a_masked_export_is_a_llama_that_sees_everything(study):
    """Its weights under Llama's names: anybody's Llama computes the same where its mask hides nothing."""
    from transformers import LlamaConfig, LlamaForCausalLM

    _, runs, exports = study
    run = open_run(runs["bpe-mdm"])
    config = json.loads((exports["bpe-mdm"] / "config.json").read_text())
    llama = LlamaForCausalLM.from_pretrained(
        exports["bpe-mdm"], config=LlamaConfig(**config | {"model_type": "llama"}), attn_implementation="eager"
    )
    ids = torch.randint(run.vocabulary.ids, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        got = llama(ids, attention_mask=torch.zeros(2, 1, 20, 20)).logits.flatten(0, 1)
        assert (got - run.network(ids, None, ALL)).abs().max() < 1e-5


def test_the_card_has_the_records_numbers(study):
    folder, runs, exports = study
    for arm in ("byte-ar", "byte-mdm"):
        card = (exports[arm] / "README.md").read_text(encoding="utf-8")
        record = read_record(runs[arm] / "record.json", RunRecord, "train")
        split = read_record(folder.windows_manifest, WindowsManifest, "tokens").splits["test"]
        floors = split.tokens["byte"]
        for number in (f"{record.test.bpb:.4f} +- {record.test.bpb_se:.4f}", split.sha256, f"{floors.bigram_bpb:.4f}"):
            assert number in card
        assert ("AutoModelForCausalLM.from_pretrained" in card) is (arm == "byte-ar")


def test_the_verb_writes_whole_or_not_at_all(study, tmp_path, capsys):
    folder, runs, _ = study
    out = tmp_path / "model"
    command = ["export", str(runs["byte-mdm"]), "--to", "hf", "--out", str(out)]
    assert cli.main(command) == 0
    assert cli.main(command) == 0  # over itself
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "LICENSE").write_text("mine")
    assert cli.main(command) == 2
    assert "'LICENSE', which is of no export" in capsys.readouterr().err
    (out / "LICENSE").unlink()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    assert cli.main([*command[:-1], str(other)]) == 2
    assert "did not write" in capsys.readouterr().err
    assert cli.main([*command[:-1], str(other / "config.json")]) == 2
    assert cli.main(["export", str(folder.root), "--out", str(tmp_path / "new")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


def test_what_is_not_finished_is_not_exported(study, tmp_path):
    folder, runs, _ = study
    home = shutil.copytree(folder.root, tmp_path / "study") / "runs" / runs["byte-ar"].name
    (home / "record.json").unlink()
    with pytest.raises(Exception, match=r"record.json is missing: run 'bytegap train' first"):
        stage.run(home, tmp_path / "model")
    assert not (tmp_path / "model").exists()
