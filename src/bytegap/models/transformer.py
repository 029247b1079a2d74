"""One decoder Transformer: RMSNorm, RoPE, SwiGLU, no biases, untied head; the objective sets the attention pattern.

With causal attention it is the Llama architecture, parameter for parameter: `LlamaForCausalLM` loads its weights, the
fused projections split, and gives the same logits.
B sequences, P positions, D d_model, N = B * P, M selected positions, V ids of the vocabulary.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from bytegap.cost import llama, sizes
from bytegap.cost.flops import Costs, Matmul
from bytegap.cost.params import Parameters
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import StudyError
from bytegap.models.base import ModelConfig, ModelFamily, Network
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.nn.layers import Block, NeighbourConvolution, RMSNorm, rope_table, rotary

NORM_EPSILON = 1e-5
_FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


class TransformerConfig(ModelConfig):
    """Sizes of one Transformer."""

    n_heads: int
    d_ff: int
    max_positions: int
    """Positions of a sequence, BOS included."""
    target_positions: Literal[False] = False
    """Whether there is an embedding of target positions, as `any_order` had; it is part of a run's identity."""
    convolution: int = Field(default=0, exclude_if=lambda neighbours: neighbours == 0)
    """Neighbours that a depthwise convolution adds to each input; 0: none."""
    rope_base: float
    """The slowest rotary pair turns once in about 2 pi times this many positions."""

    def build(self) -> "Transformer":
        """The network, its weights not yet initialized."""
        return Transformer(self)

    def parameters(self) -> Parameters:
        """Parameters by group; the convolution belongs to the body."""
        own = llama.parameters(self._llama())
        return replace(own, non_embedding=own.non_embedding + self.convolution * self.d_model)

    def costs(self) -> Costs:
        """The matmuls of one forward; the convolution is one of D rows by `convolution` columns, applied row by row."""
        own = llama.costs(self._llama())
        convolution = (Matmul("convolution", self.convolution, self.d_model),) if self.convolution else ()
        return replace(own, body=own.body + convolution)

    def _llama(self) -> llama.Llama:
        return llama.Llama(
            d_model=self.d_model,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            d_ff=self.d_ff,
            vocab_size=self.n_ids,
        )


@dataclass(frozen=True)
class TransformerFamily(ModelFamily):
    """Transformers of all sizes, about twice the parameters from one to the next.

    Assumptions: d_model is 2^k or 3 x 2^k, from 4 on; n_layers is d_model / 64 but at least 2, because one layer never
    gets below its unigram under masking (docs/log.md); heads and MLP as in `cost/sizes.py`; the rotary base is the
    number of positions, so that every pair turns noticeably within a sequence.
    """

    convolution: int = Field(default=0, ge=0, le=64, multiple_of=2)
    """Neighbours that a depthwise convolution adds to each input (`NeighbourConvolution`); 0: none."""

    @property
    def mixes_neighbours(self) -> bool:
        """Whether there is a convolution."""
        return self.convolution > 0

    def sizes(self, *, n_ids: int, max_positions: int) -> Iterator[TransformerConfig]:
        """Configs in ascending size, without end."""
        for power in count(2):
            for d_model in (2**power, 3 * 2 ** (power - 1)):
                n_layers = max(2, d_model // 64)
                yield TransformerConfig(
                    n_ids=n_ids,
                    d_model=d_model,
                    n_layers=n_layers,
                    n_heads=sizes.n_heads(d_model, n_layers),
                    d_ff=sizes.d_ff(d_model),
                    max_positions=max_positions,
                    convolution=self.convolution,
                    rope_base=max_positions,
                )

    def config(self, fields: Mapping[str, object]) -> TransformerConfig:
        """The config that a plan stored; StudyError where this version cannot run it."""
        if fields.get("target_positions"):
            raise StudyError(
                "this run is of a version in which 'any_order' had an embedding of target positions; queries are "
                "rotated by the target's position now: plan and train the study again"
            )
        return TransformerConfig.model_validate(dict(fields))


def as_llama(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, not copied, under the names of `LlamaForCausalLM`, fused projections split."""
    split: dict[str, Tensor] = {}
    for name, weight in weights.items():
        prefix = "" if name.startswith("lm_head") else "model."
        fused = next((fused for fused in _FUSED if fused in name), "")
        parts = [name.replace(fused, part) for part in _FUSED[fused]] if fused else [name]
        split |= {prefix + part: own for part, own in zip(parts, weight.chunk(len(parts)), strict=True)}
    return split


class Transformer(Network):
    """Token ids in, logits out, at every position or at selected ones."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        D = config.d_model
        self.embed_tokens = nn.Embedding(config.n_ids, D)
        self.convolution = NeighbourConvolution(D, config.convolution) if config.convolution else None
        self.layers = nn.ModuleList(
            Block(D, config.n_heads, config.d_ff, epsilon=NORM_EPSILON) for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(D, NORM_EPSILON)
        self.lm_head = nn.Linear(D, config.n_ids, bias=False)
        cos_PK, sin_PK = rope_table(config.max_positions, D // config.n_heads, config.rope_base)
        self.cos_PK: Tensor
        self.sin_PK: Tensor
        self.register_buffer("cos_PK", cos_PK, persistent=False)
        self.register_buffer("sin_PK", sin_PK, persistent=False)

    def features(self, ids_BP: Tensor, positions_M: Tensor | None, attention: AttentionSpec) -> Tensor:
        """The head's inputs, (M, D) or (N, D)."""
        cos, sin = (rotary(table, ids_BP.shape[1], attention) for table in (self.cos_PK, self.sin_PK))
        x_BPD = self.embed_tokens(ids_BP)
        mask = Vocabulary.from_n_ids(self.embed_tokens.num_embeddings).mask
        if attention.shifted is not None:
            x_BPD = x_BPD + attention.shifted[..., None] * self.embed_tokens.weight[mask]
        if self.convolution is not None:
            visible_BP = ids_BP != mask if attention.shifted is None else (ids_BP != mask) & ~attention.shifted
            x_BPD = self.convolution(x_BPD, visible_BP, attention)
        for layer in self.layers:
            x_BPD = layer(x_BPD, cos, sin, attention)
        x_ND = x_BPD.flatten(0, 1)
        if positions_M is not None:
            x_ND = x_ND.index_select(0, positions_M)
        return self.norm(x_ND)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Fill the weights from `seed` alone: fan-in normal, residual outputs divided by sqrt(2 n_layers).

        Embeddings are N(0, 1) around one vector that all ids share, so that queries and keys have a part that depends
        on position alone and attention to a neighbour, whatever its token, is easy to find.
        Without it, and with a head at zero, masked diffusion stays at its unigram for most of a small run
        (assumption; docs/decisions/0005).
        """
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(1.0)
            elif name == "embed_tokens.weight":
                weight.normal_(0.0, 1.0, generator=generator)
                weight.add_(torch.randn(weight.shape[1], generator=generator))
            else:
                std = weight.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= math.sqrt(2 * len(self.layers))
                weight.normal_(0.0, std, generator=generator)
