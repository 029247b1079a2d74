"""The Transformer against Hugging Face's Llama, and what causal and bidirectional mean."""

import itertools

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bytegap.cost import sizes
from bytegap.models.transformer import NORM_EPSILON, TransformerFamily
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL
from tests.helpers.parts import shake


def configs():
    return itertools.islice(TransformerFamily().sizes(n_ids=22, max_positions=33), 14)


def as_llama(weights):
    """Our weights under Llama's names, the fused projections split."""
    parts = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
    split = {}
    for name, weight in weights.items():
        prefix = "" if name.startswith("lm_head") else "model."
        fused = next((fused for fused in parts if fused in name), None)
        names = [name.replace(fused, part) for part in parts[fused]] if fused else [name]
        split |= {prefix + n: w for n, w in zip(names, weight.chunk(len(names)), strict=True)}
    return split


@pytest.mark.parametrize("size", [0, 1, 4, 7])
def test_with_causal_attention_it_is_llama(size):
    config = next(itertools.islice(configs(), size, None))
    ours = config.build()
    ours.initialize(1)
    shake(ours)
    llama_config = LlamaConfig(
        vocab_size=config.n_ids,
        hidden_size=config.d_model,
        intermediate_size=config.d_ff,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        max_position_embeddings=config.max_positions,
        rms_norm_eps=NORM_EPSILON,
        rope_theta=config.rope_base,
        tie_word_embeddings=False,
        attn_implementation="eager",
    )
    llama = LlamaForCausalLM(llama_config).eval()
    llama.load_state_dict(as_llama(ours.state_dict()), strict=True)
    ids = torch.randint(config.n_ids, (3, 33), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = llama(ids).logits
        got = ours(ids, None, CAUSAL).view_as(expected)
    assert expected.abs().max() > 0.1
    assert (got - expected).abs().max() < 1e-4


@pytest.mark.parametrize("attention", [CAUSAL, BIDIRECTIONAL])
def test_a_later_token_changes_earlier_logits_only_without_causality(attention):
    config = next(iter(configs()))
    model = shake(config.build())
    ids = torch.randint(config.n_ids, (1, 20), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 12] = (ids[0, 12] + 1) % config.n_ids
    with torch.no_grad():
        moved = (model(ids, None, attention) != model(changed, None, attention)).any(-1)
    assert bool(moved[:12].any()) is not attention.causal
    assert moved[12:].all()


def test_logits_at_selected_positions_are_those_of_all():
    model = shake(next(iter(configs())).build())
    ids = torch.randint(22, (2, 9), generator=torch.Generator().manual_seed(0))
    chosen = torch.tensor([0, 5, 17])
    with torch.no_grad():
        assert (model(ids, chosen, BIDIRECTIONAL) - model(ids, None, BIDIRECTIONAL)[chosen]).abs().max() < 1e-5


def test_initial_weights_have_the_stated_variance():
    config = list(configs())[9]
    model = config.build()
    model.initialize(0)
    weights = model.state_dict()
    residual = (2 * config.n_layers) ** -0.5
    fan_in = {"qkv_proj": config.d_model, "gate_up_proj": config.d_model, "lm_head": config.d_model}
    expected = {f"{name}.weight": width**-0.5 for name, width in fan_in.items()}
    expected |= {"o_proj.weight": residual * config.d_model**-0.5, "down_proj.weight": residual * config.d_ff**-0.5}
    for end, deviation in expected.items():
        found = [weight for name, weight in weights.items() if name.endswith(end)]
        assert found
        for weight in found:
            assert float(weight.std()) == pytest.approx(deviation, rel=0.05)
    embedding = weights["embed_tokens.weight"]
    shared = embedding.mean(0)
    assert float((embedding - shared).std()) == pytest.approx(1, rel=0.1)
    assert float(shared.std()) == pytest.approx(1, rel=0.2)


def test_initialization_depends_on_the_seed_alone():
    config = next(iter(configs()))
    states = []
    for seed in (0, 0, 1):
        model = config.build()
        torch.rand(7)  # whatever the global generator does
        model.initialize(seed)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["embed_tokens.weight"], states[2]["embed_tokens.weight"])


def test_sizes_ascend_and_heads_divide_d_model():
    n_params = [config.parameters().non_embedding for config in configs()]
    assert n_params == sorted(set(n_params))
    for config in configs():
        assert config.d_model % config.n_heads == 0
        assert (config.d_model // config.n_heads) % 2 == 0


@pytest.mark.parametrize(
    ("d_model", "n_layers", "n_heads"),
    [(8, 2, 1), (16, 2, 2), (24, 2, 3), (32, 2, 4), (64, 2, 4), (96, 2, 4), (128, 2, 4), (192, 3, 3), (512, 8, 4)],
)
def test_narrow_models_have_four_heads_or_heads_of_eight(d_model, n_layers, n_heads):
    assert sizes.n_heads(d_model, n_layers) == n_heads
