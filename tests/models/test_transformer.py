"""The Transformer against Hugging Face's Llama, and what causal and bidirectional mean."""

import itertools

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bytegap.models import _ladder
from bytegap.models.transformer import NORM_EPSILON, build, ladder, parameters
from bytegap.sight import ALL, CAUSAL
from tests.plugs import shake


def shapes():
    return itertools.islice(ladder(vocabulary=22, positions=33), 14)


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


@pytest.mark.parametrize("rung", [0, 1, 4, 7])
def test_with_causal_sight_it_is_llama(rung):
    shape = next(itertools.islice(shapes(), rung, None))
    ours = build(shape)
    ours.initialise(1)
    shake(ours)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.positions,
        rms_norm_eps=NORM_EPSILON,
        rope_theta=shape.rotary_base,
        tie_word_embeddings=False,
        attn_implementation="eager",
    )
    llama = LlamaForCausalLM(config).eval()
    llama.load_state_dict(as_llama(ours.state_dict()), strict=True)
    ids = torch.randint(shape.vocabulary, (3, 33), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = llama(ids).logits
        got = ours(ids, None, CAUSAL).view_as(expected)
    assert expected.abs().max() > 0.1
    assert (got - expected).abs().max() < 1e-4


@pytest.mark.parametrize("sight", [CAUSAL, ALL])
def test_a_later_symbol_reaches_earlier_logits_only_without_causality(sight):
    shape = next(iter(shapes()))
    model = shake(build(shape))
    ids = torch.randint(shape.vocabulary, (1, 20), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 12] = (ids[0, 12] + 1) % shape.vocabulary
    with torch.no_grad():
        moved = (model(ids, None, sight) != model(changed, None, sight)).any(-1)
    assert bool(moved[:12].any()) is not sight.causal
    assert moved[12:].all()


def test_logits_at_chosen_positions_are_those_of_all():
    model = shake(build(next(iter(shapes()))))
    ids = torch.randint(22, (2, 9), generator=torch.Generator().manual_seed(0))
    chosen = torch.tensor([0, 5, 17])
    with torch.no_grad():
        assert (model(ids, chosen, ALL) - model(ids, None, ALL)[chosen]).abs().max() < 1e-5


def test_fresh_weights_have_the_variance_that_is_claimed():
    shape = list(shapes())[9]
    model = build(shape)
    model.initialise(0)
    weights = model.state_dict()
    residual = (2 * shape.depth) ** -0.5
    fan_in = {"qkv_proj": shape.width, "gate_up_proj": shape.width, "lm_head": shape.width}
    expected = {f"{name}.weight": width**-0.5 for name, width in fan_in.items()}
    expected |= {"o_proj.weight": residual * shape.width**-0.5, "down_proj.weight": residual * shape.hidden**-0.5}
    for end, deviation in expected.items():
        found = [weight for name, weight in weights.items() if name.endswith(end)]
        assert found
        for weight in found:
            assert float(weight.std()) == pytest.approx(deviation, rel=0.05)
    embedding = weights["embed_tokens.weight"]
    shared = embedding.mean(0)
    assert float((embedding - shared).std()) == pytest.approx(1, rel=0.1)
    assert float(shared.std()) == pytest.approx(1, rel=0.2)


def test_initialisation_depends_on_the_seed_alone():
    shape = next(iter(shapes()))
    states = []
    for seed in (0, 0, 1):
        model = build(shape)
        torch.rand(7)  # whatever the global generator does
        model.initialise(seed)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["embed_tokens.weight"], states[2]["embed_tokens.weight"])


def test_the_ladder_ascends_with_heads_that_divide():
    sizes = [parameters(shape).non_embedding for shape in shapes()]
    assert sizes == sorted(set(sizes))
    for shape in shapes():
        assert shape.width % shape.heads == 0
        assert (shape.width // shape.heads) % 2 == 0


@pytest.mark.parametrize(
    ("width", "depth", "heads"),
    [(8, 2, 1), (16, 2, 2), (24, 2, 3), (32, 2, 4), (64, 2, 4), (96, 2, 4), (128, 2, 4), (192, 3, 3), (512, 8, 4)],
)
def test_narrow_models_have_four_heads_or_heads_of_eight(width, depth, heads):
    assert _ladder.heads(width, depth) == heads
