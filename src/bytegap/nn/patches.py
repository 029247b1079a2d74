"""Patches: stretches of a sequence whose tokens are predicted together, from left to right, given other patches.

B sequences, S tokens a sequence, P = S + 1 positions: BOS and the tokens.
"""

import torch
from torch import Tensor

from bytegap.nn.attention_spec import AttentionSpec


def draw_patches(B: int, S: int, size: int, rng: torch.Generator | None) -> Tensor:
    """The patch of each token, (B, S), from 0: patches of `size` tokens, those at the ends of a sequence maybe shorter.

    The first boundary is drawn uniformly for each sequence, so that a token may be anywhere in its patch; without
    `rng`, and where one patch holds the sequence, patches begin at its start.
    """
    if rng is None or size >= S:
        first_B1 = torch.zeros((B, 1), dtype=torch.int64)
    else:
        first_B1 = torch.randint(size, (B, 1), generator=rng)
    patch_BS = (torch.arange(S) - first_B1).div(size, rounding_mode="floor")
    return patch_BS - patch_BS[:, :1]


def draw_patches_of_lengths(B: int, S: int, most: int, rng: torch.Generator) -> Tensor:
    """The patch of each token, (B, S), from 0: patches of 1 to `most` tokens, each length alike; the last is cut."""
    ends_BJ = torch.randint(1, most + 1, (B, S), generator=rng).cumsum(1)
    return torch.searchsorted(ends_BJ, torch.arange(S).expand(B, S).contiguous(), right=True)


def random_order(patch_BS: Tensor, rng: torch.Generator) -> Tensor:
    """A key in [0, 1) for each token, (B, S), equal within a patch: a stable sort puts patches in random order."""
    key_BJ = torch.rand((len(patch_BS), int(patch_BS.max()) + 1), generator=rng)
    return key_BJ.gather(1, patch_BS)


def hidden_patches(
    tokens_BS: Tensor, hidden_BS: Tensor, patch_BS: Tensor, *, bos: int, mask: int
) -> tuple[Tensor, AttentionSpec]:
    """(inputs (B, P), attention) with which position i + 1 predicts token i of those that are hidden.

    The first hidden token of a patch is MASK.
    The position of a later one reads the hidden token before it, flagged as shifted, with its key at that token's place
    and its query at its own; only later positions of its patch may attend to it.
    All else, the first positions too, is open: each position attends to all open ones.
    """
    B, S = tokens_BS.shape
    before_BS = _hidden_before(hidden_BS)
    same_BS = before_BS.ge(0) & (patch_BS.gather(1, before_BS.clamp(min=0)) == patch_BS)
    later_BS = hidden_BS & same_BS
    read_BS = torch.where(later_BS, before_BS, torch.arange(S))
    inputs_BS = tokens_BS.gather(1, read_BS).masked_fill(hidden_BS & ~later_BS, mask)
    inputs_BP = torch.cat((torch.full((B, 1), bos), inputs_BS), 1)
    if (patch_BS.diff(dim=1) > 0).all():  # patches of one token: not by what is hidden, so that shapes stay the same
        return inputs_BP, AttentionSpec(causal=False)
    first_B1 = torch.zeros((B, 1), dtype=torch.bool)
    later_BP = torch.cat((first_B1, later_BS), 1)
    patch_BP = torch.cat((torch.full((B, 1), -1), patch_BS), 1)
    own_BPP = (patch_BP[:, :, None] == patch_BP[:, None]) & later_BP[:, :, None] & later_BP[:, None]
    return inputs_BP, AttentionSpec(
        causal=False,
        mask=~later_BP[:, None] | own_BPP.tril(),
        position_ids=torch.cat((torch.zeros((B, 1), dtype=torch.int64), read_BS + 1), 1),
        query_position_ids=torch.arange(S + 1),
        shifted=later_BP,
    )


def _hidden_before(hidden_BS: Tensor) -> Tensor:
    """Index of the last hidden token before each token, (B, S); -1 where there is none."""
    index_BS = torch.where(hidden_BS, torch.arange(hidden_BS.shape[1]), -1)
    none_B1 = torch.full((len(hidden_BS), 1), -1)
    return torch.cat((none_B1, index_BS.cummax(1).values[:, :-1]), 1)
