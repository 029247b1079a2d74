"""One decoder Transformer: RMSNorm, RoPE, SwiGLU, no biases, untied head; what it may see is the objective's to say.

With causal sight it is the Llama architecture, parameter for parameter: `LlamaForCausalLM` loads its weights, the fused
projections split, and gives the same logits. B rows, P positions, D width, M chosen positions, V ids of the vocabulary.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from bytegap.accounting import llama
from bytegap.accounting.flops import Costs
from bytegap.accounting.params import Parameters
from bytegap.models import _ladder
from bytegap.models._blocks import Block, RMSNorm, rotary_table
from bytegap.sight import Sight

NORM_EPSILON = 1e-5
_FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


class Shape(BaseModel):
    """Everything that fixes the architecture of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: int
    """Ids: the V symbols, EOS, BOS, MASK."""
    width: int
    depth: int
    heads: int
    hidden: int
    positions: int
    """Places of a row, BOS and symbols."""
    aims: bool = False
    """Whether each position is told, by a table, the place that it is asked about."""
    rotary_base: float
    """The slowest rotation turns once in about 2 pi times this many positions."""


def ladder(*, vocabulary: int, positions: int, aims: bool = False) -> Iterator[Shape]:
    """Shapes in ascending size, without end: about twice the parameters a rung.

    Assumptions: widths 2^k and 3 x 2^k from 8 on; depth width/64 but at least 2, since one layer never leaves its
    unigram under masking (docs/log.md); heads and MLP as in `_ladder.py`; the rotary base is the number of positions,
    so that every pair turns noticeably within a row.
    """
    for power in count(3):
        for width in (2**power, 3 * 2 ** (power - 1)):
            depth = max(2, width // 64)
            yield Shape(
                vocabulary=vocabulary,
                width=width,
                depth=depth,
                heads=_ladder.heads(width, depth),
                hidden=_ladder.hidden(width),
                positions=positions,
                aims=aims,
                rotary_base=positions,
            )


def parameters(shape: Shape) -> Parameters:
    """Counted by group; the norms' gains are with the body."""
    own = llama.parameters(_counted(shape))
    return replace(own, embedding=own.embedding + shape.aims * shape.positions * shape.width)


def costs(shape: Shape) -> Costs:
    """The matmuls of one forward."""
    return llama.costs(_counted(shape))


def _counted(shape: Shape) -> llama.Llama:
    return llama.Llama(
        width=shape.width, depth=shape.depth, heads=shape.heads, hidden=shape.hidden, vocabulary=shape.vocabulary
    )


def as_llama(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, not copied, as `LlamaForCausalLM` names them, fused projections split; a table of aims beside."""
    split: dict[str, Tensor] = {}
    for name, weight in weights.items():
        prefix = "" if name.startswith("lm_head") else "model."
        fused = next((fused for fused in _FUSED if fused in name), "")
        parts = [name.replace(fused, part) for part in _FUSED[fused]] if fused else [name]
        split |= {prefix + part: own for part, own in zip(parts, weight.chunk(len(parts)), strict=True)}
    return split


def build(shape: Shape) -> "Transformer":
    """The model, its weights not yet initialised."""
    return Transformer(shape)


class Transformer(nn.Module):
    """Token ids in, logits out, at every position or only at those asked for."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(
            Block(shape.width, shape.heads, shape.hidden, epsilon=NORM_EPSILON) for _ in range(shape.depth)
        )
        self.embed_aims = nn.Embedding(shape.positions, shape.width) if shape.aims else None
        self.norm = RMSNorm(shape.width, NORM_EPSILON)
        self.lm_head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        cos_PK, sin_PK = rotary_table(shape.positions, shape.width // shape.heads, shape.rotary_base)
        self.cos_PK: Tensor
        self.sin_PK: Tensor
        self.register_buffer("cos_PK", cos_PK, persistent=False)
        self.register_buffer("sin_PK", sin_PK, persistent=False)

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None, sight: Sight) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (B * P, V) at all of them."""
        return self.lm_head(self.features(ids_BP, positions_M, sight))

    def features(self, ids_BP: Tensor, positions_M: Tensor | None, sight: Sight) -> Tensor:
        """What the head reads, (M, D)."""
        places_P = sight.places_P
        where = slice(ids_BP.shape[1]) if places_P is None else places_P
        cos_PK, sin_PK = self.cos_PK[where], self.sin_PK[where]
        if places_P is not None and places_P.ndim > 1:  # each row its own
            cos_PK, sin_PK = cos_PK[:, None], sin_PK[:, None]
        x_BPD = self.embed_tokens(ids_BP)
        if self.embed_aims is not None and sight.aims_BP is not None:
            x_BPD = x_BPD + self.embed_aims(sight.aims_BP)
        for layer in self.layers:
            x_BPD = layer(x_BPD, cos_PK, sin_PK, sight)
        x_ND = x_BPD.flatten(0, 1)
        if positions_M is not None:
            x_ND = x_ND.index_select(0, positions_M)
        return self.norm(x_ND)

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Fill the weights from `seed` alone: fan-in normal, residual outputs shrunk by 1/sqrt(2 depth).

        Embeddings are N(0, 1) about one vector that all ids share, so that queries and keys have a part that depends on
        position alone: attention to a neighbour, whatever it is, is there to be found. Without it, and with a head at
        zero, masked diffusion stays at its unigram for most of a small run (assumption; docs/decisions/0005).
        """
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(1.0)
            elif name == "embed_aims.weight":
                weight.normal_(0.0, 1.0, generator=generator)
            elif name == "embed_tokens.weight":
                weight.normal_(0.0, 1.0, generator=generator)
                weight.add_(torch.randn(weight.shape[1], generator=generator))
            else:
                std = weight.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= math.sqrt(2 * len(self.layers))
                weight.normal_(0.0, std, generator=generator)
