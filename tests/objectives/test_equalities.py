"""Objectives that must agree: block diffusion at its ends, any order left to right, spans and words of one symbol."""

import math
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
import torch

from bytegap.likelihood import lattice
from bytegap.objectives import anyorder, ar, block, mdm, mlm, span, words
from bytegap.objectives._base import Vocabulary, with_bos
from bytegap.sight import ALL, CAUSAL, Sight
from tests.plugs import asked, build, shake, symbols

S = 6
VOCABULARY = Vocabulary(5)
ROW = torch.tensor([[0, 3, 5, 1, 1, 4]])


def model_of(objective_name):
    model, *_ = build("transformer", objective_name, symbols=5, row=S, rung=0)
    return shake(model).double()


def nats(model, objective, question):
    return objective.loss(asked(model, question), question).weighted_nats_B


@torch.no_grad()
def test_blocks_of_one_are_the_chain_rule_by_as_many_forwards():
    model, generator = model_of("block"), torch.Generator().manual_seed(0)
    question = block.score(ROW, torch.rand(1), generator, VOCABULARY, block.Options(size=1))
    truth = 0.0
    for i in range(S):  # the clean symbols before, which see no mask, then MASK, which sees itself and them
        inputs = torch.cat((with_bos(ROW[:, :i], VOCABULARY.bos), torch.tensor([[VOCABULARY.mask]])), 1)
        logits = model(inputs, torch.tensor([i + 1]), CAUSAL)
        truth -= float(logits.log_softmax(-1)[0, ROW[0, i]])
    assert float(nats(model, block, question)[0]) == pytest.approx(truth, abs=1e-5)
    assert len(question.positions_M) == S
    assert (question.weights_M == 1).all()


@torch.no_grad()
def test_one_block_of_all_is_mdm():
    model = model_of("block")
    rows = symbols(7, S, VOCABULARY)
    generator = torch.Generator().manual_seed(0)
    for size in (0, S):
        question = block.ask(rows, lattice(7, generator), generator, VOCABULARY, block.Options(size=size))
        assert question.inputs_BP.shape == (7, S + 1)
        blind = torch.ones(S + 1, S + 1, dtype=torch.bool)
        blind[0, 1:] = size == 0  # BOS
        plain = model(question.inputs_BP, question.positions_M, Sight(causal=False, mask_PP=blind))
        assert (asked(model, question) - plain).abs().max() < 1e-5
        row = block.row(S, block.Options(size=size))
        assert (row.positions, row.repeated) == (S + 1, 0)
        assert row.supervised == mdm.row(S, mdm.Options()).supervised


@torch.no_grad()
def test_a_block_bound_is_the_enumerated_sum_of_its_blocks():
    model, size, rows = model_of("block"), 3, 4000
    truth = 0.0
    for start in range(0, S, size):
        for k in range(1, size + 1):
            means = []
            for mask in combinations(range(start, start + size), k):
                inputs = ROW[:, : start + size].clone()
                inputs[0, list(mask)] = VOCABULARY.mask
                P = start + size + 1  # BOS and the clean blocks see no further than themselves, the hidden one all
                block_P = torch.tensor([-1, *[i // size for i in range(start + size)]])
                sight = Sight(causal=False, mask_PP=block_P[:, None] >= block_P)
                logits = model(with_bos(inputs, VOCABULARY.bos), None, sight).view(P, -1).log_softmax(-1)
                means.append(-sum(float(logits[i + 1, ROW[0, i]]) for i in mask) / k)
            truth += sum(means) / len(means)
    generator = torch.Generator().manual_seed(0)
    options = block.Options(size=size)
    draws = [
        block.score(ROW.expand(rows, S), lattice(rows, generator), generator, VOCABULARY, options) for _ in range(8)
    ]
    estimates = [float(nats(model, block, question).mean()) for question in draws]
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    assert error < 0.005 * truth
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * error)


@torch.no_grad()
def test_any_order_from_left_to_right_without_its_table_is_ar():
    model = model_of("anyorder")
    model.embed_aims.weight.zero_()
    rows, generator = symbols(5, S, VOCABULARY), torch.Generator().manual_seed(0)
    ours = anyorder.score(rows, torch.rand(5), generator, VOCABULARY, anyorder.Options(scored="left"))
    theirs = ar.score(rows, torch.rand(5), generator, VOCABULARY, ar.Options())
    assert (nats(model, anyorder, ours) - nats(model, ar, theirs)).abs().max() < 1e-5


@torch.no_grad()
def test_any_order_averages_over_all_orders():
    model, rows = model_of("anyorder"), 20_000
    orders = torch.tensor(list(permutations(range(4))))
    row = ROW[:, :4]
    every = anyorder.ordered(row.expand(len(orders), 4), orders, VOCABULARY)
    truth = float(nats(model, anyorder, every).mean())
    generator = torch.Generator().manual_seed(0)
    drawn = anyorder.score(row.expand(rows, 4), torch.rand(rows), generator, VOCABULARY, anyorder.Options())
    found = nats(model, anyorder, drawn)
    assert float(found.mean()) == pytest.approx(truth, abs=4 * float(found.std()) / math.sqrt(rows))
    assert float(found.std()) > 0


@torch.no_grad()
def test_a_position_told_its_place_answers_for_it():
    """Two orders that agree up to a symbol and differ in the place asked about next give different answers."""
    model = model_of("anyorder")
    one, other = torch.tensor([[2, 0, 1, 3, 4, 5]]), torch.tensor([[2, 0, 4, 3, 1, 5]])
    logits = [
        asked(model, anyorder.ordered(ROW, order, VOCABULARY)).view(S, -1)[2].log_softmax(-1) for order in (one, other)
    ]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@torch.no_grad()
def test_a_span_bound_is_the_enumerated_sum_over_spans():
    model, length, rows = model_of("span"), 2, 6000
    truth = 0.0
    for first in (1, 2):
        cuts = [0, *range(first, S, length), S]
        spans = [range(a, b) for a, b in pairwise(cuts)]
        for j in range(1, len(spans) + 1):
            means = []
            for hidden in combinations(spans, j):
                places = [i for each in hidden for i in each]
                inputs = ROW.clone()
                inputs[0, places] = VOCABULARY.mask
                logits = model(with_bos(inputs, VOCABULARY.bos), None, ALL).view(S + 1, -1).log_softmax(-1)
                means.append(-sum(float(logits[i + 1, ROW[0, i]]) for i in places) / j)
            truth += sum(means) / len(means) / 2
    generator, options = torch.Generator().manual_seed(0), span.Options(length=length)
    draws = [
        span.bound(ROW.expand(rows, S), lattice(rows, generator), generator, VOCABULARY, options) for _ in range(8)
    ]
    estimates = [float(nats(model, span, question).mean()) for question in draws]
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    assert error < 0.01 * truth
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * error)


def test_spans_of_one_are_mdm():
    rows = symbols(9, S, VOCABULARY)
    u = lattice(9, torch.Generator().manual_seed(1))
    ours = span.ask(rows, u, torch.Generator().manual_seed(0), VOCABULARY, span.Options(length=1))
    theirs = mdm.ask(rows, u, torch.Generator().manual_seed(0), VOCABULARY, mdm.Options())
    assert torch.equal(torch.bincount(ours.rows_M), torch.bincount(theirs.rows_M))
    assert torch.equal(ours.weights_M, theirs.weights_M)


def test_tokens_are_hidden_whole_where_their_starts_are_told():
    rows = torch.randint(0, 256, (300, 24), generator=torch.Generator().manual_seed(0))
    starts = torch.rand(rows.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    u = lattice(300, torch.Generator().manual_seed(2))
    for first in (starts, torch.ones_like(starts), torch.zeros_like(starts)):
        ours = words.ask(rows, u, torch.Generator().manual_seed(3), Vocabulary(256), words.Options(of="bpe"), first)
        theirs = mdm.ask(rows, u, torch.Generator().manual_seed(3), Vocabulary(256), mdm.Options())
        assert torch.equal(torch.bincount(ours.rows_M), torch.bincount(theirs.rows_M))
    ours = words.ask(rows, u, torch.Generator().manual_seed(3), Vocabulary(256), words.Options(of="bpe"), starts)
    for hidden_S, starts_S in zip(ours.inputs_BP[:, 1:] == Vocabulary(256).mask, starts, strict=True):
        ends = sorted({0, 24, *starts_S.nonzero()[:, 0].tolist()})
        tokens = [hidden_S[a:b] for a, b in pairwise(ends)]
        assert sum(bool(token.any()) and not bool(token.all()) for token in tokens) <= 1  # the one that is cut


def test_words_hide_as_many_bytes_as_mdm_but_whole_words():
    text = b"We the People of the United States, in Order to form a more perfect Union, 1787 and after"
    rows = torch.tensor([list(text)] * 400)
    vocabulary = Vocabulary(256)
    u = lattice(400, torch.Generator().manual_seed(1))
    ours = words.ask(rows, u, torch.Generator().manual_seed(0), vocabulary, words.Options())
    theirs = mdm.ask(rows, u, torch.Generator().manual_seed(0), vocabulary, mdm.Options())
    assert torch.equal(torch.bincount(ours.rows_M), torch.bincount(theirs.rows_M))
    word_S = words.words(rows)[0]
    found = [bytes(byte for byte, own in zip(text, word_S.tolist(), strict=True) if own == w) for w in range(3)]
    assert found == [b"We", b" the", b" People"]
    hidden_BS = ours.inputs_BP[:, 1:] == vocabulary.mask
    cut = 0
    for hidden_S in hidden_BS:
        shares = [float(hidden_S[word_S == w].float().mean()) for w in range(int(word_S[-1]) + 1)]
        cut = max(cut, sum(0 < share < 1 for share in shares))
    assert cut == 1


def test_a_fixed_rate_hides_as_many_in_every_row():
    rows = symbols(5, 40, VOCABULARY)
    question = mlm.ask(rows, torch.rand(5), torch.Generator().manual_seed(0), VOCABULARY, mlm.Options(rate=0.15))
    assert torch.bincount(question.rows_M).tolist() == [6] * 5
    assert mlm.row(40, mlm.Options()).supervised == 6


def test_attended_pairs_are_those_of_the_mask():
    for size in (1, 2, 3, 6):
        options = block.Options(size=size)
        question = block.ask(ROW, torch.rand(1), torch.Generator().manual_seed(0), VOCABULARY, options)
        row = block.row(S, options)
        assert question.sight.mask_PP.sum() == row.pairs
        assert question.sight.mask_PP[S + 1 :].sum() == row.repeated_pairs
        assert row.repeated == S - size == len(question.sight.mask_PP) - S - 1


def test_ar_drops_what_it_sees_in_training_alone():
    rows, generator = symbols(400, 40, VOCABULARY), torch.Generator().manual_seed(0)
    options = ar.Options(dropped=0.2)
    trained = ar.ask(rows, torch.rand(400), generator, VOCABULARY, options)
    seen_BS = trained.inputs_BP[:, 1:]
    dropped_BS = seen_BS == VOCABULARY.mask
    assert float(dropped_BS.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert torch.equal(seen_BS[~dropped_BS], rows[:, :-1][~dropped_BS])
    assert (trained.inputs_BP[:, 0] == VOCABULARY.bos).all()
    assert torch.equal(trained.targets_M, rows.flatten())
    scored = ar.score(rows, torch.rand(400), generator, VOCABULARY, options)
    assert torch.equal(scored.inputs_BP[:, 1:], rows[:, :-1])
