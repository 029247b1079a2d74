"""Causal models of `transformers`, opened to be asked, against `transformers` itself; and a run of ours read as one."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from bytegap.errors import ModelError
from bytegap.export import stage
from bytegap.likelihood import score_windows
from bytegap.objectives import ar
from bytegap.pretrained import causal, open_pretrained
from bytegap.records import RunRecord
from bytegap.samplers import left
from bytegap.samplers._base import Settings, choose
from bytegap.sight import CAUSAL
from bytegap.store import read_record
from bytegap.windows import Windows
from tests.finished import ARMS, finish, windows_of
from tests.plugs import shake
from tests.pretrained.folders import EOS, ids_of, write_tokenizer, write_weights

SIZES = {
    "vocab_size": 264,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "eos_token_id": EOS,
    "bos_token_id": None,
    "tie_word_embeddings": False,
}
FAMILIES = {
    "llama": transformers.LlamaConfig(**SIZES),
    "mistral": transformers.MistralConfig(**SIZES, sliding_window=8),
    "qwen2": transformers.Qwen2Config(**SIZES),
    "qwen3": transformers.Qwen3Config(**SIZES | {"tie_word_embeddings": True}, head_dim=16),
    "gpt2": transformers.GPT2Config(
        vocab_size=264, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=EOS, bos_token_id=EOS
    ),
}


def write(home, config):
    model = shake(transformers.AutoModelForCausalLM.from_config(config).eval())
    model.save_pretrained(home)
    write_tokenizer(home)
    return model


def score(trained, windows):
    how = {"passes": 1, "seed": 0, "permute": lambda symbols, _: symbols}
    return score_windows(trained, trained.objective, trained.options, windows, trained.vocabulary, **how)


@pytest.mark.parametrize("family", FAMILIES)
def test_its_logits_and_nats_are_those_of_transformers(family, tmp_path):
    model = write(tmp_path, FAMILIES[family])
    trained = open_pretrained(tmp_path)
    ids, asked = ids_of(2, 30, 264), torch.tensor([0, 17, 59])
    with torch.no_grad():
        expected = model(ids).logits.flatten(0, 1)
        assert (trained(ids, asked, CAUSAL) - expected[asked]).abs().max() < 1e-5
    assert (trained.objective, trained.row_symbols, trained.vocabulary.ids) == (ar, 63, 264)
    texts = [b"A text that is scored.", b"Another \xc3\x9f"]
    rows = [[*text, EOS] for text in texts]
    windows = Windows(np.concatenate(rows), np.array([len(row) for row in rows]), sum(map(len, texts)), "0" * 64)
    nats = 0.0
    for row in rows:
        given = torch.tensor([[EOS, *row]])  # a model without BOS is given EOS
        with torch.no_grad():
            nats += float(model(given, labels=given).loss) * len(row)
    assert score(trained, windows).nats == pytest.approx(nats, rel=1e-5)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar"])
def test_an_exported_run_read_as_anybodys_llama_has_its_bits_per_byte(arm, tmp_path):
    """The road of other people's models, on one whose loss is known."""
    folder, runs = finish(tmp_path, {arm: ARMS[arm]})
    stage.run(runs[arm], tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    del config["bytegap"]
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    trained, record = open_pretrained(tmp_path / "model"), read_record(runs[arm] / "record.json", RunRecord, "train")
    assert isinstance(trained.network, causal.Causal)
    assert (trained.vocabulary.eos, trained.vocabulary.bos) == (config["vocab_size"] - 3, config["vocab_size"] - 2)
    assert score(trained, windows_of(folder, runs[arm])).bpb == pytest.approx(record.test.bpb, abs=1e-5)


def test_a_model_that_sees_what_follows_is_refused(tmp_path):
    """BERT has a class that loads as a causal model and, by its own default, is none."""
    sizes = {"vocab_size": 264, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    write(tmp_path, transformers.BertConfig(**sizes, intermediate_size=48))
    with pytest.raises(ModelError, match="depends on those that follow: it is no causal model"):
        open_pretrained(tmp_path)


def config_without(home, key=None, **changes):
    config = json.loads((home / "config.json").read_text())
    config.pop(key, None)
    (home / "config.json").write_text(json.dumps(config | changes))


def only_pickled(home):
    (home / "model.safetensors").rename(home / "pytorch_model.bin")


def lacking(home):
    weights = load_file(home / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    write_weights(home, weights)


def torn(home):
    (home / "model.safetensors").write_bytes((home / "model.safetensors").read_bytes()[:1000])


SPOILT = {
    "no such folder: name a model's folder": shutil.rmtree,
    "holds no config.json": lambda home: (home / "config.json").unlink(),
    "config.json is not JSON": lambda home: (home / "config.json").write_text("{"),
    "config.json is not a JSON object": lambda home: (home / "config.json").write_text("[]"),
    "holds only pickled weights, which are not read": only_pickled,
    "holds no weights": lambda home: (home / "model.safetensors").unlink(),
    "transformers cannot load it": torn,
    r"its weights lack 'model.layers.1.mlp.up_proj.weight' \(1 in all\)": lacking,
    r"its weights have, and it does not know, 'model.layers.1": lambda home: config_without(home, num_hidden_layers=1),
    "transformers cannot load it: .*": lambda home: config_without(home, intermediate_size=64),
    r"model_type 'lama' is neither .* of transformers': did you mean 'llama'": lambda home: config_without(
        home, model_type="lama"
    ),
    "model_type 'Dream' is neither .* of transformers', and its own code is not run": lambda home: config_without(
        home, model_type="Dream", auto_map={"AutoModel": "modeling_dream.DreamModel"}
    ),
    "model_type None is neither": lambda home: config_without(home, "model_type"),
    "holds no tokenizer.json and no tokenizer.model": lambda home: (home / "tokenizer.json").unlink(),
    "ids go up to 270 in its tokenizer and config, to 263 in its head": lambda home: config_without(
        home, eos_token_id=270
    ),
}


@pytest.mark.parametrize("complaint", SPOILT)
def test_what_cannot_be_loaded_is_told_in_a_sentence(complaint, tmp_path):
    home = tmp_path / "model"
    write(home, FAMILIES["llama"])
    SPOILT[complaint](home)
    with pytest.raises(ModelError, match=complaint) as caught:
        open_pretrained(home)
    assert "\n" not in str(caught.value)


def test_what_it_draws_is_what_it_says_is_likeliest(tmp_path):
    """Position by position through a memory, which reads again, beside the whole row at once; EOS, its BOS, ends it."""
    model = write(tmp_path, FAMILIES["mistral"])
    with torch.no_grad():
        model.lm_head.weight[EOS] = 0.0
    model.save_pretrained(tmp_path)
    trained = open_pretrained(tmp_path, context=12)
    settings, vocabulary = Settings(temperature=0.0), trained.vocabulary
    canvas = torch.full((12,), vocabulary.mask)
    canvas[:2] = torch.tensor([7, 9])
    drawn = [int(place) for place in left.draw(trained, canvas, settings, torch.Generator())]
    assert drawn == list(range(2, 12))
    with torch.no_grad():
        logits = model(torch.tensor([[EOS, *canvas.tolist()]])).logits[0]
    assert canvas[2:].tolist() == logits[2:12].argmax(1).tolist()
    likely = torch.zeros(1, 264).index_fill(1, torch.tensor([EOS]), 9.0)
    assert choose(likely, settings, vocabulary, torch.Generator()).tolist() == [EOS]
    last = torch.zeros(1, 264).index_fill(1, torch.tensor([263]), 9.0)
    assert choose(last, settings, vocabulary, torch.Generator()).tolist() == [263]


def test_a_context_that_its_positions_do_not_hold_is_refused(tmp_path):
    write(tmp_path, FAMILIES["llama"])
    assert open_pretrained(tmp_path, context=10).row_symbols == 10
    for context in (0, 64):
        with pytest.raises(ModelError, match="its 64 positions hold BOS and 1 to 63"):
            open_pretrained(tmp_path, context=context)


def test_without_transformers_it_says_what_to_install(tmp_path, monkeypatch):
    write(tmp_path, FAMILIES["llama"])
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'bytegap\[hf\]'"):
        open_pretrained(tmp_path)


def test_eos_is_the_only_special_token_where_nothing_names_it(tmp_path):
    write(tmp_path, FAMILIES["llama"])
    config_without(tmp_path, "eos_token_id")
    assert open_pretrained(tmp_path).vocabulary.special == (EOS, EOS, -1)
    write_tokenizer(tmp_path, "<|other|>")
    with pytest.raises(ModelError, match="names no EOS"):
        open_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(
        '{"eos_token": "<|other|>", "bos_token": {"content": "<|endoftext|>"}}'
    )
    assert open_pretrained(tmp_path).vocabulary.special == (EOS + 1, EOS, -1)
