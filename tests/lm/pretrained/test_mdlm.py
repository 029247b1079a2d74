"""MDLM's network against an independent implementation: float64, complex rotation, no layers of torch."""

import math

import pytest
import torch
from torch import Tensor

from bytegap.errors import ModelError
from bytegap.lm.open_model import open_pretrained
from bytegap.nn.attention_spec import BIDIRECTIONAL
from bytegap.objectives.base import Sequences
from tests.helpers.pretrained_folders import (
    EOS,
    random_ids,
    random_weights,
    write_config,
    write_tokenizer,
    write_weights,
)

D, COND, HEADS, BLOCKS, IDS = 24, 12, 2, 2, 258
CONFIG = {
    "model_type": "mdlm",
    "hidden_dim": D,
    "cond_dim": COND,
    "n_blocks": BLOCKS,
    "n_heads": HEADS,
    "vocab_size": IDS,
    "model_length": 40,
    "dropout": 0.1,
    "time_conditioning": False,
    "auto_map": {"AutoModelForMaskedLM": "modeling_mdlm.MDLM"},
}


def shapes():
    linear = {
        "sigma_map.mlp.0": (COND, 256),
        "sigma_map.mlp.2": (COND, COND),
        "output_layer.linear": (IDS, D),
        "output_layer.adaLN_modulation": (2 * D, COND),
    }
    plain = {"vocab_embed.embedding": (IDS, D), "output_layer.norm_final.weight": (D,), "rotary_emb.inv_freq": (6,)}
    for block in range(BLOCKS):
        own = f"blocks.{block}"
        linear |= {
            f"{own}.mlp.0": (4 * D, D),
            f"{own}.mlp.2": (D, 4 * D),
            f"{own}.adaLN_modulation": (6 * D, COND),
        }
        plain |= {f"{own}.attn_qkv.weight": (3 * D, D), f"{own}.attn_out.weight": (D, D)}
        plain |= {f"{own}.norm1.weight": (D,), f"{own}.norm2.weight": (D,)}
    for name, shape in linear.items():
        plain |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {f"backbone.{name}": shape for name, shape in plain.items()}


def reference(weights, ids_P):
    """Logits (P, V) of one sequence at noise level 0, in float64."""
    w = {name.removeprefix("backbone."): weight.double() for name, weight in weights.items()}

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", torch.zeros(1))

    def norm(name: str, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return (
            w[f"{name}.weight"] * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * (1 + scale)
            + shift
        )

    def swish(x: Tensor) -> Tensor:
        return x / (1 + (-x).exp())

    level = 0.0
    rates = torch.tensor([10_000.0 ** (-i / 128) for i in range(128)], dtype=torch.float64) * level
    level_features = torch.cat((rates.cos(), rates.sin()))
    c = swish(linear("sigma_map.mlp.2", swish(linear("sigma_map.mlp.0", level_features))))
    K, P = D // HEADS, len(ids_P)
    turn = torch.tensor([[p * 10_000.0 ** (-2 * k / K) for k in range(K // 2)] for p in range(P)], dtype=torch.float64)
    turn = torch.polar(torch.ones_like(turn), turn)

    def rotated(x_PK: Tensor) -> Tensor:
        z = torch.complex(x_PK[:, : K // 2], x_PK[:, K // 2 :]) * turn
        return torch.cat((z.real, z.imag), 1)

    x = w["vocab_embed.embedding"][ids_P]
    for block in range(BLOCKS):
        own = f"blocks.{block}"
        part = linear(f"{own}.adaLN_modulation", c).reshape(6, D)
        qkv = linear(f"{own}.attn_qkv", norm(f"{own}.norm1", x, part[0], part[1])).reshape(P, 3, HEADS, K)
        heads = []
        for head in range(HEADS):
            q, k, v = (qkv[:, i, head] for i in range(3))
            heads.append((rotated(q) @ rotated(k).T / math.sqrt(K)).softmax(1) @ v)
        x = x + part[2] * linear(f"{own}.attn_out", torch.cat(heads, 1))
        h = linear(f"{own}.mlp.0", norm(f"{own}.norm2", x, part[3], part[4]))
        h = h / 2 * (1 + (math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)).tanh())
        x = x + part[5] * linear(f"{own}.mlp.2", h)
    shift, scale = linear("output_layer.adaLN_modulation", c).reshape(2, D)
    return linear("output_layer.linear", norm("output_layer.norm_final", x, shift, scale))


def write(folder, **changes):
    weights = random_weights(shapes())
    write_tokenizer(folder)
    write_config(folder, **CONFIG | changes)
    write_weights(folder, weights)
    return weights


def test_logits_equal_those_of_the_equations(tmp_path):
    weights = write(tmp_path)
    model = open_pretrained(tmp_path)
    ids = random_ids(2, 33, IDS)
    with torch.no_grad():
        logits = model.network.double()(ids, None, BIDIRECTIONAL).unflatten(0, ids.shape)
    expected = torch.stack([reference(weights, sequence) for sequence in ids])
    assert expected.abs().max() > 1
    assert (logits - expected)[..., : IDS - 1].abs().max() < 1e-5
    positions = torch.tensor([0, 40, 65])
    with torch.no_grad():
        selected = model(ids, positions, BIDIRECTIONAL)
    assert (selected - logits.flatten(0, 1)[positions])[:, : IDS - 1].abs().max() < 1e-5


def test_mask_is_never_predicted(tmp_path):
    """SUBS: the bound's cross-entropy is over all ids but MASK."""
    write(tmp_path)
    model = open_pretrained(tmp_path)
    assert (model.vocabulary.mask, model.vocabulary.eos, model.vocabulary.bos) == (IDS - 1, EOS, EOS)
    assert (model.seq_len, model.mc_passes) == (39, 8)
    t_B, rng = torch.tensor([0.3, 0.6, 1.0]), torch.Generator().manual_seed(0)
    batch = model.objective.scoring_batch(Sequences(random_ids(3, 20, EOS), t_B, rng, model.vocabulary))
    with torch.no_grad():
        logits = model(batch.inputs_BP, batch.positions_M, batch.attention)
    assert bool((logits[:, IDS - 1] == -torch.inf).all())
    assert model.objective.loss(logits, batch).weighted_nats_B.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_conditioning": True}, "'time_conditioning': it should be False"),
        ({"cond_dim": None}, "'cond_dim': it should be a whole number"),
        ({"n_blocks": 3}, "weight 'backbone.blocks.2.adaLN_modulation.bias' is missing"),
    ],
)
def test_another_network_is_refused(changes, message, tmp_path):
    write(tmp_path, **changes)
    with pytest.raises(ModelError, match=message):
        open_pretrained(tmp_path)
