"""Masked diffusion over streams: stretches of a sequence that each grow from left to right, interleaved at random.

The sequence is cut into J stretches of `size` tokens; the order in which tokens are revealed is a uniformly random
interleaving of the stretches, drawn without looking at the text, so that the bound is valid.
With R tokens hidden, r_j of them in stretch j, the next token of stretch j is revealed next with probability r_j / R:

    NELBO = sum over R = 1 ... S of the mean, over states with R hidden, of sum over j of (r_j / R) c_j

with c_j the cross-entropy of that token.

Streams of one token are `mdm`; one stream of all tokens is AR by a network that reads MASK for all that is ahead.
"""

from dataclasses import replace

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from bytegap.cost import sequence_cost
from bytegap.cost.sequence_cost import SequenceCost
from bytegap.data.train_sequences import check_not_longer
from bytegap.data.vocabulary import Vocabulary
from bytegap.objectives.base import Batch, Sequences, UnmaskingInputs
from bytegap.objectives.mdm import BothSides, mask_tokens, num_masked_and_weight, unmasking_in_any_order
from bytegap.sampling.streams import Streams as StreamsSampler


@dataclass(frozen=True)
class Streams(BothSides):
    """Masked diffusion in which the next token of each stream is predicted."""

    size: int = Field(default=4, ge=1)
    """Tokens in a stream."""

    @property
    def hides_any_set(self) -> bool:
        """Only with streams of one token: in a longer one, all tokens after a hidden one are hidden too."""
        return self.size == 1

    def check(self, seq_len: int) -> None:
        """StudyError where a stream is longer than a sequence."""
        check_not_longer("streams", self.size, seq_len)

    def sequence_cost(self, seq_len: int) -> SequenceCost:
        """What a training sequence costs."""
        return sequence_cost.streams(seq_len, self.size)

    def sampler(self) -> StreamsSampler:
        """A random interleaving of streams."""
        return StreamsSampler(self.size)

    def scoring_batch(self, sequences: Sequences) -> Batch:
        """As in training; with a target mask, streams are of the targets alone, and other tokens are visible."""
        return self.training_batch(sequences)

    def training_batch(self, sequences: Sequences) -> Batch:
        """R tokens hidden, R drawn as `mdm` draws k; the next token of each stream is a target."""
        tokens_BS, t_B, targets_BS = sequences.tokens_BS, sequences.t_B, sequences.target_mask_BS
        if targets_BS is None:
            targets_BS = torch.ones_like(tokens_BS, dtype=torch.bool)
        hidden_B, weight_B = num_masked_and_weight(t_B, targets_BS.sum(1).to(t_B.dtype))
        # The last R labels of a random permutation of all tokens' streams: how many each stream has left.
        draw_BS = torch.rand(tokens_BS.shape, generator=sequences.rng) + 2 * ~targets_BS
        late_BS = draw_BS.argsort(1).argsort(1) < hidden_B[:, None]
        left_BS, after_BS = self._in_stream(late_BS), self._from_here(targets_BS)
        batch = mask_tokens(
            tokens_BS, targets_BS & (after_BS <= left_BS), weight_B[:, None] * left_BS, sequences.vocabulary
        )
        return batch.select((after_BS == left_BS)[batch.row_M, batch.token_index_M])

    def unmasking_inputs(self, tokens_BS: Tensor, hidden_BS: Tensor, vocabulary: Vocabulary) -> UnmaskingInputs:
        """Next is the first hidden token of any stream."""
        next_BS = hidden_BS & (self._from_here(hidden_BS) == self._in_stream(hidden_BS))
        return replace(unmasking_in_any_order(tokens_BS, hidden_BS, vocabulary), candidates_BS=next_BS)

    def order_keys(self, B: int, S: int, rng: torch.Generator) -> Tensor:
        """Ascending within a stream: a stream with more tokens left is more likely to be next."""
        stream_S = torch.arange(S) // self.size
        return (super().order_keys(B, S, rng) + stream_S).sort(1).values - stream_S

    def _from_here(self, marked_BS: Tensor) -> Tensor:
        """How many marked tokens each token's stream has from that token on, (B, S)."""
        S = marked_BS.shape[1]
        last_S = (torch.arange(S) // self.size * self.size + self.size - 1).clamp(max=S - 1)
        count_BS = marked_BS.long().cumsum(1)
        return count_BS[:, last_S] - count_BS + marked_BS

    def _in_stream(self, marked_BS: Tensor) -> Tensor:
        """How many marked tokens each token's stream has, (B, S)."""
        return self._from_here(marked_BS)[:, torch.arange(marked_BS.shape[1]) // self.size * self.size]
