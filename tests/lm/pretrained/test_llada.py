"""LLaDA's weights against Hugging Face's Llama with a bidirectional attention mask."""

import io
import json

import pytest
import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bytegap.errors import ModelError
from bytegap.lm.open_model import open_pretrained
from bytegap.nn.attention_spec import BIDIRECTIONAL
from bytegap.objectives.mdm import MaskedDiffusion
from tests.helpers.parts import shake
from tests.helpers.pretrained_folders import EOS, random_ids, write_config, write_tokenizer, write_weights

IDS, MASK = 272, 260
CONFIG = {
    "model_type": "llada",
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 4,
    "mlp_hidden_size": 48,
    "vocab_size": IDS,
    "embedding_size": IDS,
    "max_sequence_length": 64,
    "rope_theta": 500.0,
    "rms_norm_eps": 1e-3,
    "mask_token_id": MASK,
    "eos_token_id": EOS,
    "weight_tying": False,
    "block_type": "llama",
    "activation_type": "silu",
    "layer_norm_type": "rms",
    "auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"},
}
BLOCK = {
    "self_attn.q_proj": "q_proj",
    "self_attn.k_proj": "k_proj",
    "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ff_norm",
}


def llama_with(n_kv_heads):
    config = LlamaConfig(
        vocab_size=IDS,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=n_kv_heads,
        max_position_embeddings=64,
        rms_norm_eps=1e-3,
        rope_theta=500.0,
        tie_word_embeddings=False,
        attn_implementation="eager",
    )
    return shake(LlamaForCausalLM(config).eval())


def with_their_names(llama):
    top = {"model.embed_tokens": "wte", "model.norm": "ln_f", "lm_head": "ff_out"}
    names = {f"{ours}.weight": f"model.transformer.{theirs}.weight" for ours, theirs in top.items()}
    for layer in range(2):
        for ours, theirs in BLOCK.items():
            names[f"model.layers.{layer}.{ours}.weight"] = f"model.transformer.blocks.{layer}.{theirs}.weight"
    return {names[name]: weight for name, weight in llama.state_dict().items()}


def write(folder, n_kv_heads=4, **changes):
    llama = llama_with(n_kv_heads)
    write_tokenizer(folder, "<|bos|>")
    write_config(folder, **CONFIG | {"n_kv_heads": n_kv_heads} | changes)
    write_weights(folder, with_their_names(llama))
    return llama


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
def test_logits_equal_those_of_a_bidirectional_llama(n_kv_heads, tmp_path):
    llama = write(tmp_path, n_kv_heads)
    model = open_pretrained(tmp_path)
    ids, positions = random_ids(2, 30, IDS), torch.tensor([0, 7, 31, 59])
    with torch.no_grad():
        expected = llama(ids, attention_mask=torch.zeros(2, 1, 30, 30)).logits.flatten(0, 1)
        assert expected.abs().max() > 0.5
        assert (model(ids, positions, BIDIRECTIONAL) - expected[positions]).abs().max() < 1e-5
        assert (llama(ids).logits.flatten(0, 1) - expected).abs().max() > 0.1, "causal attention gives other logits"


def test_ids_and_sequence_length_come_from_its_files(tmp_path):
    write(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": {"content": "<|bos|>"}, "eos_token": "no"}')
    model = open_pretrained(tmp_path, context=20)
    vocabulary = model.vocabulary
    assert (vocabulary.eos, vocabulary.bos, vocabulary.mask, vocabulary.n_ids) == (EOS, EOS + 1, MASK, IDS)
    assert (model.seq_len, model.objective, vocabulary.vocab_size) == (20, MaskedDiffusion(), EOS + 2)
    assert open_pretrained(tmp_path).seq_len == 63
    [tokens] = model.tokenizer.encode_batch([b"<|bos|> \xff"])
    assert tokens.tolist() == list(b"<|bos|> \xff")


def test_weights_can_be_in_several_files(tmp_path):
    weights = with_their_names(write(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    files = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(sorted(weights))}
    for file in set(files.values()):
        write_weights(tmp_path, {name: weights[name] for name in files if files[name] == file}, file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    network = open_pretrained(tmp_path).network
    assert torch.equal(network.lm_head.weight, weights["model.transformer.ff_out.weight"])
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model-1.safetensors, which its index"):
        open_pretrained(tmp_path)
    index.write_text("{}")
    with pytest.raises(ModelError, match="is not an index of weights"):
        open_pretrained(tmp_path)


def test_the_tokenizer_can_be_of_sentencepiece(tmp_path):
    write(tmp_path, eos_token_id=2, bos_token_id=1)
    (tmp_path / "tokenizer.json").unlink()
    vocabulary = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the tests of these, the hosts"] * 20),
        model_writer=vocabulary,
        vocab_size=272,
        model_type="bpe",
        byte_fallback=True,
        minloglevel=2,
    )
    (tmp_path / "tokenizer.model").write_bytes(vocabulary.getvalue())
    model = open_pretrained(tmp_path)
    [tokens] = model.tokenizer.encode_batch(["the \u6c34".encode()])
    assert b"".join(model.tokenizer.token_bytes[token] for token in tokens) == "the \u6c34".encode()
    assert (model.vocabulary.eos, model.vocabulary.bos) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_type": "sequential"}, "'block_type': it should be 'llama'"),
        ({"weight_tying": True}, "'weight_tying': it should be False"),
        ({"mask_token_id": 272}, "give MASK the id 272, but its head has the ids 0 to 271"),
        ({"n_layers": 3}, r"weight 'model.transformer.blocks.2.attn_norm.weight' is missing \(9 in all\)"),
        (
            {"n_layers": 1},
            "unexpected weight 'model.transformer.blocks.1.attn_norm.weight': weights and config.json do not match",
        ),
        (
            {"mlp_hidden_size": 64},
            r"'model.transformer.blocks.0.ff_out.weight' has shape \(32, 48\), .* makes it \(32, 64\)",
        ),
        ({"eos_token_id": None}, "names no EOS: add 'eos_token_id'"),
    ],
)
def test_another_network_or_other_weights_are_refused(changes, message, tmp_path):
    write(tmp_path, **changes)
    with pytest.raises(ModelError, match=message):
        open_pretrained(tmp_path)
