"""Z(n): the probability that a model gives to all token sequences of exactly n bytes together.

A string of n bytes is coded by a model that knows n: what its own probability leaves out is -ln Z(n), which would be
gained by renormalizing, and no model should be charged for where Z(n) <= 1.

An autoregressive model gives Z(n) = P(a token ends at n bytes), at most 1.
A model that is given its token count m has a distribution p_m over sequences for each m, and Z(n) = sum over m of
p_m(n bytes); for conditionals of one consistent distribution over texts of any length it is at most 1 as well.

Both are estimated by sampling exactly, one token a step, from the softmax over all V ids; a sequence that draws EOS,
BOS or MASK is no text of n bytes.
Each sample contributes the probability of the last token's completing n bytes, not whether it did (Rao-Blackwell).
Sequences of more tokens than the model was trained on count nothing.

R samples of a token count, m tokens of a sequence, V ids.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bytegap.errors import EvaluateError, counted
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.nn.attention_spec import CAUSAL
from bytegap.objectives.base import Objective, with_bos
from bytegap.sampling.base import never_drawn
from bytegap.schema.evaluate import LengthMassNumbers

DEFAULT_SAMPLES = 200
_PILOT_SAMPLES = 64
_LENGTH_STREAM = 104_729
_NEGLIGIBLE = 1e-3
"""Token counts are summed outwards from the likeliest until two in a row add less than this share."""


@dataclass(frozen=True)
class LengthMass:
    """An estimate of Z(n)."""

    n_bytes: int
    mass: float
    """Z(n)."""
    mass_se: float
    samples: int
    """Of each token count."""
    token_counts: tuple[int, int]
    """Least and largest number of tokens that was summed over; for an autoregressive model, that is possible."""

    @property
    def log_mass(self) -> float:
        """The logarithm of Z(n), nats; minus infinity where no sample has n bytes."""
        return math.log(self.mass) if self.mass else -math.inf

    @property
    def log_mass_se(self) -> float:
        """Its standard error, to first order."""
        return self.mass_se / self.mass if self.mass else 0.0

    @property
    def numbers(self) -> LengthMassNumbers:
        """What is recorded of it."""
        return LengthMassNumbers(
            bytes=self.n_bytes,
            log_mass=self.log_mass if self.mass else None,
            log_mass_se=self.log_mass_se,
            samples=self.samples,
            token_counts=self.token_counts,
        )


def has_length_mass(objective: Objective) -> bool:
    """Whether Z(n) of its models is estimated: if they are autoregressive, or masked with one block a sequence."""
    return objective.reads_left_to_right or (objective.can_unmask and objective.known_length == "all")


@torch.no_grad()
def length_mass(model: LanguageModel, n_bytes: int, samples: int = DEFAULT_SAMPLES) -> LengthMass:
    """Z(n) of a model; EvaluateError where its objective has no sampler here, or its sequences hold no n bytes."""
    if not has_length_mass(model.objective):
        raise EvaluateError(
            f"{model.name}: the mass of {counted(n_bytes, 'byte')} is estimated for autoregressive models and for "
            "masked ones whose sequence is one block: name another run"
        )
    lengths_V = token_lengths(model)
    widths_V = lengths_V[lengths_V > 0]
    least, most = -(-n_bytes // int(widths_V.max())), min(model.seq_len, n_bytes // int(widths_V.min()))
    if least > most:
        raise EvaluateError(
            f"{model.name}: a text of {counted(n_bytes, 'byte')} has at least {counted(least, 'token')}, and a "
            f"sequence holds {model.seq_len}: name fewer bytes"
        )
    if model.objective.reads_left_to_right:
        mass_R = _causal_mass(model, n_bytes, samples)
        error = float(mass_R.std()) / math.sqrt(samples)
        return LengthMass(n_bytes, float(mass_R.mean()), error, samples, (least, most))
    middle = _likeliest_count(model, n_bytes, (least, most))
    masses = _outwards(lambda m: _mass_of_count(model, m, n_bytes, samples), middle, (least, most))
    variance = sum(float(mass_R.var()) for mass_R in masses.values()) / samples
    total = sum(float(mass_R.mean()) for mass_R in masses.values())
    return LengthMass(n_bytes, total, math.sqrt(variance), samples, (min(masses), max(masses)))


def token_lengths(model: LanguageModel) -> Tensor:
    """Bytes of each id, (V,); 0 for ids that stand for no text."""
    lengths_V = torch.zeros(model.vocabulary.n_ids, dtype=torch.int64)
    widths = torch.tensor([len(piece) for piece in model.tokenizer.token_bytes])[: model.vocabulary.vocab_size]
    lengths_V[: len(widths)] = widths
    lengths_V[[model.vocabulary.eos, *never_drawn(model.vocabulary)]] = 0
    return lengths_V


def _likeliest_count(model: LanguageModel, n_bytes: int, bounds: tuple[int, int]) -> int:
    """The bytes over the mean bytes of a sampled token, within bounds."""
    least, most = bounds
    if least == most:
        return most
    rng = rng_for(model.seed, n_bytes, _LENGTH_STREAM)
    tokens_RS = torch.full((_PILOT_SAMPLES, most), model.vocabulary.mask)
    for _ in _unmask(model, tokens_RS, rng):
        pass
    mean_bytes = float(token_lengths(model)[tokens_RS].double().mean())
    return min(most, max(least, round(n_bytes / max(mean_bytes, 1e-9))))


def _outwards(mass_of: Callable[[int], Tensor], middle: int, bounds: tuple[int, int]) -> dict[int, Tensor]:
    """The mass of each token count, from the middle down and up, until two in a row are negligible."""
    least, most = bounds
    masses = {middle: mass_of(middle)}
    for counts in (range(middle - 1, least - 1, -1), range(middle + 1, most + 1)):
        negligible = 0
        for m in counts:
            masses[m] = mass_of(m)
            total = sum(float(mass_R.mean()) for mass_R in masses.values())
            negligible = negligible + 1 if float(masses[m].mean()) <= _NEGLIGIBLE * total else 0
            if negligible == 2 and total:
                break
    return masses


def _causal_mass(model: LanguageModel, n_bytes: int, samples: int) -> Tensor:
    """P(a token ends at n bytes) along each ancestral sample, (R,), float64."""
    lengths_V, rng = token_lengths(model), rng_for(model.seed, n_bytes, _LENGTH_STREAM)
    mass_R = torch.zeros(samples, dtype=torch.float64)
    row_R = torch.arange(samples)  # the samples that are not done
    tokens_RS = torch.zeros(samples, 0, dtype=torch.int64)
    left_R = torch.full((samples,), n_bytes)
    for step in range(model.seq_len):
        last_R = torch.arange(len(row_R)) * (step + 1) + step
        p_RV = model(with_bos(tokens_RS, model.vocabulary.bos), last_R, CAUSAL).double().softmax(-1)
        mass_R[row_R] += p_RV.masked_fill(lengths_V != left_R[:, None], 0).sum(-1)
        drawn_R = torch.multinomial(p_RV, 1, generator=rng)
        left_R = left_R - lengths_V[drawn_R[:, 0]]
        going_R = (lengths_V[drawn_R[:, 0]] > 0) & (left_R > 0)
        row_R, left_R, tokens_RS = row_R[going_R], left_R[going_R], torch.cat((tokens_RS, drawn_R), 1)[going_R]
        if not len(row_R):
            break
    return mass_R


def _mass_of_count(model: LanguageModel, m: int, n_bytes: int, samples: int) -> Tensor:
    """p_m(n bytes) by each of R samples, (R,), float64: the last token's probability of completing n bytes."""
    lengths_V, rng = token_lengths(model), rng_for(model.seed, m, n_bytes, _LENGTH_STREAM)
    tokens_RS = torch.full((samples, m), model.vocabulary.mask)
    *_, (p_RV, index_R) = _unmask(model, tokens_RS, rng)
    drawn_RS = lengths_V[tokens_RS]
    drawn_RS.scatter_(1, index_R[:, None], 0)
    left_R = n_bytes - drawn_RS.sum(1)
    is_text_R = (drawn_RS > 0).sum(1) == m - 1
    fits_RV = (lengths_V == left_R[:, None]) & (lengths_V > 0) & is_text_R[:, None]
    return p_RV.masked_fill(~fits_RV, 0).sum(-1)


def _unmask(model: LanguageModel, tokens_RS: Tensor, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw every token in place, one a step in random order; yields (probabilities (R, V), indices (R,)).

    A token drawn as MASK stays revealed.
    """
    R, m = tokens_RS.shape
    row_R, hidden_RS = torch.arange(R), torch.ones_like(tokens_RS, dtype=torch.bool)
    key_RS = model.objective.order_keys(R, m, rng)
    for _ in range(m):
        inputs = model.objective.unmasking_inputs(tokens_RS, hidden_RS, model.vocabulary)
        index_R = key_RS.masked_fill(~inputs.candidates_BS, torch.inf).argmin(1)
        positions_R = inputs.positions_BS[row_R, index_R]
        p_RV = model(inputs.inputs_BP, positions_R, inputs.attention).double().softmax(-1)
        tokens_RS[row_R, index_R] = torch.multinomial(p_RV, 1, generator=rng)[:, 0]
        hidden_RS[row_R, index_R] = False
        yield p_RV, index_R
