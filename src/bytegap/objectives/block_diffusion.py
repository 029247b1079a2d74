"""Block diffusion: autoregression over blocks of tokens, masked diffusion within each (Arriola et al. 2025).

A sequence has two copies: one masked in part, one clean.
A masked position attends to its own block as masked, and to the clean blocks before it; a clean position to the clean
blocks up to its own.
The bound is the sum over blocks of each block's NELBO given those before it (arXiv 2503.09573, eq. 8), in the
exact-count form of `mdm`.
Blocks of one token are autoregression by a network that reads MASK where AR reads the previous token.
One block of all tokens is `mdm`, except that BOS is a clean block before the first and attends to none of them.

B sequences, S tokens a sequence, J blocks, P positions: BOS, S masked or not, the clean copies of all blocks but the
last.
"""

from dataclasses import replace
from functools import cache

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.train_sequences import check_divides
from bytegap.data.vocabulary import Vocabulary
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.objectives.base import Batch, KnownLength, Objective, Sequences, UnmaskingInputs
from bytegap.objectives.mdm import mask_tokens, nelbo_batch, num_masked_and_weight, unmasking_in_any_order
from bytegap.sampling.base import Sampler
from bytegap.sampling.block_diffusion import BlockDiffusion as BlockDiffusionSampler
from bytegap.sampling.masked_diffusion import MaskedDiffusion as MaskedDiffusionSampler


@dataclass(frozen=True)
class BlockDiffusion(Objective):
    """Block diffusion (BD3-LM)."""

    size: int = Field(default=4, ge=0)
    """Tokens in a block; it must divide the sequence. 0: one block, whatever the sequence length, which is `mdm`."""

    @property
    def can_unmask(self) -> bool:
        """Hidden tokens are predicted from all that are revealed."""
        return True

    @property
    def known_length(self) -> KnownLength:
        """Blocks before the last are full."""
        return "last block" if self.size else "all"

    def check(self, seq_len: int) -> None:
        """StudyError unless blocks divide the sequence."""
        check_divides("blocks", self.size or seq_len, seq_len)

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        if not self.size:
            return sequence_cost.masked(seq_len)
        return sequence_cost.block_diffusion(seq_len, self.size)

    def sampler(self) -> Sampler:
        """Blocks from left to right; with one block, unmasking in any order."""
        return BlockDiffusionSampler(self.size) if self.size else MaskedDiffusionSampler()

    def scoring_batch(self, sequences: Sequences) -> Batch:
        """As in training."""
        return self.training_batch(sequences)

    def training_batch(self, sequences: Sequences) -> Batch:
        """Mask k positions of each block, k drawn as `mdm` does, the times of the blocks spread around the sequence's.

        With a target mask, other tokens of a block are never masked, and blocks without a target contribute nothing.
        """
        if not self.size:
            return nelbo_batch(sequences)
        tokens_BS, t_B, targets_BS = sequences.tokens_BS, sequences.t_B, sequences.target_mask_BS
        if targets_BS is None:
            targets_BS = torch.ones_like(tokens_BS, dtype=torch.bool)
        S = tokens_BS.shape[1]
        block_S = torch.arange(S) // self.size
        J = int(block_S[-1]) + 1
        size_BJ = torch.zeros(len(tokens_BS), J, dtype=t_B.dtype).index_add(1, block_S, targets_BS.to(t_B.dtype))
        t_BJ = 1 - (t_B[:, None] + torch.arange(J) / J) % 1  # in (0, 1]; each block's on a lattice over the batch
        k_BJ, weight_BJ = num_masked_and_weight(t_BJ, size_BJ)
        # Sorted by block and then at random, a token's rank in its sequence less its block's start is its rank in the
        # block.
        draw_BS = torch.rand(tokens_BS.shape, generator=sequences.rng, dtype=torch.float64) + ~targets_BS
        rank_BS = (2 * block_S + draw_BS).argsort(1).argsort(1) - block_S * self.size
        masked_BS = rank_BS < k_BJ[:, block_S]
        plain = mask_tokens(tokens_BS, masked_BS, weight_BJ[:, block_S], sequences.vocabulary)
        clean = (J - 1) * self.size
        inputs_BP = torch.cat((plain.inputs_BP, tokens_BS[:, :clean]), 1)
        return Batch(
            inputs_BP=inputs_BP,
            positions_M=plain.row_M * inputs_BP.shape[1] + plain.positions_M % (S + 1),
            targets_M=plain.targets_M,
            weights_M=plain.weights_M,
            row_M=plain.row_M,
            token_index_M=plain.token_index_M,
            attention=_attention(S, self.size),
        )

    def unmasking_inputs(self, tokens_BS: Tensor, hidden_BS: Tensor, vocabulary: Vocabulary) -> UnmaskingInputs:
        """The layout of training; next is a hidden token of the first block that has one.

        Clean copies of that block and of later ones hold MASK, and the block attends to none of them.
        """
        plain = unmasking_in_any_order(tokens_BS, hidden_BS, vocabulary)
        if not self.size:
            return plain
        B, S = tokens_BS.shape
        block_S = torch.arange(S) // self.size
        current_B = torch.where(hidden_BS, block_S, S).amin(1)
        inputs_BP = torch.cat((plain.inputs_BP, tokens_BS[:, : int(block_S[-1]) * self.size]), 1)
        return replace(
            plain,
            inputs_BP=inputs_BP,
            positions_BS=torch.arange(B)[:, None] * inputs_BP.shape[1] + torch.arange(1, S + 1),
            candidates_BS=hidden_BS & (block_S == current_B[:, None]),
            attention=_attention(S, self.size),
        )


@cache
def _attention(S: int, size: int) -> AttentionSpec:
    """BOS is a clean block by itself, before the first."""
    masked_S = torch.arange(S) // size
    clean = masked_S[masked_S < masked_S[-1]]
    bos = torch.tensor([-1])
    block_P = torch.cat((bos, masked_S, clean))
    is_clean_P = torch.arange(len(block_P)).gt(S) | (block_P == -1)
    before_PP = block_P[:, None] > block_P
    same_PP = (block_P[:, None] == block_P) & (is_clean_P[:, None] == is_clean_P)
    position_ids_P = torch.cat((torch.arange(S + 1), torch.arange(len(clean)) + 1))
    return AttentionSpec(causal=False, mask=same_PP | (before_PP & is_clean_P), position_ids=position_ids_P)
