"""Causal models of `transformers` opened by bytegap against `transformers` itself, and a run of ours read as one."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from bytegap.data.windows import Windows
from bytegap.errors import MissingExtraError, ModelError
from bytegap.export import stage
from bytegap.lm.likelihood import score_windows
from bytegap.lm.open_model import open_pretrained
from bytegap.lm.pretrained.hf_causal import CausalNetwork
from bytegap.nn.attention_spec import CAUSAL
from bytegap.objectives.ar import Autoregressive
from bytegap.sampling.base import SamplingSettings, draw_tokens
from tests.helpers.finished_runs import ARMS, finish, windows_of
from tests.helpers.parts import shake
from tests.helpers.pretrained_folders import EOS, change_config, random_ids, write_tokenizer, write_weights

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


def write(folder, config):
    model = shake(transformers.AutoModelForCausalLM.from_config(config).eval())
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_nats_equal_those_of_transformers(family, tmp_path):
    theirs = write(tmp_path, FAMILIES[family])
    model = open_pretrained(tmp_path)
    ids, positions = random_ids(2, 30, 264), torch.tensor([0, 17, 59])
    with torch.no_grad():
        expected = theirs(ids).logits.flatten(0, 1)
        assert (model(ids, positions, CAUSAL) - expected[positions]).abs().max() < 1e-5
    assert (model.objective, model.seq_len, model.vocabulary.n_ids) == (Autoregressive(), 63, 264)
    texts = [b"A text that is scored.", b"Another \xc3\x9f"]
    sequences = [[*text, EOS] for text in texts]
    counts = np.array([len(sequence) for sequence in sequences])
    nats = 0.0
    for sequence in sequences:
        inputs = torch.tensor([[EOS, *sequence]])  # a model without BOS gets EOS
        with torch.no_grad():
            nats += float(theirs(inputs, labels=inputs).loss) * len(sequence)
    windows = Windows(np.concatenate(sequences), counts, sum(map(len, texts)), "0" * 64)
    assert score_windows(model, windows).nats == pytest.approx(nats, rel=1e-5)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar"])
def test_an_export_opened_as_a_model_of_transformers_has_the_bpb_of_its_run(arm, tmp_path):
    """Tests the loading of other projects' models on one whose loss is known."""
    run = finish(tmp_path, {arm: ARMS[arm]})[1][arm]
    stage.run(run.path, tmp_path / "model")
    change_config(tmp_path / "model", "bytegap")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    model = open_pretrained(tmp_path / "model")
    assert isinstance(model.network, CausalNetwork)
    assert (model.vocabulary.eos, model.vocabulary.bos) == (config["vocab_size"] - 3, config["vocab_size"] - 2)
    assert score_windows(model, windows_of(run)).bpb == pytest.approx(run.record().test.bpb, abs=1e-5)


def test_a_model_that_sees_later_tokens_is_refused(tmp_path):
    """BERT has a class that loads as a causal model and, by its own default, is none."""
    sizes = {"vocab_size": 264, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    write(tmp_path, transformers.BertConfig(**sizes, intermediate_size=48))
    with pytest.raises(ModelError, match="depend on later tokens: it is not a causal model"):
        open_pretrained(tmp_path)


def pickle_only(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def drop_weight(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    write_weights(folder, weights)


def tear(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])


DAMAGED = {
    "no such folder: name a model's folder": shutil.rmtree,
    "holds no config.json": lambda folder: (folder / "config.json").unlink(),
    "config.json is not JSON": lambda folder: (folder / "config.json").write_text("{"),
    "config.json is not a JSON object": lambda folder: (folder / "config.json").write_text("[]"),
    "holds only pickled weights, which are not read": pickle_only,
    "holds no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "transformers cannot load it": tear,
    r"missing weight 'model.layers.1.mlp.up_proj.weight' \(1 in all\): weights and config": drop_weight,
    r"unexpected weight 'model.layers.1": lambda folder: change_config(folder, num_hidden_layers=1),
    "transformers cannot load it: .*": lambda folder: change_config(folder, intermediate_size=64),
    r"model_type 'lama' is no causal model of transformers, .*: did you mean 'llama'": lambda folder: change_config(
        folder, model_type="lama"
    ),
    "model_type 'Rnd1' is no causal model of transformers, and its own code is not run": lambda folder: change_config(
        folder, model_type="Rnd1", auto_map={"AutoModel": "modeling_rnd.RND1Model"}
    ),
    "model_type None is no causal model": lambda folder: change_config(folder, "model_type"),
    "holds no tokenizer.json and no tokenizer.model": lambda folder: (folder / "tokenizer.json").unlink(),
    "give EOS the id 270, but its head has the ids 0 to 263": lambda folder: change_config(folder, eos_token_id=270),
    "give EOS the id -1, but": lambda folder: change_config(folder, eos_token_id=-1),
    "give BOS the id 999": lambda folder: change_config(folder, bos_token_id=999),
    "tokenizer_config.json cannot be read": lambda folder: (folder / "tokenizer_config.json").write_text("["),
}


@pytest.mark.parametrize("message", DAMAGED)
def test_a_folder_that_cannot_be_loaded_raises_one_sentence(message, tmp_path):
    folder = tmp_path / "model"
    write(folder, FAMILIES["llama"])
    DAMAGED[message](folder)
    with pytest.raises(ModelError, match=message) as caught:
        open_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_greedy_generation_equals_the_argmax_of_one_forward(tmp_path):
    """Token by token, each forward reading the cached tokens again; EOS, which is also BOS, can be drawn."""
    theirs = write(tmp_path, FAMILIES["mistral"])
    with torch.no_grad():
        theirs.lm_head.weight[EOS] = 0.0
    theirs.save_pretrained(tmp_path)
    model = open_pretrained(tmp_path, context=12)
    settings, vocabulary, rng = SamplingSettings(temperature=0.0), model.vocabulary, torch.Generator()
    sequence_S = torch.full((12,), vocabulary.mask)
    sequence_S[:2] = torch.tensor([7, 9])
    filled = [int(index) for index in model.objective.sampler().generate(model, sequence_S, settings, rng)]
    assert filled == list(range(2, 12))
    with torch.no_grad():
        logits = theirs(torch.tensor([[EOS, *sequence_S.tolist()]])).logits[0]
    assert sequence_S[2:].tolist() == logits[2:12].argmax(1).tolist()
    for likeliest in (EOS, 263):
        logits_MV = torch.zeros(1, 264).index_fill(1, torch.tensor([likeliest]), 9.0)
        assert draw_tokens(logits_MV, settings, vocabulary, rng).tolist() == [likeliest]


def test_a_context_longer_than_the_positions_is_refused(tmp_path):
    write(tmp_path, FAMILIES["llama"])
    assert open_pretrained(tmp_path, context=10).seq_len == 10
    for context in (0, 64):
        with pytest.raises(ModelError, match="its 64 positions hold BOS and 1 to 63 tokens"):
            open_pretrained(tmp_path, context=context)


def test_without_transformers_the_error_names_the_extra(tmp_path, monkeypatch):
    write(tmp_path, FAMILIES["llama"])
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bytegap\[hf\]'"):
        open_pretrained(tmp_path)


def test_eos_and_bos_come_from_config_then_names_then_the_only_special_token(tmp_path):
    def special_ids():
        vocabulary = open_pretrained(tmp_path).vocabulary
        return vocabulary.eos, vocabulary.bos, vocabulary.mask

    write(tmp_path, FAMILIES["llama"])
    change_config(tmp_path, "eos_token_id")
    assert special_ids() == (EOS, EOS, -1)
    write_tokenizer(tmp_path, "<|other|>")
    with pytest.raises(ModelError, match="names no EOS"):
        open_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(
        '{"eos_token": "<|other|>", "bos_token": {"content": "<|endoftext|>"}}'
    )
    assert special_ids() == (EOS + 1, EOS, -1)
    change_config(tmp_path, eos_token_id=[EOS, EOS + 1])  # as a chat model has it
    assert special_ids() == (EOS, EOS, -1)
