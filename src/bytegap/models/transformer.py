"""One decoder Transformer: RMSNorm, RoPE, SwiGLU, no biases, untied head; causal or bidirectional.

In causal form it is the Llama architecture, parameter for parameter: `LlamaForCausalLM` loads its weights under the
prefix `model.` and gives the same logits. B rows, P positions, D width, M chosen positions, V ids of the vocabulary.
"""

import math

import torch
from torch import Tensor, nn

from bytegap.models._blocks import Block, RMSNorm, rotary_table

NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0


class Transformer(nn.Module):
    """Token ids in, logits out, at every position or only at those asked for."""

    def __init__(  # noqa: PLR0913
        self, *, vocabulary: int, width: int, depth: int, heads: int, hidden: int, positions: int, causal: bool
    ) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(
            Block(width, heads, hidden, causal=causal, epsilon=NORM_EPSILON) for _ in range(depth)
        )
        self.norm = RMSNorm(width, NORM_EPSILON)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        cos_PK, sin_PK = rotary_table(positions, width // heads, ROTARY_BASE)
        self.register_buffer("cos_PK", cos_PK, persistent=False)
        self.register_buffer("sin_PK", sin_PK, persistent=False)

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None = None) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (B * P, V) at all of them."""
        P = ids_BP.shape[1]
        x_BPD = self.embed_tokens(ids_BP)
        for layer in self.layers:
            x_BPD = layer(x_BPD, self.cos_PK[:P], self.sin_PK[:P])
        x_ND = x_BPD.flatten(0, 1)
        if positions_M is not None:
            x_ND = x_ND.index_select(0, positions_M)
        return self.lm_head(self.norm(x_ND))

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Fill the weights from `seed` alone: fan-in normal, residual outputs shrunk by 1/sqrt(2 depth), head at zero.

        A zero head starts every arm at exactly ln(vocabulary) nats a symbol (assumption: as in muP, arXiv 2203.03466,
        appendix D.2).
        """
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if name.endswith("norm.weight") or "layernorm" in name:
                weight.fill_(1.0)
            elif name == "lm_head.weight":
                weight.zero_()
            elif name == "embed_tokens.weight":
                weight.normal_(0.0, 1.0, generator=generator)
            else:
                std = weight.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= math.sqrt(2 * len(self.layers))
                weight.normal_(0.0, std, generator=generator)
