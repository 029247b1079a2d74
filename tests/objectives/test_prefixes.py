"""Likelihoods conditional on a prefix, against enumeration of masks and orders and against the chain rule."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.data.windows import Windows
from bytegap.lm.likelihood import score_windows, window_nats
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL, AttentionSpec
from bytegap.objectives.any_order import in_order
from bytegap.objectives.base import Sequences, objective, with_bos
from bytegap.objectives.block_diffusion import BlockDiffusion
from tests.helpers.language_models import language_model
from tests.helpers.parts import OBJECTIVES, build_model, logits_of, shake

S, ROWS, PASSES = 6, 24, 12
VOCABULARY = Vocabulary(5)
ROW = torch.tensor([0, 3, 5, 1, 1, 4])


@pytest.fixture(autouse=True)
def one_thread_and_no_gradients():
    """Several threads would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


def small_model():
    return shake(build_model("transformer", vocab_size=5, seq_len=S, size=0)).double()


def windows(rows):
    counts = np.array([len(row) for row in rows])
    return Windows(np.concatenate([row.numpy() for row in rows]), counts, int(counts.sum()), "")


def estimated(model, name, options, rows, given, points=4, passes=PASSES, seed=0):
    """(nats (passes, rows), likeliest (rows,)) of rows beyond their prefixes."""
    scored = language_model(model, objective(name, options), VOCABULARY, S, mc_passes=passes, seed=seed)
    return window_nats(scored, windows(rows), torch.tensor(given), points=points)


def mean_over_masks(logp_of, indices):
    """sum over k of the mean, over all masks of k of the indices, of the mean cross-entropy per masked index."""
    total = 0.0
    for k in range(1, len(indices) + 1):
        means = [-sum(logp_of(mask, i) for i in mask) / k for mask in combinations(indices, k)]
        total += sum(means) / len(means)
    return total


def of_masked(model, given):
    def logp(mask, i):
        inputs = ROW.clone()
        inputs[list(mask)] = VOCABULARY.mask
        return float(
            model(with_bos(inputs[None], VOCABULARY.bos), torch.tensor([i + 1]), BIDIRECTIONAL).log_softmax(-1)[
                0, ROW[i]
            ]
        )

    return mean_over_masks(logp, range(given, S))


def of_blocks(model, given, size):
    def logp(mask, i):
        end = min((i // size + 1) * size, S)  # clean blocks before, the block itself hidden in part, nothing after it
        inputs = ROW[:end].clone()
        inputs[list(mask)] = VOCABULARY.mask
        block_P = torch.tensor([-1, *[index // size for index in range(end)]])
        attention = AttentionSpec(causal=False, mask=block_P[:, None] >= block_P)
        return float(
            model(with_bos(inputs[None], VOCABULARY.bos), torch.tensor([i + 1]), attention).log_softmax(-1)[0, ROW[i]]
        )

    blocks = [range(max(start, given), min(start + size, S)) for start in range(0, S, size)]
    return sum(mean_over_masks(logp, indices) for indices in blocks if len(indices))


def of_orders(model, given):
    totals = []
    for order in permutations(range(given, S)):
        batch = in_order(ROW[None], torch.tensor([[*range(given), *order]]), VOCABULARY)
        logp_S = logits_of(model, batch).log_softmax(-1).gather(1, batch.targets_M[:, None])[:, 0]
        totals.append(-float(logp_S[given:].sum()))
    return sum(totals) / len(totals)


def of_chain(model, given):
    total = 0.0
    for i in range(given, S):
        logits = model(with_bos(ROW[None, :i], VOCABULARY.bos), torch.tensor([i]), CAUSAL)
        total -= float(logits.log_softmax(-1)[0, ROW[i]])
    return total


TRUTHS = {
    "ar": ("ar", {}, of_chain),
    "mdm": ("mdm", {}, of_masked),
    "mlm": ("mlm", {}, of_masked),
    "blocks of 3": ("block_diffusion", {"size": 3}, lambda model, given: of_blocks(model, given, 3)),
    "blocks of 4": ("block_diffusion", {"size": 4}, lambda model, given: of_blocks(model, given, 4)),
    "one block": ("block_diffusion", {"size": 0}, of_masked),
    "any order": ("any_order", {}, of_orders),
}


@pytest.mark.parametrize("given", [0, 1, 3, 4, 5])
@pytest.mark.parametrize("case", TRUTHS)
def test_the_mean_is_the_enumerated_conditional_bound(case, given):
    name, table, truth_of = TRUTHS[case]
    model = small_model()
    truth = truth_of(model, given)
    nats, _ = estimated(model, name, table, [ROW] * ROWS, [given] * ROWS)
    mean, error = float(nats.mean()), float(nats.mean(1).std()) / math.sqrt(len(nats)) if len(nats) > 1 else 0.0
    assert mean == pytest.approx(truth, abs=4 * error + 1e-6)
    assert error < 0.02 * truth


def test_left_to_right_prefix_and_rest_add_up_by_the_chain_rule():
    model = small_model()
    for given in range(1, S):
        parts = [
            estimated(model, "any_order", {"scored": "left"}, [row], [start], passes=1, points=1)[0].item()
            for row, start in ((ROW, 0), (ROW[:given], 0), (ROW, given))
        ]
        assert parts[0] == pytest.approx(parts[1] + parts[2], abs=1e-9)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_with_empty_prefixes_the_sum_is_that_of_score_windows(name):
    model = small_model()
    rows = [ROW, ROW[:4], ROW.flip(0), ROW[2:]]
    nats, _ = estimated(model, name, {}, rows, [0] * 4, points=1, passes=5, seed=3)
    scored = language_model(model, objective(name), VOCABULARY, S, mc_passes=5, seed=3)
    score = score_windows(scored, windows(rows))
    assert float(nats.sum(1).mean()) == pytest.approx(score.nats, rel=1e-12)


def test_rows_of_equal_length_may_have_different_prefixes():
    model = small_model()
    together, _ = estimated(model, "ar", {}, [ROW] * 1500, [4, 0, 2, 5, 1] * 300)  # more than fit at once
    alone = [estimated(model, "ar", {}, [ROW], [given])[0].item() for given in (4, 0, 2, 5, 1)]
    assert together[0].tolist() == pytest.approx(alone * 300, rel=1e-9)
    nats, _ = estimated(small_model(), "mdm", {}, [ROW] * 300, [5, 0, 3] * 100)
    by_given = nats.view(PASSES, 100, 3).mean((0, 1)).tolist()
    for mean, given in zip(by_given, (5, 0, 3), strict=True):
        assert mean == pytest.approx(of_masked(small_model(), given), rel=0.02)


def test_more_points_reduce_the_variance_of_a_window():
    model = small_model()
    few, many = (estimated(model, "mdm", {}, [ROW] * ROWS, [2] * ROWS, points=points)[0] for points in (1, 16))
    assert float(many.std(0).mean()) < 0.4 * float(few.std(0).mean())


def test_given_tokens_are_never_masked_and_never_targets():
    generator = torch.Generator().manual_seed(0)
    tokens_BS = ROW.expand(200, S)
    target_mask_BS = torch.rand(200, S, generator=generator) < 0.5
    target_mask_BS[:, 0] |= ~target_mask_BS.any(1)
    for name in OBJECTIVES:
        t_B = torch.rand(200, generator=generator, dtype=torch.float64)
        drawn = Sequences(tokens_BS, t_B, generator, VOCABULARY, target_mask_BS=target_mask_BS)
        batch = objective(name).scoring_batch(drawn)
        assert target_mask_BS[batch.row_M, batch.token_index_M].all()
        assert batch.weights_M.isfinite().all()
        hidden_BS = batch.inputs_BP[:, 1 : S + 1] == VOCABULARY.mask
        assert not (hidden_BS & ~target_mask_BS[:, : hidden_BS.shape[1]]).any()
        assert torch.equal(torch.bincount(batch.row_M, minlength=200) > 0, target_mask_BS.any(1))


def test_likeliest_is_whether_every_token_has_the_highest_probability():
    model = small_model()
    row = ROW.clone()
    for i in range(2, S):
        row[i] = model(with_bos(row[None, :i], VOCABULARY.bos), torch.tensor([i]), CAUSAL).argmax()
    other = row.clone()
    other[4] = (row[4] + 1) % 5
    _, likeliest = estimated(model, "ar", {}, [row, other, other], [2, 2, 5])
    expected = model(with_bos(other[None, :5], VOCABULARY.bos), torch.tensor([5]), CAUSAL).argmax() == other[5]
    assert likeliest.tolist() == [True, False, bool(expected)]


def test_blocks_of_the_prefix_are_not_masked():
    """Their masked copy is left clean and has no targets."""
    generator = torch.Generator().manual_seed(0)
    target_mask_BS = torch.arange(S).expand(8, S) >= 4
    t_B = torch.rand(8, generator=generator, dtype=torch.float64)
    drawn = Sequences(ROW.expand(8, S), t_B, generator, VOCABULARY, target_mask_BS=target_mask_BS)
    batch = BlockDiffusion(size=2).scoring_batch(drawn)
    assert torch.equal(batch.inputs_BP[:, 1:5], ROW[:4].expand(8, 4))
    assert (batch.token_index_M >= 4).all()
