"""The Transformer against Hugging Face's Llama, and what causal and bidirectional mean."""

import itertools
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bytegap.cost import sizes
from bytegap.errors import StudyError
from bytegap.models.transformer import NORM_EPSILON, TransformerFamily
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL, cached_spec
from bytegap.nn.kv_cache import KVCache
from tests.helpers.parts import MODELS, build_model, shake


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


def convolving(seed=0):
    model = build_model("transformer", {"convolution": 4}, vocab_size=19, seq_len=12, size=2, seed=seed)
    return shake(model, seed)


@pytest.mark.parametrize("attention", [CAUSAL, BIDIRECTIONAL])
@torch.no_grad()
def test_the_convolution_adds_visible_neighbours(attention):
    """Against a loop: four before under causal attention, else two on each side; MASK and shifted tokens left out."""
    model, mask = convolving(), 21
    ids = torch.randint(20, (3, 13), generator=torch.Generator().manual_seed(0))
    ids[:, [2, 5, 6]] = mask
    shifted = torch.zeros(3, 13, dtype=torch.bool)
    shifted[:, 9] = True
    x = torch.randn(3, 13, model.lm_head.in_features)
    found = model.convolution(x, (ids != mask) & ~shifted, attention)
    offsets = [-4, -3, -2, -1] if attention.causal else [-2, -1, 1, 2]
    for row, index in itertools.product(range(3), range(13)):
        expected = x[row, index].clone()
        for weight, offset in zip(model.convolution.weight.T, offsets, strict=True):
            near = index + offset
            if 0 <= near < 13 and near not in {2, 5, 6, 9}:
                expected += weight * x[row, near]
        assert (found[row, index] - expected).abs().max() < 1e-5


@torch.no_grad()
def test_a_causal_convolution_reads_on_from_a_cache():
    model = convolving().eval()
    ids = torch.randint(20, (2, 13), generator=torch.Generator().manual_seed(0))
    full = model(ids, None, CAUSAL).view(2, 13, -1)
    cache, parts = KVCache(13), []
    for part in ids.split([5, 1, 1, 3, 3], 1):
        P = part.shape[1]
        parts.append(model(part, None, cached_spec(cache, P, causal=True)).view(2, P, -1))
        cache.advance(P)
    assert (torch.cat(parts, 1) - full).abs().max() < 1e-5


@torch.no_grad()
def test_later_tokens_do_not_reach_a_causal_convolution():
    model = convolving()
    ids = torch.randint(20, (1, 13), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[0, 7] = (other[0, 7] + 1) % 20
    one, two = (model(each, None, CAUSAL).view(13, -1) for each in (ids, other))
    assert torch.equal(one[:7], two[:7])
    assert (one[7:] != two[7:]).any(1).all()


def test_plans_with_a_table_of_target_positions_are_refused_and_those_without_are_read():
    family = TransformerFamily()
    fields = next(configs()).model_dump()
    assert family.config(fields | {"target_positions": False}) == family.config(fields)
    with pytest.raises(StudyError, match="plan and train the study again"):
        family.config(fields | {"target_positions": True})


@pytest.mark.parametrize("model_name", MODELS)
@torch.no_grad()
def test_every_family_carries_out_positions_of_queries_and_flags_of_shifted_inputs(model_name):
    model = shake(build_model(model_name, size=2))
    ids = torch.randint(20, (2, 13), generator=torch.Generator().manual_seed(0))
    plain = model(ids, None, CAUSAL)
    for changed in (
        replace(CAUSAL, position_ids=torch.arange(13).flip(0)),
        replace(CAUSAL, query_position_ids=(torch.arange(13) + 1).clamp(max=12)),
        replace(CAUSAL, shifted=torch.ones(2, 13, dtype=torch.bool)),
    ):
        assert (model(ids, None, changed) - plain).abs().max() > 1e-3
