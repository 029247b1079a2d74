"""What samplers share: their interface, their settings, and drawing tokens from logits.

M selected positions, V ids, S tokens of the sequence that is generated.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import GenerateError
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.nn.finite import check_logits

LogitsAt = Callable[[Tensor], Tensor]
"""Logits (M, V) at token indices (M,) of the sequence as it is now."""

Remasking = Literal["random", "ancestral", "low_confidence"]


@dataclass(frozen=True)
class SamplingSettings:
    """How a text is generated."""

    temperature: float = 1.0
    """Logits are divided by it; 0: always the likeliest token."""
    steps: int | None = None
    """Denoising steps of a masked model, per sequence or per block; None: one a token."""
    remasking: Remasking = "random"
    """Which tokens a denoising step reveals; see `unmask`."""


class SamplerModel(Protocol):
    """What a sampler needs of a model."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Its ids."""
        ...

    @property
    def seq_len(self) -> int:
        """S, the longest sequence that it was trained on."""
        ...

    def __call__(self, inputs_BP: Tensor, positions_M: Tensor, attention: AttentionSpec) -> Tensor:
        """Logits (M, V) on the CPU at flat positions b * P + p."""
        ...


class Sampler(ABC):
    """A way to generate text."""

    left_to_right: ClassVar[bool]
    """Whether tokens come in the order of the text."""
    unmasks_in_steps: ClassVar[bool] = False
    """Whether `steps` and `remasking` of the settings have an effect; where they have none, `generate` refuses them."""

    @abstractmethod
    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Replace every MASK of `sequence_S` in place; yields after each step the token indices that it filled.

        GenerateError where the tokens that are given do not suit the sampler.
        """


class TokenByToken(Sampler):
    """Sampling of one token a step, each from a row of its own."""

    left_to_right: ClassVar[bool] = False

    @abstractmethod
    def rows(
        self, sequence_S: Tensor, vocabulary: Vocabulary, rng: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor, AttentionSpec]]:
        """(index i of the next token, inputs (1, P) whose position i + 1 predicts it, attention) of each step.

        `sequence_S` has the tokens of earlier steps.
        """

    def generate(
        self, model: SamplerModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator
    ) -> Iterator[Tensor]:
        """Fill the masked tokens, wherever they are; GenerateError where the sequence is too long."""
        check_fits(model, sequence_S)
        for index, inputs_BP, attention in self.rows(sequence_S, model.vocabulary, rng):
            logits_MV = model(inputs_BP, index[None] + 1, attention)
            sequence_S[index] = draw_tokens(logits_MV, settings, model.vocabulary, rng)[0]
            yield index[None]


def never_drawn(vocabulary: Vocabulary) -> list[int]:
    """Ids that are no token of a text: BOS, unless it is EOS, and MASK; an id of -1 means that there is no MASK."""
    return sorted({vocabulary.bos, vocabulary.mask} - {vocabulary.eos, -1})


def draw_tokens(logits_MV: Tensor, settings: SamplingSettings, vocabulary: Vocabulary, rng: torch.Generator) -> Tensor:
    """A token, or EOS, for each position, (M,).

    Ids that are no token of a text are never drawn.
    ModelError where a logit is NaN or plus infinity, or no token can be drawn.
    """
    logits_MV = logits_MV.double()
    logits_MV[:, never_drawn(vocabulary)] = -torch.inf
    check_logits(logits_MV, "the model")
    if not settings.temperature:
        return logits_MV.argmax(-1)
    # The argmax after Gumbel noise is a draw from the softmax (Gumbel 1954), in fewer operations than multinomial.
    noise_MV = torch.empty_like(logits_MV).exponential_(generator=rng).log_()
    return (logits_MV / settings.temperature - noise_MV).argmax(-1)


def prompt_length(sequence_S: Tensor, vocabulary: Vocabulary) -> int:
    """How many tokens the sequence begins with; GenerateError if tokens are given after a MASK."""
    masked_S = sequence_S == vocabulary.mask
    given = int((~masked_S).sum())
    if masked_S[:given].any():
        raise GenerateError(
            "the model generates from left to right and cannot fill a gap: use a masked or an any-order run for that"
        )
    return given


def check_fits(model: SamplerModel, sequence_S: Tensor) -> None:
    """GenerateError if the sequence is longer than those that the model was trained on."""
    if len(sequence_S) > model.seq_len:
        raise GenerateError(
            f"{len(sequence_S)} tokens: a sequence of {model.name} holds {model.seq_len}; ask for fewer"
        )


@dataclass(frozen=True)
class Unmasking:
    """Reveals masked tokens of a sequence over several steps: what masked sequences and masked blocks share."""

    settings: SamplingSettings
    vocabulary: Vocabulary
    rng: torch.Generator

    def unmask(self, logits_at: LogitsAt, sequence_S: Tensor, masked_M: Tensor) -> Iterator[Tensor]:
        """Fill the token indices `masked_M` in place, in as many steps as the settings say, at most one a token.

        random: in random order, equally many a step; one a step is exact (Zheng et al. 2024, arXiv 2409.02908: a
        network without time conditioning needs no times).
        ancestral: a token is revealed at step i of K with probability 1 / (K - i), independently (Sahoo et al. 2024,
        eq. 7, linear time).
        low_confidence: the drawn tokens that are least likely are masked again (Chang et al. 2022, sec. 3.2), equally
        many a step; this does not sample the model's distribution.
        """
        steps = min(self.settings.steps or len(masked_M), len(masked_M))
        for left in range(steps, 0, -1):
            share = -(-len(masked_M) // left)
            now = self._revealed(len(masked_M), left, share)
            indices = masked_M[now]
            if not len(indices):
                continue  # the sequence did not change: no forward is needed
            logits_MV = logits_at(indices)
            drawn = draw_tokens(logits_MV, self.settings, self.vocabulary, self.rng)
            if self.settings.remasking == "low_confidence":
                likeliest = logits_MV.log_softmax(-1).gather(1, drawn[:, None])[:, 0].topk(share).indices
                now = torch.zeros(len(masked_M), dtype=torch.bool).index_fill(0, likeliest, value=True)
                indices, drawn = masked_M[now], drawn[now]
            sequence_S[indices] = drawn
            masked_M = masked_M[~now]
            yield indices

    def _revealed(self, n_masked: int, left: int, share: int) -> Tensor:
        """Which masked tokens the next step draws, (n_masked,), bool."""
        if self.settings.remasking == "ancestral":
            return torch.rand(n_masked, generator=self.rng) < 1 / left
        if self.settings.remasking == "random":
            return torch.randperm(n_masked, generator=self.rng) < share
        return torch.ones(n_masked, dtype=torch.bool)
