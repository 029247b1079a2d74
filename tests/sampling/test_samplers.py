"""Samplers against the distribution of the same network by enumeration: no cache, every order, every token."""

import itertools
from collections import Counter
from functools import cache

import pytest
import torch
from scipy import stats

from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import GenerateError, ModelError
from bytegap.lm.likelihood import rng_for
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL, cached_spec
from bytegap.nn.kv_cache import KVCache
from bytegap.objectives.any_order import in_order
from bytegap.objectives.base import objective
from bytegap.objectives.block_diffusion import _attention as block_attention
from bytegap.sampling.base import SamplingSettings, draw_tokens
from tests.helpers.language_models import language_model
from tests.helpers.parts import MODELS, OBJECTIVES, build_model, random_tokens, shake

S, DRAWS = 3, 800
INF, NAN = float("inf"), float("nan")


def model_of(objective_name, seq_len=S, vocab_size=1, options=None, family="transformer"):
    network = build_model(family, vocab_size=vocab_size, seq_len=seq_len)
    own = objective(objective_name, options or {})
    return language_model(shake(network.eval()), own, Vocabulary(vocab_size), seq_len)


def masked(model, *prompt, length=S):
    return torch.tensor([*prompt, *[model.vocabulary.mask] * (length - len(prompt))])


@torch.no_grad()
def generated(model, start_S, settings, seed=0):
    sequence_S = start_S.clone()
    for _ in model.objective.sampler().generate(model, sequence_S, settings, rng_for(seed)):
        pass
    return tuple(sequence_S.tolist())


def probabilities(model, logits):
    """Of the tokens and EOS; BOS and MASK are never drawn."""
    return logits[: model.vocabulary.vocab_size + 1].double().softmax(-1).tolist()


@torch.no_grad()
def causal_probabilities(model, known, index):
    inputs = torch.tensor([[model.vocabulary.bos, *known[:index]]])
    return probabilities(model, model.network(inputs, torch.tensor([index]), CAUSAL)[0])


@torch.no_grad()
def masked_probabilities(model, known, index):
    inputs = torch.tensor([[model.vocabulary.bos, *known]])
    return probabilities(model, model.network(inputs, torch.tensor([index + 1]), BIDIRECTIONAL)[0])


@torch.no_grad()
def block_probabilities(model, known, index):
    """As in training: the sequence twice, masked and clean."""
    attention = block_attention(len(known), model.objective.size)
    clean = len(attention.position_ids) - 1 - len(known)
    inputs = torch.tensor([[model.vocabulary.bos, *known, *known[:clean]]])
    return probabilities(model, model.network(inputs, torch.tensor([index + 1]), attention)[0])


def filled(known, tokens):
    return tuple(tokens.get(index, token) for index, token in enumerate(known))


def distribution(model, start_S, token_probabilities, groups):
    """P of every complete text: `groups(hidden, step)` are the sets of indices revealed next, with probabilities."""
    mask, outcomes = model.vocabulary.mask, range(model.vocabulary.vocab_size + 1)

    @cache
    def of(known, step):
        hidden = [index for index, token in enumerate(known) if token == mask]
        if not hidden:
            return {known: 1.0}
        total = Counter()
        for indices, chance in groups(hidden, step):
            each = [token_probabilities(model, known, index) for index in indices]
            for tokens in itertools.product(outcomes, repeat=len(indices)):
                p = chance
                for own, token in zip(each, tokens, strict=True):
                    p *= own[token]
                for text, q in of(filled(known, dict(zip(indices, tokens, strict=True))), step + 1).items():
                    total[text] += p * q
        return total

    return of(tuple(start_S.tolist()), 0)


def one_at_random(hidden, _):
    return [((index,), 1 / len(hidden)) for index in hidden]


def first(hidden, _):
    return [((hidden[0],), 1.0)]


def ancestral_in_two_steps(hidden, step):
    """Each with probability 1/2, then the rest."""
    if step:
        return [(tuple(hidden), 1.0)]
    sets = itertools.chain.from_iterable(itertools.combinations(hidden, n) for n in range(len(hidden) + 1))
    return [(indices, 0.5 ** len(hidden)) for indices in sets]


def assert_samples_follow(model, start_S, settings, expected):
    """Chi-square of `DRAWS` samples; outcomes expected fewer than 5 times are counted together."""
    found = Counter(generated(model, start_S, settings, seed) for seed in range(DRAWS))
    assert set(found) <= set(expected)
    assert sum(expected.values()) == pytest.approx(1)
    frequent = [text for text in sorted(expected, key=expected.get, reverse=True) if expected[text] * DRAWS >= 5]
    means, counts = [expected[text] * DRAWS for text in frequent], [found[text] for text in frequent]
    if DRAWS - sum(means) > 1:
        counts, means = [*counts, DRAWS - sum(counts)], [*means, DRAWS - sum(means)]
    assert stats.chisquare(counts, means, sum_check=False).pvalue > 1e-3


def test_masked_diffusion_follows_its_distribution():
    model = model_of("mdm")
    expected = distribution(model, masked(model), masked_probabilities, one_at_random)
    assert_samples_follow(model, masked(model), SamplingSettings(), expected)


def test_masked_diffusion_fills_gaps_by_the_same_distribution():
    model = model_of("mdm")
    start_S = masked(model)
    start_S[1] = 0
    expected = distribution(model, start_S, masked_probabilities, one_at_random)
    assert_samples_follow(model, start_S, SamplingSettings(), expected)


def test_ancestral_sampling_in_two_steps_follows_its_distribution():
    model = model_of("mdm")
    settings = SamplingSettings(remasking="ancestral", steps=2)
    expected = distribution(model, masked(model), masked_probabilities, ancestral_in_two_steps)
    assert_samples_follow(model, masked(model), settings, expected)


def test_temperature_flattens_the_distribution():
    model = model_of("mdm")

    def flattened(*arguments):
        p = torch.tensor(masked_probabilities(*arguments)).sqrt()
        return (p / p.sum()).tolist()

    expected = distribution(model, masked(model), flattened, one_at_random)
    assert_samples_follow(model, masked(model), SamplingSettings(temperature=2.0), expected)


def test_left_to_right_sampling_ends_at_eos():
    model = model_of("ar")
    expected = Counter()
    for text, p in distribution(model, masked(model), causal_probabilities, first).items():
        end = text.index(1) + 1 if 1 in text else S  # EOS is 1 here
        expected[(*text[:end], *[model.vocabulary.mask] * (S - end))] += p
    assert_samples_follow(model, masked(model), SamplingSettings(), expected)


def test_block_diffusion_with_a_cache_follows_the_distribution_of_training():
    model = model_of("block_diffusion", seq_len=4, options={"size": 2})
    start_S, mask = masked(model, 0, length=4), model.vocabulary.mask

    def within_block(hidden, _):
        own = [index for index in hidden if index // 2 == hidden[0] // 2]
        return [((index,), 1 / len(own)) for index in own]

    expected = Counter()
    for text, p in distribution(model, start_S, block_probabilities, within_block).items():
        expected[text if 1 not in text[:2] else (*text[:2], mask, mask)] += p
    assert_samples_follow(model, start_S, SamplingSettings(), expected)


def test_any_order_sampling_conditions_on_all_known_tokens():
    model = model_of("any_order")
    mask, expected = model.vocabulary.mask, Counter()
    start = (mask, 0, mask)
    for order in ((1, 0, 2), (1, 2, 0)):
        for a, b in itertools.product(range(2), repeat=2):
            text = torch.tensor([filled(start, dict(zip(order[1:], (a, b), strict=True)))])
            batch = in_order(text, torch.tensor([order]), model.vocabulary)
            with torch.no_grad():
                logits = model.network(batch.inputs_BP, batch.positions_M, batch.attention)
            p = probabilities(model, logits[1])[a] * probabilities(model, logits[2])[b]
            expected[tuple(text[0].tolist())] += p / 2
    assert_samples_follow(model, torch.tensor(start), SamplingSettings(), expected)


def test_low_confidence_remasking_keeps_the_likeliest_tokens():
    model = model_of("mdm", seq_len=6, vocab_size=5)
    start_S = masked(model, length=6)
    expected, mask = start_S.tolist(), model.vocabulary.mask
    while mask in expected:
        best = []
        for index, token in enumerate(expected):
            if token == mask:
                p = masked_probabilities(model, expected, index)
                best.append((max(p), index, p.index(max(p))))
        for _, index, token in sorted(best, reverse=True)[:2]:
            expected[index] = token
    settings = SamplingSettings(temperature=0, remasking="low_confidence", steps=3)
    assert generated(model, start_S, settings) == tuple(expected)


@pytest.mark.parametrize("remasking", ["random", "ancestral", "low_confidence"])
@pytest.mark.parametrize("steps", [1, 2, 5, 100])
def test_any_number_of_steps_fills_the_sequence(remasking, steps):
    model = model_of("mdm", seq_len=6, vocab_size=5)
    sequence_S, settings = masked(model, 2, length=6), SamplingSettings(remasking=remasking, steps=steps)
    with torch.no_grad():
        indices = list(model.objective.sampler().generate(model, sequence_S, settings, rng_for(0)))
    assert sorted(torch.cat(indices).tolist()) == [1, 2, 3, 4, 5]
    assert len(indices) <= min(steps, 5)
    assert sequence_S[0] == 2
    assert model.vocabulary.mask not in sequence_S


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("lengths", [(1, 1, 1, 1, 1, 1, 1), (3, 4), (1, 5, 1), (7,)])
def test_reading_in_parts_with_a_cache_equals_one_forward(family, lengths):
    """A model that ignored the cache would generate nonsense without an error."""
    model = model_of("ar", seq_len=6, vocab_size=5, family=family)
    tokens = random_tokens(2, 6, model.vocabulary)
    inputs = torch.nn.functional.pad(tokens, (1, 0), value=model.vocabulary.bos)
    cache, parts = KVCache(7), []
    with torch.no_grad():
        at_once = model.network(inputs, None, CAUSAL).view(2, 7, -1)
        for P in lengths:
            part = inputs[:, cache.length : cache.length + P]
            parts.append(model.network(part, None, cached_spec(cache, P, causal=True)).view(2, P, -1))
            cache.advance(P)
    torch.testing.assert_close(torch.cat(parts, 1), at_once)


def test_a_text_longer_than_a_sequence_continues_from_its_last_half():
    model = model_of("ar", seq_len=6, vocab_size=50)
    text = list(generated(model, masked(model, 7, length=20), SamplingSettings(temperature=0)))
    window = [7]
    for index in range(1, text.index(50) + 1 if 50 in text else 20):
        if len(window) == 6:
            window = text[index - 3 : index]
        p = causal_probabilities(model, window, len(window))
        assert text[index] == p.index(max(p))
        window.append(text[index])


@pytest.mark.parametrize("objective_name", OBJECTIVES)
def test_every_objective_has_a_sampler(objective_name):
    model = model_of(objective_name, seq_len=12, vocab_size=5)
    text = generated(model, masked(model, 1, 2, length=12), SamplingSettings(), 1)
    assert text[:2] == (1, 2)
    ended = model.vocabulary.eos in text
    assert ended or model.vocabulary.mask not in text


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_tokens_are_drawn_from_finite_logits_only(temperature):
    vocabulary = Vocabulary(4)

    def drawn(*logits):
        settings = SamplingSettings(temperature=temperature)
        return draw_tokens(torch.tensor([logits]), settings, vocabulary, rng_for(0)).tolist()

    assert drawn(-INF, 0.0, -INF, -INF, -INF, NAN, NAN) == [1], "BOS and MASK are not drawn, whatever their logits"
    for logits in [(NAN, *[0.0] * 6), (INF, *[0.0] * 6), (*[-INF] * 5, 0.0, 0.0)]:
        with pytest.raises(ModelError, match="not finite"):
            drawn(*logits)


def test_gaps_and_long_sequences_are_refused_where_the_sampler_cannot():
    model = model_of("ar")
    gap = torch.tensor([model.vocabulary.mask, 0, 0])
    with pytest.raises(GenerateError, match="cannot fill a gap"):
        generated(model, gap, SamplingSettings())
    model = model_of("mdm")
    with pytest.raises(GenerateError, match="holds 3; ask for fewer"):
        generated(model, masked(model, length=4), SamplingSettings())
