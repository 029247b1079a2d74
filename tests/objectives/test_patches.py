"""Patches and streams against enumeration: every boundary, order, hidden set and interleaving of short rows."""

import math
from dataclasses import replace
from itertools import chain, permutations
from statistics import fmean

import numpy as np
import pytest
import torch

from bytegap.errors import StudyError
from bytegap.lm.likelihood import stratified_times
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL, AttentionSpec
from bytegap.nn.patches import draw_patches, draw_patches_of_lengths
from bytegap.objectives.any_order import AnyOrder, in_order
from bytegap.objectives.ar import Autoregressive
from bytegap.objectives.base import Sequences
from bytegap.objectives.mdm import MaskedDiffusion, mask_tokens
from bytegap.objectives.patch import Patch
from bytegap.objectives.streams import Streams
from tests.helpers.enumerated_patches import (
    ROW,
    TEXTS,
    VOCABULARY,
    S,
    bound_by_mask,
    nats,
    nats_by_interleaving,
    nats_by_order,
    untrained,
)
from tests.helpers.parts import logits_of, random_tokens


def sequences(rows, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return Sequences(rows, stratified_times(len(rows), generator), generator, VOCABULARY, **options)


def trained(objective):
    """After 150 steps on rows in which a token is mostly the opposite of the last."""
    model = untrained()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    generator = torch.Generator().manual_seed(0)
    for step in range(150):
        flips = (torch.rand((64, S), generator=generator) < 0.85).long()
        batch = objective.training_batch(sequences(flips.cumsum(1) % 2, step))
        optimizer.zero_grad()
        nats(model, objective, batch).mean().backward()
        optimizer.step()
    return model


EXPECTED = {
    "order": lambda model, text, size: float(nats_by_order(model, torch.tensor([text]), size).mean()),
    "mask": bound_by_mask,
    "streams": lambda model, text, size: fmean(nats_by_interleaving(model, text, size)),
}


def objective_of(kind, size):
    return Streams(size=size) if kind == "streams" else Patch(size=size, by=kind)


@pytest.mark.parametrize("size", [1, 2, 3, S])
@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("learn", [False, True])
@torch.no_grad()
def test_estimates_have_the_enumerated_expectation(kind, size, learn):
    objective = objective_of(kind, size)
    with torch.enable_grad():
        model = trained(objective) if learn else untrained()
    truth, rows = EXPECTED[kind](model, ROW[0].tolist(), size), 4000
    for method in (objective.training_batch, objective.scoring_batch):
        draws = [float(nats(model, objective, method(sequences(ROW.expand(rows, S), s))).mean()) for s in range(8)]
        error = np.std(draws, ddof=1) / math.sqrt(len(draws))
        assert error < 0.01 * truth
        assert np.mean(draws) == pytest.approx(truth, abs=4.5 * error + 1e-6 * truth)


@pytest.mark.parametrize("size", [1, 2, S])
@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("learn", [False, True])
def test_bounds_are_those_of_a_distribution(kind, size, learn):
    """exp(-bound) sums to at most 1 over all rows, and to 1 where it is exact."""
    model = trained(objective_of(kind, size)) if learn else untrained()
    bounds = [EXPECTED[kind](model, text, size) for text in TEXTS.tolist()]
    total = sum(math.exp(-bound) for bound in bounds)
    assert total <= 1 + 1e-6
    if size == S:
        assert total == pytest.approx(1, abs=1e-5)
    elif learn:
        assert total > 0.6  # a bound that says something


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("learn", [False, True])
def test_the_bound_by_order_is_above_that_of_its_mixture(size, learn):
    model = trained(Patch(size=size, by="order")) if learn else untrained()
    every = nats_by_order(model, TEXTS, size)
    exact = -(torch.logsumexp(-every, 0) - math.log(len(every)))
    assert (every.mean(0) >= exact - 1e-9).all()
    assert (every.mean(0) - exact).max() > 1e-6
    assert float((-exact).exp().sum()) == pytest.approx(1, abs=1e-5)


@torch.no_grad()
def test_patches_of_one_token_by_mask_are_mdm():
    model, objective = untrained(), Patch(size=1)
    for targets in (None, random_tokens(40, S, VOCABULARY, 1) == 0):
        rows = random_tokens(40, S, VOCABULARY)
        batch = objective.training_batch(sequences(rows, target_mask_BS=targets))
        masked = batch.inputs_BP[:, 1:] == VOCABULARY.mask
        weight = torch.zeros(40).index_put((batch.row_M,), batch.weights_M)
        theirs = mask_tokens(rows, masked, weight, VOCABULARY)
        assert (nats(model, objective, batch) - nats(model, MaskedDiffusion(), theirs)).abs().max() < 1e-5
        assert batch.attention == BIDIRECTIONAL
    assert Patch(size=1).sequence_cost(S) == MaskedDiffusion().sequence_cost(S)


@torch.no_grad()
def test_patches_of_one_token_by_order_are_any_order():
    model, rows = untrained(), random_tokens(9, S, VOCABULARY)
    ours = Patch(size=1, by="order").training_batch(sequences(rows))
    order = ours.token_index_M.view(9, S)
    assert (nats(model, Patch(), ours) - nats(model, AnyOrder(), in_order(rows, order, VOCABULARY))).abs().max() < 1e-5
    assert (order.sort(1).values == torch.arange(S)).all()


@torch.no_grad()
def test_one_patch_by_order_is_ar_rotated_alike():
    model, rows = untrained(), random_tokens(9, S, VOCABULARY)
    ours = Patch(size=S, by="order").training_batch(sequences(rows))
    theirs = Autoregressive().training_batch(sequences(rows))
    theirs = replace(theirs, attention=replace(CAUSAL, query_position_ids=torch.arange(S) + 1))
    assert (nats(model, Patch(), ours) - nats(model, Autoregressive(), theirs)).abs().max() < 1e-5


@torch.no_grad()
def test_one_patch_by_mask_is_ar_that_reads_a_mask():
    model, rows = untrained(), random_tokens(9, S, VOCABULARY)
    ours = Patch(size=S).training_batch(sequences(rows))
    inputs = torch.cat((torch.tensor([[VOCABULARY.bos, VOCABULARY.mask]]).expand(9, 2), rows[:, :-1]), 1)
    spec = AttentionSpec(
        causal=False,
        mask=torch.ones(S + 1, S + 1).tril().bool() | (torch.arange(S + 1) < 2),
        position_ids=torch.tensor([0, 1, *range(1, S)]),
        query_position_ids=torch.arange(S + 1),
        shifted=(torch.arange(S + 1) > 1).expand(9, S + 1),
    )
    logp = model(inputs, None, spec).view(9, S + 1, -1)[:, 1:].log_softmax(-1).double()
    assert (nats(model, Patch(), ours) + logp.gather(2, rows[..., None]).sum((1, 2))).abs().max() < 1e-5


@torch.no_grad()
def test_streams_of_one_token_are_mdm():
    model, rows = untrained(), random_tokens(40, S, VOCABULARY)
    ours = Streams(size=1).training_batch(sequences(rows))
    theirs = MaskedDiffusion().training_batch(sequences(rows))
    assert (nats(model, Streams(), ours) - nats(model, MaskedDiffusion(), theirs)).abs().max() < 1e-5
    assert Streams(size=1).sequence_cost(S) == MaskedDiffusion().sequence_cost(S)


@pytest.mark.parametrize("objective", [Patch(size=2), Patch(size=3, by="order"), Streams(size=2)])
@torch.no_grad()
def test_predictions_do_not_see_what_they_predict_nor_what_is_hidden(objective):
    """Inputs made from the same draw of two rows that differ in one target: its own logits are the same."""
    model = untrained()
    for index in range(S):
        one = ROW.expand(200, S)
        other = one.clone()
        other[:, index] = 1 - other[:, index]
        batches = [objective.training_batch(sequences(rows)) for rows in (one, other)]
        logits = [logits_of(model, batch) for batch in batches]
        own = batches[0].token_index_M == index
        assert own.any()
        assert torch.equal(logits[0][own], logits[1][own])
        assert not torch.equal(logits[0], logits[1])


def cuts_of_drawn_lengths(most, start=0):
    """(probability, patches) of every way to cut a row into patches of 1 to `most` tokens, the last one cut."""
    if start == S:
        yield 1.0, []
    for length in range(1, min(most, S - start) + 1):
        share = (most - length + 1 if start + length == S else 1) / most
        for rest, patches in cuts_of_drawn_lengths(most, start + length):
            yield share * rest, [list(range(start, start + length)), *patches]


def bound_of_drawn_lengths(model, text, most):
    total = 0.0
    for share, patches in cuts_of_drawn_lengths(most):
        orders = [list(chain(*order)) for order in permutations(patches)]
        rows = in_order(torch.tensor([text]).expand(len(orders), S), torch.tensor(orders), VOCABULARY)
        total += share * float(nats(model, Patch(), rows).mean())
    return total


@pytest.mark.parametrize("most", [1, 2, 3, S])
@pytest.mark.parametrize("learn", [False, True])
@torch.no_grad()
def test_drawn_lengths_have_the_enumerated_expectation_and_bound(most, learn):
    objective = Patch(size=most, by="order", lengths="drawn")
    with torch.enable_grad():
        model = trained(objective) if learn else untrained()
    assert sum(share for share, _ in cuts_of_drawn_lengths(most)) == pytest.approx(1)
    truth = bound_of_drawn_lengths(model, ROW[0].tolist(), most)
    for method in (objective.training_batch, objective.scoring_batch):
        draws = [float(nats(model, objective, method(sequences(ROW.expand(4000, S), s))).mean()) for s in range(8)]
        error = np.std(draws, ddof=1) / math.sqrt(len(draws))
        assert np.mean(draws) == pytest.approx(truth, abs=4.5 * error + 1e-6 * truth)
    total = sum(math.exp(-bound_of_drawn_lengths(model, text, most)) for text in TEXTS.tolist())
    assert total <= 1 + 1e-6
    if most == 1:
        assert truth == pytest.approx(EXPECTED["order"](model, ROW[0].tolist(), 1), abs=1e-6)


def test_lengths_are_drawn_alike_and_by_order_only():
    patch_BS = draw_patches_of_lengths(4000, 30, 3, torch.Generator().manual_seed(0))
    lengths = [row.count(patch) for row in patch_BS.tolist() for patch in range(row[-1])]
    shares = np.bincount(lengths, minlength=4)[1:] / len(lengths)
    assert (patch_BS.diff(dim=1) >= 0).all()
    assert patch_BS.diff(dim=1).max() == 1
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02)
    Patch(size=4, by="order", lengths="drawn").check(8)
    with pytest.raises(StudyError, match='lengths = "drawn" needs by = "order"'):
        Patch(size=4, lengths="drawn").check(8)


def test_boundaries_are_uniform_and_patches_whole_but_at_the_ends():
    patch_BS = draw_patches(6000, 7, 3, torch.Generator().manual_seed(0))
    starts = torch.cat((torch.ones(6000, 1, dtype=torch.bool), patch_BS.diff(dim=1) == 1), 1)
    assert (starts[:, 1:].float().mean(0) - 1 / 3).abs().max() < 0.03
    for row in patch_BS[:50].tolist():
        counts = [row.count(patch) for patch in dict.fromkeys(row)]
        assert set(counts[1:-1]) <= {3}
        assert max(counts) <= 3
    assert (draw_patches(4, 7, 7, torch.Generator()) == 0).all()


@pytest.mark.parametrize("objective", [Patch(size=9), Patch(size=9, by="order"), Streams(size=9)])
def test_patches_over_the_row_are_refused(objective):
    with pytest.raises(StudyError, match="of 9 tokens are longer than a sequence of 8 tokens; shorten them"):
        objective.check(8)
    objective.check(9)
