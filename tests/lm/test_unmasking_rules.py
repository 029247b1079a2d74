"""Unmasking rules and the bound of K orders, against every text, every order and every mask of small models."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.data.windows import Windows
from bytegap.errors import EvaluateError
from bytegap.lm.likelihood import score_windows, window_nats
from bytegap.lm.unmasking_rules import (
    RULES,
    check_likelihood,
    jackknife_sums,
    likelihood_nats,
    log_mean_exp_bound,
    order_bound,
    order_nats,
    rule_nats,
    rule_token_nats,
    window_sums,
)
from bytegap.objectives.base import Objective, objective
from tests.helpers.language_models import TokensOnly, Unigram, language_model
from tests.helpers.parts import OBJECTIVES, build_model, random_tokens, shake

S, VOCABULARY = 4, Vocabulary(3)
OUTCOMES = VOCABULARY.vocab_size + 1  # tokens and EOS
MASKED = [
    ("mdm", {}),
    ("block_diffusion", {"size": 2}),
    ("block_diffusion", {"size": 0}),
    ("patch", {"size": 1}),
    ("patch", {"size": 2}),
    ("patch", {"size": 3}),
    ("streams", {"size": 2}),
    ("streams", {"size": 3}),
]

IN_ORDER = [("any_order", {}), ("patch", {"size": 2, "by": "order"}), ("patch", {"size": 3, "by": "order"})]


def toy(name="mdm", options=None, *, tokens_only=True, seq_len=S, seed=0):
    network = shake(build_model("transformer", vocab_size=3, seq_len=seq_len, size=2, seed=seed)).double()
    network = TokensOnly(network, OUTCOMES) if tokens_only else network
    return language_model(network, objective(name, options or {}), VOCABULARY, seq_len)


def windows_of(rows):
    rows = torch.as_tensor(rows)
    return Windows(rows.flatten().numpy(), np.full(len(rows), rows.shape[1]), rows.numel(), "")


def every_text(seq_len=S):
    return torch.tensor(list(itertools.product(range(OUTCOMES), repeat=seq_len)))


@torch.no_grad()
def predictions(model, known):
    """Probabilities (S, V) where `known` has a token or None at each index, one sequence at a time."""
    hidden = torch.tensor([[token is None for token in known]])
    tokens = torch.tensor([[VOCABULARY.mask if token is None else token for token in known]])
    inputs = model.objective.unmasking_inputs(tokens, hidden, VOCABULARY)
    logits = model.network(inputs.inputs_BP, inputs.positions_BS[0], inputs.attention)
    return logits.softmax(-1), inputs.candidates_BS[0].nonzero()[:, 0].tolist()


def chain(model, row, choose):
    """-ln p of a text where `choose` says which index of the candidates is next."""
    known, nats = [None] * len(row), 0.0
    while None in known:
        p, candidates = predictions(model, known)
        index = choose(p, candidates)
        nats -= math.log(float(p[index, row[index]]))
        known[index] = row[index]
    return nats


def likeliest(p, index):
    return sorted((float(x) for x in p[index, :OUTCOMES]), reverse=True)


@torch.no_grad()
@pytest.mark.parametrize(("name", "options"), IN_ORDER)
def test_left_of_a_model_that_predicts_in_order_is_the_chain_rule(name, options):
    """Of every text, from rows that hold nothing but what is before the token; they sum to 1."""
    model, texts = toy(name, options), every_text()
    found_T = rule_token_nats(model, windows_of(texts), "left").view(texts.shape)
    for row, found in zip(texts[:20].tolist(), found_T[:20].tolist(), strict=True):
        for index, nats in enumerate(found):
            hidden = torch.arange(S)[None] >= index
            target = torch.arange(S)[None] == index
            seen = torch.tensor([row]).masked_fill(hidden, VOCABULARY.mask)
            inputs = model.objective.target_inputs(seen, hidden, target, VOCABULARY)
            at = inputs.targets_BP.flatten().nonzero()[:, 0]
            p = model.network(inputs.inputs_BP, at, inputs.attention).softmax(-1)[0]
            assert nats == pytest.approx(-math.log(float(p[row[index]])), abs=1e-5)
    assert float((-found_T.sum(1)).exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("name", "options"), IN_ORDER)
def test_mean_over_random_orders_in_order_is_the_reported_bound(name, options):
    model, text = toy(name, options), windows_of(random_tokens(2, S, VOCABULARY).repeat(200, 1))
    sums_K = window_sums(order_nats(model, text, 20).mean(0), text)
    reported = replace(model, mc_passes=20)
    nats_PW, _ = window_nats(reported, text, torch.zeros(400, dtype=torch.int64))
    for first in (0, 1):
        own, other = sums_K[first::2], nats_PW.mean(0)[first::2]
        error = math.hypot(float(own.std()), float(other.std())) / math.sqrt(200)
        assert abs(float(own.mean() - other.mean())) < 4 * error
        assert error < 0.04


CHOICES = {
    "left": lambda _, candidates: candidates[0],
    "confidence": lambda p, candidates: max(candidates, key=lambda i: likeliest(p, i)[0]),
    "margin": lambda p, candidates: max(candidates, key=lambda i: likeliest(p, i)[0] - likeliest(p, i)[1]),
}


@pytest.mark.parametrize(("name", "options"), MASKED)
@pytest.mark.parametrize("rule", RULES)
def test_a_rules_probabilities_sum_to_one_over_all_texts(name, options, rule):
    nats_W = rule_nats(toy(name, options), windows_of(every_text()), rule)
    assert float((-nats_W).exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_what_bos_and_mask_get_is_lost(rule):
    total = float((-rule_nats(toy(tokens_only=False), windows_of(every_text()), rule)).exp().sum())
    assert 0 < total < 0.95


@pytest.mark.parametrize(("name", "options"), MASKED)
@pytest.mark.parametrize("rule", RULES)
def test_a_rules_nats_are_the_chain_rule_in_its_order(name, options, rule):
    model, rows = toy(name, options, tokens_only=False), random_tokens(5, S, VOCABULARY)
    found = rule_nats(model, windows_of(rows), rule)
    expected = [chain(model, row, CHOICES[rule]) for row in rows.tolist()]
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_the_rules_differ():
    nats = [rule_nats(toy(), windows_of(every_text()), rule) for rule in RULES]
    assert all(float((one - other).abs().max()) > 1e-3 for one, other in itertools.combinations(nats, 2))


def test_left_of_blocks_of_one_token_is_their_nelbo():
    model, text = toy("block_diffusion", {"size": 1}), windows_of(every_text())
    assert float(rule_nats(model, text, "left").sum()) == pytest.approx(score_windows(model, text).nats, rel=1e-6)


@pytest.mark.parametrize("likelihood", [*RULES, "orders:3"])
def test_without_context_every_likelihood_is_that_of_ar(likelihood):
    unigram = Unigram(VOCABULARY.n_ids)
    rows = random_tokens(20, S, VOCABULARY)
    exact = score_windows(language_model(unigram, objective("ar"), VOCABULARY, S), windows_of(rows)).nats
    in_order = IN_ORDER if likelihood in {"left", "orders:3"} else []
    for name, options in MASKED + in_order:
        model = language_model(unigram, objective(name, options), VOCABULARY, S)
        nats_T, sums_P = likelihood_nats(model, windows_of(rows), likelihood)
        assert float(nats_T.sum()) == pytest.approx(exact, abs=1e-5)
        assert sums_P.tolist() == pytest.approx([exact] * len(sums_P), abs=1e-5)


def enumerated_orders(model, row):
    """-ln p of a text in each order, by the order."""
    orders = itertools.permutations(range(len(row)))
    return {order: chain(model, row, lambda _, c, order=order: next(i for i in order if i in c)) for order in orders}


def test_the_bound_of_k_orders_lies_between_the_nelbo_and_the_log_likelihood():
    model = toy(seq_len=3)
    for row in ([0, 2, 1], [1, 1, 0]):
        nats = torch.tensor(list(enumerated_orders(model, row).values()), dtype=torch.float64)
        masks = 0.0  # the NELBO by masks: sum over k of the mean cross-entropy of a masked token
        for k in range(1, 4):
            for hidden in itertools.combinations(range(3), k):
                p, _ = predictions(model, [None if i in hidden else token for i, token in enumerate(row)])
                masks -= sum(math.log(float(p[i, row[i]])) for i in hidden) / k / math.comb(3, k)
        bounds = [float(nats.mean())]
        for K in (2, 3, 4):  # the exact expectation, over all K-tuples of the 6 orders
            tuples = torch.tensor(list(itertools.product(range(6), repeat=K))).T
            bounds.append(float(log_mean_exp_bound(nats[tuples]).mean()))
        log_likelihood = float(log_mean_exp_bound(nats[:, None]))
        assert bounds[0] == pytest.approx(masks, abs=1e-5)
        assert bounds == sorted(bounds, reverse=True)
        assert log_likelihood < bounds[-1] < bounds[0] - 1e-4


def test_random_orders_of_streams_have_the_law_of_their_bound():
    """Of two streams of two and one tokens, the longer one is first in two of three orders."""
    keys_BS = objective("streams", {"size": 2}).order_keys(30_000, 3, torch.Generator().manual_seed(0))
    orders = keys_BS.argsort(1)
    assert (keys_BS[:, 0] < keys_BS[:, 1]).all()
    for first, second in ((0, 1), (0, 2), (2, 0)):
        share = ((orders[:, 0] == first) & (orders[:, 1] == second)).float().mean()
        assert float(share) == pytest.approx(1 / 3, abs=0.015)


def test_random_orders_are_orders_and_all_are_drawn():
    model, row = toy(seq_len=3), [0, 2, 1]
    values = sorted(enumerated_orders(model, row).values())
    text = windows_of([row] * 40)
    nats_KT = order_nats(model, text, 3)
    found = torch.stack([window_sums(nats_T, text) for nats_T in nats_KT]).flatten()
    nearest = [min(range(6), key=lambda i, own=own: abs(values[i] - own)) for own in found.tolist()]
    assert max(abs(values[i] - own) for i, own in zip(nearest, found.tolist(), strict=True)) < 1e-5
    assert min(np.bincount(nearest, minlength=6)) >= 8  # of 120 draws, 20 each expected


def test_tokens_divide_the_bound_of_their_window():
    model, text = toy(), windows_of(random_tokens(6, S, VOCABULARY))
    nats_KT = order_nats(model, text, 5)
    nats_T, sums_K = order_bound(nats_KT, text)
    bound_W = log_mean_exp_bound(torch.stack([window_sums(each, text) for each in nats_KT]))
    assert window_sums(nats_T, text).tolist() == pytest.approx(bound_W.tolist(), abs=1e-9)
    assert float(sums_K.mean()) == pytest.approx(float(bound_W.sum()), abs=1e-9)
    assert (nats_T > 0).all()


def test_the_jackknifes_error_is_the_spread_of_the_bound():
    rng, K, W = torch.Generator().manual_seed(0), 8, 50
    found, stated = [], []
    for _ in range(400):
        sums_K = jackknife_sums(100 + torch.randn(K, W, generator=rng, dtype=torch.float64))
        found.append(float(sums_K.mean()))
        stated.append(float(sums_K.std()) / math.sqrt(K))
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(np.std(found, ddof=1), rel=0.15)


def test_windows_of_several_lengths_keep_their_nats():
    model, rows = toy(), random_tokens(3, S, VOCABULARY).tolist()
    mixed = [rows[0], rows[1][:2], rows[2], rows[0][:1]]
    text = Windows(np.concatenate(mixed), np.array([4, 2, 4, 1]), 11, "")
    expected = [float(rule_nats(model, windows_of([row]), "confidence")) for row in mixed]
    assert rule_nats(model, text, "confidence").tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_that_can_unmask_say_how(name):
    part = objective(name)
    assert part.can_unmask == (type(part).unmasking_inputs is not Objective.unmasking_inputs)
    assert not (part.is_exact and part.can_unmask)
    assert part.predicts_in_order == (type(part).ordered_batch is not Objective.ordered_batch) or name == "patch"
    by_order = objective("patch", {"by": "order"})
    assert not by_order.can_unmask
    assert by_order.predicts_in_order
    assert not objective("patch", {"by": "mask"}).predicts_in_order


def test_what_is_known_of_the_token_count_is_a_property_of_the_objective():
    known = {name: objective(name).known_length for name in OBJECTIVES}
    assert known["ar"] == "none"
    assert known["mdm"] == known["any_order"] == known["mlm"] == "all"
    assert known["block_diffusion"] == "last block"
    assert objective("block_diffusion", {"size": 0}).known_length == "all"


@pytest.mark.parametrize(
    ("name", "likelihood", "message"),
    [
        ("mdm", "leftmost", "no likelihood is called 'leftmost'"),
        ("mdm", "orders:1", "a K of at least 2"),
        ("mdm", "orders:", "no likelihood"),
        ("ar", "left", "is exact"),
        ("any_order", "confidence", "no rule chooses by its predictions"),
        ("any_order", "margin", "--likelihood nelbo, left or orders:K"),
    ],
)
def test_a_likelihood_that_a_model_has_not_is_one_sentence(name, likelihood, message):
    model = toy(name)
    check_likelihood("nelbo", model)
    with pytest.raises(EvaluateError, match=message):
        likelihood_nats(model, windows_of([[0, 1]]), likelihood)


def test_a_block_is_finished_before_the_next_one():
    hidden = torch.tensor([[False, True, True, True], [False, False, True, True]])
    tokens = torch.zeros(2, S, dtype=torch.int64).masked_fill(hidden, VOCABULARY.mask)
    inputs = objective("block_diffusion", {"size": 2}).unmasking_inputs(tokens, hidden, VOCABULARY)
    assert inputs.candidates_BS.tolist() == [[False, True, False, False], [False, False, True, True]]
