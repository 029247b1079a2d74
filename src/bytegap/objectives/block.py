"""Block diffusion: autoregression over blocks of symbols, masked diffusion within each (Arriola et al. 2025).

A row stands there twice: hidden in part, and clean beside it. A hidden position sees its own block as it is hidden, and
the clean blocks before it; a clean one the clean blocks up to its own. The bound is the sum over blocks of each block's
NELBO given those before it (arXiv 2503.09573, eq. 8), in the exact-count form of `mdm`. Blocks of one symbol are
autoregression by a network that sees MASK where AR sees the symbol before; one block of all symbols is `mdm`, but for
BOS, which is a clean block before the first and sees none of them.

B rows, S symbols a row, J blocks, P positions: BOS, S hidden, the clean ones of all blocks but the last.
"""

from functools import cache

import torch
from pydantic import Field
from torch import Tensor

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.objectives import mdm
from bytegap.objectives._base import Answer, Question, Vocabulary, answer
from bytegap.sight import Sight
from bytegap.windows import divides

EXACT = False
DRAWN = "blocks"


class Options(plugins.Options):
    """How long a block is."""

    size: int = Field(default=4, ge=0)
    """Symbols; a row must be a whole number of blocks. 0: the whole row, whatever its length, which is `mdm`."""


def check(symbols: int, options: Options) -> None:
    """StudyError unless a row is a whole number of blocks."""
    divides("blocks", options.size or symbols, symbols)


def row(symbols: int, options: Options) -> rows.Row:
    """What a training row asks of a model."""
    return rows.blocks(symbols, options.size) if options.size else rows.masked(symbols)


def ask(  # noqa: PLR0913, PLR0917 - as every objective's
    symbols_BS: Tensor,
    u_B: Tensor,
    generator: torch.Generator,
    vocabulary: Vocabulary,
    options: Options,
    only_BS: Tensor | None = None,
) -> Question:
    """In each block k of its positions hidden, k drawn as `mdm` does, the blocks' times spread around the row's.

    Of `only_BS` where it is given: a block's other positions are never hidden, and blocks without any have no share.
    """
    if not options.size:
        return mdm.score(symbols_BS, u_B, generator, vocabulary, options, only_BS)
    if only_BS is None:
        only_BS = torch.ones_like(symbols_BS, dtype=torch.bool)
    S = symbols_BS.shape[1]
    block_S = torch.arange(S) // options.size
    J = int(block_S[-1]) + 1
    size_BJ = torch.zeros(len(symbols_BS), J, dtype=u_B.dtype).index_add(1, block_S, only_BS.to(u_B.dtype))
    u_BJ = 1 - (u_B[:, None] + torch.arange(J) / J) % 1  # in (0, 1]; each block's on a lattice over the rows
    k_BJ, weight_BJ = mdm.counts(u_BJ, size_BJ)
    # Sorted by block and then at random, a position's rank in its row less its block's start is its rank in the block.
    draw_BS = torch.rand(symbols_BS.shape, generator=generator, dtype=torch.float64) + ~only_BS
    rank_BS = (2 * block_S + draw_BS).argsort(1).argsort(1) - block_S * options.size
    plain = mdm.masked(symbols_BS, rank_BS < k_BJ[:, block_S], weight_BJ[:, block_S], vocabulary)
    clean = (J - 1) * options.size
    inputs_BP = torch.cat((plain.inputs_BP, symbols_BS[:, :clean]), 1)
    return Question(
        inputs_BP=inputs_BP,
        positions_M=plain.rows_M * inputs_BP.shape[1] + plain.positions_M % (S + 1),
        targets_M=plain.targets_M,
        weights_M=plain.weights_M,
        rows_M=plain.rows_M,
        places_M=plain.places_M,
        sight=_sight(S, options.size),
    )


@cache
def _sight(S: int, size: int) -> Sight:
    """BOS is a clean block by itself, before the first."""
    hidden_S = torch.arange(S) // size
    clean = hidden_S[hidden_S < hidden_S[-1]]
    bos = torch.tensor([-1])
    block_P = torch.cat((bos, hidden_S, clean))
    is_clean_P = torch.arange(len(block_P)).gt(S) | (block_P == -1)
    before_PP = block_P[:, None] > block_P
    same_PP = (block_P[:, None] == block_P) & (is_clean_P[:, None] == is_clean_P)
    places_P = torch.cat((torch.arange(S + 1), torch.arange(len(clean)) + 1))
    return Sight(causal=False, mask_PP=same_PP | (before_PP & is_clean_P), places_P=places_P)


score = ask
loss = answer
__all__ = ["DRAWN", "EXACT", "Answer", "Options", "ask", "check", "loss", "row", "score"]
