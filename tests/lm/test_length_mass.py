"""The mass of all token sequences of n bytes, against every sequence and every order of small models."""

import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import EvaluateError
from bytegap.lm.length_mass import length_mass
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL
from bytegap.objectives.base import objective
from tests.helpers.language_models import language_model
from tests.helpers.parts import build_model, shake
from tests.lm.test_unmasking_rules import Unigram

S, N_BYTES, VOCABULARY = 5, 4, Vocabulary(3)
PIECES = (b"a", b"bb", b"ccc")


@dataclass(frozen=True)
class Pieces:
    """Tokens of one, two and three bytes."""

    token_bytes: tuple[bytes, ...] = PIECES


def toy(name, network=None, seq_len=S, options=None):
    network = network or shake(build_model("transformer", vocab_size=3, seq_len=S, size=0))
    return replace(language_model(network, objective(name, options), VOCABULARY, seq_len), tokenizer=Pieces())


def sequences_of(n_bytes):
    """Every token sequence of so many bytes."""
    for m in range(1, n_bytes + 1):
        for tokens in itertools.product(range(3), repeat=m):
            if sum(len(PIECES[token]) for token in tokens) == n_bytes:
                yield tokens


@torch.no_grad()
def probability(model, inputs, position, attention, token):
    logits = model.network(torch.tensor([[VOCABULARY.bos, *inputs]]), torch.tensor([position]), attention)
    return float(logits[0].double().softmax(-1)[token])


def causal(model, tokens):
    return math.prod(probability(model, tokens[:i], i, CAUSAL, token) for i, token in enumerate(tokens))


def masked(model, tokens):
    """The mean over all orders."""
    total, orders = 0.0, list(itertools.permutations(range(len(tokens))))
    for order in orders:
        known, p = [VOCABULARY.mask] * len(tokens), 1.0
        for index in order:
            p *= probability(model, known, index + 1, BIDIRECTIONAL, tokens[index])
            known[index] = tokens[index]
        total += p
    return total / len(orders)


@torch.no_grad()
def unit_by_unit(model, tokens, known=None):
    """The mean over orders of patches of two tokens, or over interleavings of streams of two."""
    known = known or [VOCABULARY.mask] * len(tokens)
    hidden = torch.tensor([[token == VOCABULARY.mask for token in known]])
    if not hidden.any():
        return 1.0
    inputs = model.objective.unmasking_inputs(torch.tensor([known]), hidden, VOCABULARY)
    total, weights = 0.0, 0
    for index in inputs.candidates_BS[0].nonzero()[:, 0].tolist():
        left = int(hidden[0, index // 2 * 2 : index // 2 * 2 + 2].sum())
        weight = left if type(model.objective).__name__ == "Streams" else 1
        logits = model.network(inputs.inputs_BP, inputs.positions_BS[0, [index]], inputs.attention)
        p = float(logits[0].double().softmax(-1)[tokens[index]])
        total += weight * p * unit_by_unit(model, tokens, [*known[:index], tokens[index], *known[index + 1 :]])
        weights += weight
    return total / weights


@pytest.mark.parametrize(
    ("name", "options", "probability_of"),
    [
        ("ar", {}, causal),
        ("mdm", {}, masked),
        ("patch", {"size": 2}, unit_by_unit),
        ("streams", {"size": 2}, unit_by_unit),
    ],
)
def test_the_estimate_is_the_enumerated_sum(name, options, probability_of):
    model = toy(name, options=options)
    truth = sum(probability_of(model, tokens) for tokens in sequences_of(N_BYTES))
    found = length_mass(model, N_BYTES, samples=4000)
    assert found.token_counts == (2, 4)
    assert found.mass_se < 0.04 * truth
    assert found.mass == pytest.approx(truth, abs=4 * found.mass_se)
    recorded = found.numbers
    assert (recorded.bytes, recorded.samples, recorded.token_counts) == (N_BYTES, 4000, (2, 4))
    assert recorded.log_mass == pytest.approx(math.log(truth), abs=4 * recorded.log_mass_se)
    assert recorded.log_mass_se == pytest.approx(found.mass_se / truth, rel=0.1)


def test_the_standard_error_is_the_spread_of_estimates():
    for name in ("ar", "mdm"):
        found = [length_mass(replace(toy(name), seed=seed), N_BYTES, samples=60) for seed in range(60)]
        spread = torch.tensor([each.mass for each in found]).std()
        stated = torch.tensor([each.mass_se for each in found]).square().mean().sqrt()
        assert float(stated) == pytest.approx(float(spread), rel=0.3)


@pytest.mark.parametrize("name", ["ar", "mdm"])
def test_a_consistent_model_has_at_most_one(name):
    """Independent tokens are a renewal process: one distribution for every token count, and Z(n) = P(renewal at n)."""
    unigram = Unigram(VOCABULARY.n_ids)
    p = unigram.logits.detach().double().softmax(-1).tolist()
    z = [1.0]
    for n in range(1, N_BYTES + 1):
        z.append(sum(p[token] * z[n - len(piece)] for token, piece in enumerate(PIECES) if len(piece) <= n))
    found = length_mass(toy(name, unigram), N_BYTES, samples=4000)
    assert found.mass == pytest.approx(z[N_BYTES], abs=4 * found.mass_se)
    assert z[N_BYTES] < 1


@pytest.mark.parametrize("name", ["ar", "mdm"])
def test_where_no_sample_has_the_length_no_logarithm_is_recorded(name):
    found = length_mass(replace(toy(name), tokenizer=Pieces((b"aa", b"bb", b"cccc"))), 3)
    assert found.mass == 0
    assert (found.numbers.log_mass, found.numbers.log_mass_se) == (None, 0)


def test_a_length_that_no_sequence_holds_is_one_sentence():
    with pytest.raises(EvaluateError, match="at least 6 tokens, and a sequence holds 5: name fewer bytes"):
        length_mass(toy("mdm"), 18)
    with pytest.raises(EvaluateError, match="name another run"):
        length_mass(toy("block_diffusion"), N_BYTES)
