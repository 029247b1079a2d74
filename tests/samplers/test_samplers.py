"""What is drawn, against the law of the same network enumerated: no cache, every order of revealing, every symbol."""

import itertools
from collections import Counter
from functools import cache

import pytest
import torch
from scipy import stats

from bytegap import plugins
from bytegap.errors import SampleError
from bytegap.likelihood import stream
from bytegap.objectives import anyorder, block
from bytegap.samplers._base import Settings
from bytegap.sight import ALL, CAUSAL, Memory
from bytegap.tokens.bytes import Bytes
from bytegap.trained import Trained
from tests.plugs import MODELS, OBJECTIVES, build, shake, symbols

S, DRAWS = 3, 800


def trained(objective, row=S, alphabet=1, table=None, model="transformer"):
    network, _, _, module, vocabulary = build(model, objective, symbols=alphabet, row=row)
    options = plugins.options("objectives", objective, table or {})
    return Trained(
        "toy", shake(network.eval()), module, options, vocabulary, Bytes(), row_symbols=row, passes=8, seed=0
    )


def way(subject):
    return plugins.load("samplers", subject.objective.DRAWN)


def canvas(subject, *given, length=S):
    return torch.tensor([*given, *[subject.vocabulary.mask] * (length - len(given))])


@torch.no_grad()
def drawn(subject, start, settings, seed=0):
    result = start.clone()
    for _ in way(subject).draw(subject, result, settings, stream(seed)):
        pass
    return tuple(result.tolist())


def shares(subject, logits):
    """Of the symbols and EOS; BOS and MASK are never drawn."""
    return logits[: subject.vocabulary.symbols + 1].double().softmax(-1).tolist()


@torch.no_grad()
def of_left(subject, known, place):
    inputs = torch.tensor([[subject.vocabulary.bos, *known[:place]]])
    return shares(subject, subject.network(inputs, torch.tensor([place]), CAUSAL)[0])


@torch.no_grad()
def of_masked(subject, known, place):
    inputs = torch.tensor([[subject.vocabulary.bos, *known]])
    return shares(subject, subject.network(inputs, torch.tensor([place + 1]), ALL)[0])


@torch.no_grad()
def of_block(subject, known, place):
    """As in training: the row twice, hidden and clean."""
    sight = block._sight(len(known), subject.options.size)
    clean = len(sight.places_P) - 1 - len(known)
    inputs = torch.tensor([[subject.vocabulary.bos, *known, *known[:clean]]])
    return shares(subject, subject.network(inputs, torch.tensor([place + 1]), sight)[0])


def filled(known, chosen):
    return tuple(chosen.get(place, symbol) for place, symbol in enumerate(known))


def law_of(subject, start, of, groups):
    """P of every full text: `groups(hidden)` are the sets of places revealed next, each with its probability."""
    mask, outcomes = subject.vocabulary.mask, range(subject.vocabulary.symbols + 1)

    @cache
    def law(known, step):
        hidden = [place for place, symbol in enumerate(known) if symbol == mask]
        if not hidden:
            return {known: 1.0}
        total = Counter()
        for places, chance in groups(hidden, step):
            each = [of(subject, known, place) for place in places]
            for given in itertools.product(outcomes, repeat=len(places)):
                p = chance
                for share, symbol in zip(each, given, strict=True):
                    p *= share[symbol]
                for text, q in law(filled(known, dict(zip(places, given, strict=True))), step + 1).items():
                    total[text] += p * q
        return total

    return law(tuple(start.tolist()), 0)


def one_at_random(hidden, _):
    return [((place,), 1 / len(hidden)) for place in hidden]


def first(hidden, _):
    return [((hidden[0],), 1.0)]


def halves(hidden, step):
    """Ancestral in two steps: each with probability 1/2, then the rest."""
    if step:
        return [(tuple(hidden), 1.0)]
    sets = itertools.chain.from_iterable(itertools.combinations(hidden, n) for n in range(len(hidden) + 1))
    return [(places, 0.5 ** len(hidden)) for places in sets]


def agrees(subject, start, settings, law):
    found = Counter(drawn(subject, start, settings, seed) for seed in range(DRAWS))
    assert set(found) <= set(law)
    assert sum(law.values()) == pytest.approx(1)
    texts = sorted(law, key=law.get, reverse=True)
    kept = [text for text in texts if law[text] * DRAWS >= 5]
    rest = DRAWS - sum(found[text] for text in kept)
    expected = [law[text] * DRAWS for text in kept]
    counts = [found[text] for text in kept]
    if DRAWS - sum(expected) > 1:
        counts, expected = [*counts, rest], [*expected, DRAWS - sum(expected)]
    assert stats.chisquare(counts, expected, sum_check=False).pvalue > 1e-3


def test_masked_rows_follow_their_law():
    subject = trained("mdm")
    agrees(subject, canvas(subject), Settings(), law_of(subject, canvas(subject), of_masked, one_at_random))


def test_gaps_are_filled_by_the_same_law():
    subject = trained("mdm")
    start = canvas(subject)
    start[1] = 0
    agrees(subject, start, Settings(), law_of(subject, start, of_masked, one_at_random))


def test_ancestral_in_two_steps():
    subject = trained("mdm")
    settings = Settings(how="ancestral", steps=2)
    agrees(subject, canvas(subject), settings, law_of(subject, canvas(subject), of_masked, halves))


def test_temperature_flattens():
    subject = trained("mdm")

    def of(*given):
        p = torch.tensor(of_masked(*given)).sqrt()
        return (p / p.sum()).tolist()

    law = law_of(subject, canvas(subject), of, one_at_random)
    agrees(subject, canvas(subject), Settings(temperature=2.0), law)


def test_left_to_right_ends_at_eos():
    subject = trained("ar")
    law = Counter()
    for text, p in law_of(subject, canvas(subject), of_left, first).items():
        end = text.index(1) + 1 if 1 in text else S  # EOS is 1 here
        law[(*text[:end], *[subject.vocabulary.mask] * (S - end))] += p
    agrees(subject, canvas(subject), Settings(), law)


def test_blocks_with_a_cache_are_blocks_as_trained():
    subject = trained("block", row=4, table={"size": 2})
    start = canvas(subject, 0, length=4)
    mask = subject.vocabulary.mask

    def groups(hidden, _):
        own = [place for place in hidden if place // 2 == hidden[0] // 2]
        return [((place,), 1 / len(own)) for place in own]

    law = Counter()
    for text, p in law_of(subject, start, of_block, groups).items():
        law[text if 1 not in text[:2] else (*text[:2], mask, mask)] += p
    agrees(subject, start, Settings(), law)


def test_any_order_draws_each_given_what_is_known():
    subject = trained("anyorder")
    mask, total = subject.vocabulary.mask, Counter()
    start = (mask, 0, mask)
    for order in ((1, 0, 2), (1, 2, 0)):
        for a, b in itertools.product(range(2), repeat=2):
            text = torch.tensor([filled(start, dict(zip(order[1:], (a, b), strict=True)))])
            question = anyorder.ordered(text, torch.tensor([order]), subject.vocabulary)
            with torch.no_grad():
                logits = subject.network(question.inputs_BP, question.positions_M, question.sight)
            p = shares(subject, logits[1])[a] * shares(subject, logits[2])[b]
            total[tuple(text[0].tolist())] += p / 2
    agrees(subject, torch.tensor(start), Settings(), total)


def test_confidence_reveals_the_likeliest_first():
    subject = trained("mdm", row=6, alphabet=5)
    start = canvas(subject, length=6)
    expected, mask = start.tolist(), subject.vocabulary.mask
    while mask in expected:
        best = []
        for place, symbol in enumerate(expected):
            if symbol == mask:
                p = of_masked(subject, expected, place)
                best.append((max(p), place, p.index(max(p))))
        for _, place, symbol in sorted(best, reverse=True)[:2]:
            expected[place] = symbol
    assert drawn(subject, start, Settings(temperature=0, how="confidence", steps=3)) == tuple(expected)


@pytest.mark.parametrize("how", ["first-hitting", "ancestral", "confidence"])
@pytest.mark.parametrize("steps", [1, 2, 5, 100])
def test_any_number_of_steps_fills_the_row(how, steps):
    subject = trained("mdm", row=6, alphabet=5)
    result = canvas(subject, 2, length=6)
    with torch.no_grad():
        told = list(way(subject).draw(subject, result, Settings(how=how, steps=steps), stream(0)))
    assert sorted(torch.cat(told).tolist()) == [1, 2, 3, 4, 5]
    assert len(told) <= min(steps, 5)
    assert result[0] == 2
    assert subject.vocabulary.mask not in result


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("reads", [(1, 1, 1, 1, 1, 1, 1), (3, 4), (1, 5, 1), (7,)])
def test_reading_on_is_reading_at_once(model, reads):
    """A model that forgot its sight's memory would draw nonsense and say nothing."""
    subject = trained("ar", row=6, alphabet=5, model=model)
    inputs = torch.nn.functional.pad(symbols(2, 6, subject.vocabulary), (1, 0), value=subject.vocabulary.bos)
    memory, parts = Memory(7), []
    with torch.no_grad():
        whole = subject.network(inputs, None, CAUSAL).view(2, 7, -1)
        for P in reads:
            part = inputs[:, memory.length : memory.length + P]
            parts.append(subject.network(part, None, memory.sight(P, causal=True)).view(2, P, -1))
            memory.keep(P)
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_a_long_text_goes_on_from_its_last_half_row():
    subject = trained("ar", row=6, alphabet=50)
    settings = Settings(temperature=0)
    text = list(drawn(subject, canvas(subject, 7, length=20), settings))
    window = [7]
    for place in range(1, text.index(50) + 1 if 50 in text else 20):
        if len(window) == 6:
            window = text[place - 3 : place]
        p = of_left(subject, window, len(window))
        assert text[place] == p.index(max(p))
        window.append(text[place])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_says_how_it_is_drawn(objective):
    subject = trained(objective, row=12, alphabet=5)
    start = canvas(subject, 1, 2, length=12)
    text = drawn(subject, start, Settings(), 1)
    assert text[:2] == (1, 2)
    ended = subject.vocabulary.eos in text
    assert ended or subject.vocabulary.mask not in text


def test_what_cannot_be_asked_is_said():
    subject = trained("ar")
    gap = torch.tensor([subject.vocabulary.mask, 0, 0])
    with pytest.raises(SampleError, match="cannot fill a gap"):
        drawn(subject, gap, Settings())
    masked = trained("mdm")
    with pytest.raises(SampleError, match="holds 3: ask for fewer"):
        drawn(masked, canvas(masked, length=4), Settings())
