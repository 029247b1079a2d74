"""Objectives that must agree: block diffusion at its ends, any order left to right, spans and words of one token."""

import math
from dataclasses import replace
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.lm.likelihood import stratified_times
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL, AttentionSpec
from bytegap.objectives.any_order import AnyOrder, in_order
from bytegap.objectives.ar import Autoregressive
from bytegap.objectives.base import Sequences, with_bos
from bytegap.objectives.block_diffusion import BlockDiffusion
from bytegap.objectives.mdm import MaskedDiffusion
from bytegap.objectives.mlm import MaskedLanguageModel
from bytegap.objectives.span_mdm import SpanMaskedDiffusion
from bytegap.objectives.whole_word_mdm import WholeWordMaskedDiffusion, word_index
from tests.helpers.parts import build_model, logits_of, random_tokens, shake

S = 6
VOCABULARY = Vocabulary(5)
ROW = torch.tensor([[0, 3, 5, 1, 1, 4]])


def small_model():
    return shake(build_model("transformer", vocab_size=5, seq_len=S, size=0)).double()


def nats(model, objective, batch):
    return objective.loss(logits_of(model, batch), batch).weighted_nats_B


@torch.no_grad()
def test_blocks_of_one_token_equal_the_chain_rule_in_as_many_forwards():
    model, generator = small_model(), torch.Generator().manual_seed(0)
    batch = BlockDiffusion(size=1).scoring_batch(Sequences(ROW, torch.rand(1), generator, VOCABULARY))
    truth = 0.0
    for i in range(S):  # the clean tokens before, which see no mask, then MASK, which sees itself and them
        inputs = torch.cat((with_bos(ROW[:, :i], VOCABULARY.bos), torch.tensor([[VOCABULARY.mask]])), 1)
        logits = model(inputs, torch.tensor([i + 1]), CAUSAL)
        truth -= float(logits.log_softmax(-1)[0, ROW[0, i]])
    assert float(nats(model, BlockDiffusion(), batch)[0]) == pytest.approx(truth, abs=1e-5)
    assert len(batch.positions_M) == S
    assert (batch.weights_M == 1).all()


@torch.no_grad()
def test_one_block_of_all_tokens_is_mdm():
    model = small_model()
    rows = random_tokens(7, S, VOCABULARY)
    generator = torch.Generator().manual_seed(0)
    for size in (0, S):
        batch = BlockDiffusion(size=size).training_batch(
            Sequences(rows, stratified_times(7, generator), generator, VOCABULARY)
        )
        assert batch.inputs_BP.shape == (7, S + 1)
        blind = torch.ones(S + 1, S + 1, dtype=torch.bool)
        blind[0, 1:] = size == 0  # BOS
        plain = model(batch.inputs_BP, batch.positions_M, AttentionSpec(causal=False, mask=blind))
        assert (logits_of(model, batch) - plain).abs().max() < 1e-5
        row = BlockDiffusion(size=size).sequence_cost(S)
        assert (row.positions, row.context_copies) == (S + 1, 0)
        assert row.supervised == MaskedDiffusion().sequence_cost(S).supervised


@torch.no_grad()
def test_the_block_bound_is_the_enumerated_sum_over_blocks():
    model, size, rows = small_model(), 3, 4000
    truth = 0.0
    for start in range(0, S, size):
        for k in range(1, size + 1):
            means = []
            for mask in combinations(range(start, start + size), k):
                inputs = ROW[:, : start + size].clone()
                inputs[0, list(mask)] = VOCABULARY.mask
                P = start + size + 1  # BOS and the clean blocks see no further than themselves, the hidden one all
                block_P = torch.tensor([-1, *[i // size for i in range(start + size)]])
                attention = AttentionSpec(causal=False, mask=block_P[:, None] >= block_P)
                logits = model(with_bos(inputs, VOCABULARY.bos), None, attention).view(P, -1).log_softmax(-1)
                means.append(-sum(float(logits[i + 1, ROW[0, i]]) for i in mask) / k)
            truth += sum(means) / len(means)
    generator = torch.Generator().manual_seed(0)
    options = BlockDiffusion(size=size)
    draws = [
        options.scoring_batch(Sequences(ROW.expand(rows, S), stratified_times(rows, generator), generator, VOCABULARY))
        for _ in range(8)
    ]
    estimates = [float(nats(model, BlockDiffusion(), batch).mean()) for batch in draws]
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    assert error < 0.005 * truth
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * error)


@torch.no_grad()
def test_any_order_left_to_right_is_ar_with_queries_rotated_by_the_next_position():
    model = small_model()
    rows, generator = random_tokens(5, S, VOCABULARY), torch.Generator().manual_seed(0)
    ours = AnyOrder(scored="left").scoring_batch(Sequences(rows, torch.rand(5), generator, VOCABULARY))
    theirs = Autoregressive().scoring_batch(Sequences(rows, torch.rand(5), generator, VOCABULARY))
    plain = nats(model, Autoregressive(), theirs)
    assert (nats(model, AnyOrder(), ours) - plain).abs().min() > 1e-3
    theirs = replace(theirs, attention=replace(CAUSAL, query_position_ids=torch.arange(S) + 1))
    assert (nats(model, AnyOrder(), ours) - nats(model, Autoregressive(), theirs)).abs().max() < 1e-5


@torch.no_grad()
def test_any_order_averages_over_all_orders():
    model, rows = small_model(), 20_000
    orders = torch.tensor(list(permutations(range(4))))
    row = ROW[:, :4]
    every = in_order(row.expand(len(orders), 4), orders, VOCABULARY)
    truth = float(nats(model, AnyOrder(), every).mean())
    generator = torch.Generator().manual_seed(0)
    drawn = AnyOrder().scoring_batch(Sequences(row.expand(rows, 4), torch.rand(rows), generator, VOCABULARY))
    found = nats(model, AnyOrder(), drawn)
    assert float(found.mean()) == pytest.approx(truth, abs=4 * float(found.std()) / math.sqrt(rows))
    assert float(found.std()) > 0


@torch.no_grad()
def test_the_target_position_changes_the_prediction():
    """Two orders that agree up to a token, and differ in the next target position, give different logits."""
    model = small_model()
    one, other = torch.tensor([[2, 0, 1, 3, 4, 5]]), torch.tensor([[2, 0, 4, 3, 1, 5]])
    logits = [
        logits_of(model, in_order(ROW, order, VOCABULARY)).view(S, -1)[2].log_softmax(-1) for order in (one, other)
    ]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@torch.no_grad()
def test_the_span_bound_is_the_enumerated_sum_over_spans():
    model, length, rows = small_model(), 2, 6000
    truth = 0.0
    for first in (1, 2):
        cuts = [0, *range(first, S, length), S]
        spans = [range(a, b) for a, b in pairwise(cuts)]
        for j in range(1, len(spans) + 1):
            means = []
            for hidden in combinations(spans, j):
                indices = [i for each in hidden for i in each]
                inputs = ROW.clone()
                inputs[0, indices] = VOCABULARY.mask
                logits = model(with_bos(inputs, VOCABULARY.bos), None, BIDIRECTIONAL).view(S + 1, -1).log_softmax(-1)
                means.append(-sum(float(logits[i + 1, ROW[0, i]]) for i in indices) / j)
            truth += sum(means) / len(means) / 2
    generator, options = torch.Generator().manual_seed(0), SpanMaskedDiffusion(length=length)
    draws = [
        options.training_batch(Sequences(ROW.expand(rows, S), stratified_times(rows, generator), generator, VOCABULARY))
        for _ in range(8)
    ]
    estimates = [float(nats(model, SpanMaskedDiffusion(), batch).mean()) for batch in draws]
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    assert error < 0.01 * truth
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * error)


def test_spans_of_one_token_are_mdm():
    rows = random_tokens(9, S, VOCABULARY)
    u = stratified_times(9, torch.Generator().manual_seed(1))
    ours = SpanMaskedDiffusion(length=1).training_batch(
        Sequences(rows, u, torch.Generator().manual_seed(0), VOCABULARY)
    )
    theirs = MaskedDiffusion().training_batch(Sequences(rows, u, torch.Generator().manual_seed(0), VOCABULARY))
    assert torch.equal(torch.bincount(ours.row_M), torch.bincount(theirs.row_M))
    assert torch.equal(ours.weights_M, theirs.weights_M)


def test_tokens_of_the_conditioning_tokenizer_are_masked_as_units():
    rows = torch.randint(0, 256, (300, 24), generator=torch.Generator().manual_seed(0))
    starts = torch.rand(rows.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    u = stratified_times(300, torch.Generator().manual_seed(2))
    for first in (starts, torch.ones_like(starts), torch.zeros_like(starts)):
        ours = WholeWordMaskedDiffusion(units="bpe").training_batch(
            Sequences(rows, u, torch.Generator().manual_seed(3), Vocabulary(256), token_starts_BS=first)
        )
        theirs = MaskedDiffusion().training_batch(Sequences(rows, u, torch.Generator().manual_seed(3), Vocabulary(256)))
        assert torch.equal(torch.bincount(ours.row_M), torch.bincount(theirs.row_M))
    ours = WholeWordMaskedDiffusion(units="bpe").training_batch(
        Sequences(rows, u, torch.Generator().manual_seed(3), Vocabulary(256), token_starts_BS=starts)
    )
    for hidden_S, starts_S in zip(ours.inputs_BP[:, 1:] == Vocabulary(256).mask, starts, strict=True):
        ends = sorted({0, 24, *starts_S.nonzero()[:, 0].tolist()})
        tokens = [hidden_S[a:b] for a, b in pairwise(ends)]
        assert sum(bool(token.any()) and not bool(token.all()) for token in tokens) <= 1  # the one that is cut


def test_whole_word_masking_masks_as_many_bytes_as_mdm():
    text = b"We the People of the United States, in Order to form a more perfect Union, 1787 and after"
    rows = torch.tensor([list(text)] * 400)
    vocabulary = Vocabulary(256)
    u = stratified_times(400, torch.Generator().manual_seed(1))
    ours = WholeWordMaskedDiffusion().training_batch(Sequences(rows, u, torch.Generator().manual_seed(0), vocabulary))
    theirs = MaskedDiffusion().training_batch(Sequences(rows, u, torch.Generator().manual_seed(0), vocabulary))
    assert torch.equal(torch.bincount(ours.row_M), torch.bincount(theirs.row_M))
    word_S = word_index(rows)[0]
    found = [bytes(byte for byte, own in zip(text, word_S.tolist(), strict=True) if own == w) for w in range(3)]
    assert found == [b"We", b" the", b" People"]
    hidden_BS = ours.inputs_BP[:, 1:] == vocabulary.mask
    cut = 0
    for hidden_S in hidden_BS:
        shares = [float(hidden_S[word_S == w].float().mean()) for w in range(int(word_S[-1]) + 1)]
        cut = max(cut, sum(0 < share < 1 for share in shares))
    assert cut == 1


def test_mlm_masks_the_same_number_in_every_sequence():
    rows = random_tokens(5, 40, VOCABULARY)
    batch = MaskedLanguageModel(rate=0.15).training_batch(
        Sequences(rows, torch.rand(5), torch.Generator().manual_seed(0), VOCABULARY)
    )
    assert torch.bincount(batch.row_M).tolist() == [6] * 5
    assert MaskedLanguageModel().sequence_cost(40).supervised == 6


def test_attended_pairs_are_counted_as_the_mask_has_them():
    for size in (1, 2, 3, 6):
        options = BlockDiffusion(size=size)
        batch = options.training_batch(Sequences(ROW, torch.rand(1), torch.Generator().manual_seed(0), VOCABULARY))
        row = options.sequence_cost(S)
        assert batch.attention.mask.sum() == row.attended_pairs
        assert batch.attention.mask[S + 1 :].sum() == row.context_copy_pairs
        assert row.context_copies == S - size == len(batch.attention.mask) - S - 1


def test_ar_drops_input_tokens_in_training_only():
    rows, generator = random_tokens(400, 40, VOCABULARY), torch.Generator().manual_seed(0)
    options = Autoregressive(dropped=0.2)
    trained = options.training_batch(Sequences(rows, torch.rand(400), generator, VOCABULARY))
    seen_BS = trained.inputs_BP[:, 1:]
    dropped_BS = seen_BS == VOCABULARY.mask
    assert float(dropped_BS.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert torch.equal(seen_BS[~dropped_BS], rows[:, :-1][~dropped_BS])
    assert (trained.inputs_BP[:, 0] == VOCABULARY.bos).all()
    assert torch.equal(trained.targets_M, rows.flatten())
    scored = options.scoring_batch(Sequences(rows, torch.rand(400), generator, VOCABULARY))
    assert torch.equal(scored.inputs_BP[:, 1:], rows[:, :-1])
