"""Dream and LLaDA-MoE against Hugging Face's Qwen2 and Qwen3-MoE with a bidirectional attention mask."""

import json

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from bytegap.errors import ModelError
from bytegap.evaluate.score import score_text
from bytegap.lm.open_model import open_pretrained
from bytegap.nn.attention_spec import BIDIRECTIONAL
from bytegap.objectives.mdm import MaskedDiffusion
from tests.helpers.parts import shake
from tests.helpers.pretrained_folders import (
    EOS,
    change_config,
    random_ids,
    write_config,
    write_tokenizer,
    write_weights,
)

IDS, MASK = 272, 260
SIZES = {
    "vocab_size": IDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-3,
    "rope_theta": 500.0,
    "tie_word_embeddings": False,
}
DREAM = SIZES | {"model_type": "Dream", "intermediate_size": 48, "mask_token_id": MASK, "eos_token_id": EOS}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2}
LLADA_MOE = SIZES | EXPERTS | {
    "model_type": "llada_moe", "expert_intermediate_size": 16, "dense_intermediate_size": 48, "mask_token_id": MASK,
    "eos_token_id": EOS, "qk_layernorm": True, "norm_topk_prob": None, "moe_layer_freq": [1, 1],
}  # fmt: skip


def qwen2():
    return shake(Qwen2ForCausalLM(Qwen2Config(**SIZES, intermediate_size=48, attn_implementation="eager")).eval())


def qwen3_moe():
    config = Qwen3MoeConfig(
        **SIZES, **EXPERTS, head_dim=8, moe_intermediate_size=16, intermediate_size=48, norm_topk_prob=False,
        attn_implementation="eager",
    )  # fmt: skip
    return shake(Qwen3MoeForCausalLM(config).eval())


def by_expert(model):
    """The weights with those of each expert apart, as they are published."""
    weights = {}
    for name, weight in model.state_dict().items():
        if name.endswith("experts.gate_up_proj"):
            for number, own in enumerate(weight):
                gate, up = own.chunk(2)
                weights |= {name.replace("gate_up_proj", f"{number}.gate_proj.weight"): gate}
                weights |= {name.replace("gate_up_proj", f"{number}.up_proj.weight"): up}
        elif name.endswith("experts.down_proj"):
            for number, own in enumerate(weight):
                weights |= {name.replace("down_proj", f"{number}.down_proj.weight"): own}
        else:
            weights[name] = weight
    return weights


def write_dream(folder):
    theirs = qwen2()
    write_tokenizer(folder, "<|bos|>")
    write_config(folder, **DREAM)
    write_weights(folder, theirs.state_dict())
    return theirs


def write_llada_moe(folder):
    theirs = qwen3_moe()
    write_tokenizer(folder, "<|bos|>")
    write_config(folder, **LLADA_MOE)
    write_weights(folder, by_expert(theirs))
    return theirs


WRITE = {"dream": write_dream, "llada_moe": write_llada_moe}


@pytest.mark.parametrize("family", WRITE)
def test_logits_equal_those_of_their_network(family, tmp_path):
    theirs = WRITE[family](tmp_path)
    model = open_pretrained(tmp_path)
    ids, positions = random_ids(2, 30, IDS), torch.tensor([1, 7, 31, 59])
    with torch.no_grad():
        expected = theirs(ids, attention_mask=torch.zeros(2, 1, 30, 30)).logits
        causal = theirs(ids).logits
        if family == "dream":
            expected, causal = (torch.cat((each[:, :1], each[:, :-1]), 1) for each in (expected, causal))
        expected = expected.flatten(0, 1)
        assert expected.abs().max() > 0.5
        assert (model(ids, positions, BIDIRECTIONAL) - expected[positions]).abs().max() < 1e-5
        assert (model.network(ids, None, BIDIRECTIONAL) - expected).abs().max() < 1e-5
        assert (causal.flatten(0, 1) - expected).abs().max() > 0.1, "causal attention gives other logits"
    assert model.objective == MaskedDiffusion()
    assert (model.vocabulary.mask, model.vocabulary.n_ids, model.seq_len) == (MASK, IDS, 63)


@pytest.mark.parametrize("family", WRITE)
def test_a_text_is_scored(family, tmp_path):
    WRITE[family](tmp_path)
    score = score_text(open_pretrained(tmp_path, context=16), "the people and the states")
    assert 4 < score.bits_per_byte < 20
    assert score.se > 0


@pytest.mark.parametrize(
    ("family", "change", "says"),
    [
        ("dream", {"tie_word_embeddings": True}, "tie_word_embeddings"),
        ("dream", {"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
        ("dream", {"hidden_act": "gelu"}, "hidden_act"),
        ("llada_moe", {"norm_topk_prob": True}, "norm_topk_prob"),
        ("llada_moe", {"shared_expert_intermediate_size": 8}, "shared_expert"),
        ("llada_moe", {"moe_layer_freq": [0, 1]}, "moe_layer_freq"),
        ("llada_moe", {"moe_router_score_function": "sigmoid"}, "moe_router_score_function"),
        ("llada_moe", {"num_experts": 7}, "weights and config.json|missing"),
    ],
)
def test_another_network_is_refused(family, change, says, tmp_path):
    WRITE[family](tmp_path)
    change_config(tmp_path, **change)
    with pytest.raises(ModelError, match=says):
        open_pretrained(tmp_path)


def longer(folder, extra):
    """The tokenizer with tokens behind the head's rows, the first of which is the text `qqq`."""
    path = folder / "tokenizer.json"
    table = json.loads(path.read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    first = len(table["model"]["vocab"]) + len(table["added_tokens"])
    names = [*(f"<filler {i}>" for i in range(IDS - first)), *("q" * (3 + i) for i in range(extra))]
    table["added_tokens"] += [{"id": first + i, "content": name, **flags} for i, name in enumerate(names)]
    path.write_text(json.dumps(table))


def test_a_tokenizer_longer_than_the_head_is_scored_where_its_extra_tokens_do_not_occur(tmp_path):
    write_dream(tmp_path)
    expected = score_text(open_pretrained(tmp_path, context=16), "the people")
    longer(tmp_path, 4)
    model = open_pretrained(tmp_path, context=16)
    assert model.vocabulary.vocab_size == IDS
    assert score_text(model, "the people") == expected
    with pytest.raises(ModelError, match=f"has the token {IDS}, but the head ends at {IDS - 1}"):
        score_text(model, "the qqq people")


@pytest.mark.parametrize(
    ("weight_map", "says"),
    [
        ({"lm_head.weight": "../model.safetensors"}, "no .safetensors file of that folder"),
        ({"lm_head.weight": "/etc/passwd"}, "no .safetensors file of that folder"),
        ({"lm_head.weight": "model.bin"}, "no .safetensors file of that folder"),
        ({"lm_head.weight": "model-00001-of-00002.safetensors"}, "lacks model-00001-of-00002.safetensors"),
    ],
)
def test_a_torn_index_is_one_sentence(tmp_path, weight_map, says):
    write_dream(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ModelError, match=says):
        open_pretrained(tmp_path)
