"""What is given costs nothing: conditional likelihoods against every mask, every order and the chain rule."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from bytegap import plugins
from bytegap.likelihood import score_windows, window_nats
from bytegap.objectives import anyorder, block
from bytegap.objectives._base import Vocabulary, with_bos
from bytegap.sight import ALL, CAUSAL, Sight
from bytegap.windows import Windows
from tests.plugs import OBJECTIVES, asked, build, shake

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


def model_of(objective):
    model, *_ = build("transformer", objective, symbols=5, row=S, rung=0)
    return shake(model).double()


def windows(rows):
    counts = np.array([len(row) for row in rows])
    return Windows(np.concatenate([row.numpy() for row in rows]), counts, int(counts.sum()), "")


def estimated(model, name, table, rows, given, points=4, passes=PASSES, seed=0):
    """(nats, standard error) of each row, and whether it is the likeliest."""
    objective, options = plugins.load("objectives", name), plugins.options("objectives", name, table)
    nats, likeliest = window_nats(
        model,
        objective,
        options,
        windows(rows),
        torch.tensor(given),
        VOCABULARY,
        passes=passes,
        points=points,
        seed=seed,
    )
    return nats, likeliest


def mean_over_masks(logp_of, places):
    """sum over k of the mean, over all masks of k of the places, of the mean cross-entropy a masked place."""
    total = 0.0
    for k in range(1, len(places) + 1):
        means = [-sum(logp_of(mask, i) for i in mask) / k for mask in combinations(places, k)]
        total += sum(means) / len(means)
    return total


def of_masked(model, given):
    def logp(mask, i):
        inputs = ROW.clone()
        inputs[list(mask)] = VOCABULARY.mask
        return float(
            model(with_bos(inputs[None], VOCABULARY.bos), torch.tensor([i + 1]), ALL).log_softmax(-1)[0, ROW[i]]
        )

    return mean_over_masks(logp, range(given, S))


def of_blocks(model, given, size):
    def logp(mask, i):
        end = min((i // size + 1) * size, S)  # clean blocks before, the block itself hidden in part, nothing after it
        inputs = ROW[:end].clone()
        inputs[list(mask)] = VOCABULARY.mask
        block_P = torch.tensor([-1, *[place // size for place in range(end)]])
        sight = Sight(causal=False, mask_PP=block_P[:, None] >= block_P)
        return float(
            model(with_bos(inputs[None], VOCABULARY.bos), torch.tensor([i + 1]), sight).log_softmax(-1)[0, ROW[i]]
        )

    blocks = [range(max(start, given), min(start + size, S)) for start in range(0, S, size)]
    return sum(mean_over_masks(logp, places) for places in blocks if len(places))


def of_orders(model, given):
    totals = []
    for order in permutations(range(given, S)):
        question = anyorder.ordered(ROW[None], torch.tensor([[*range(given), *order]]), VOCABULARY)
        logp_S = asked(model, question).log_softmax(-1).gather(1, question.targets_M[:, None])[:, 0]
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
    "blocks of 3": ("block", {"size": 3}, lambda model, given: of_blocks(model, given, 3)),
    "blocks of 4": ("block", {"size": 4}, lambda model, given: of_blocks(model, given, 4)),
    "one block": ("block", {"size": 0}, of_masked),
    "any order": ("anyorder", {}, of_orders),
}


@pytest.mark.parametrize("given", [0, 1, 3, 4, 5])
@pytest.mark.parametrize("case", TRUTHS)
def test_the_mean_is_the_enumerated_conditional_bound(case, given):
    name, table, truth_of = TRUTHS[case]
    model = model_of(name)
    truth = truth_of(model, given)
    nats, _ = estimated(model, name, table, [ROW] * ROWS, [given] * ROWS)
    mean, error = float(nats.mean()), float(nats.mean(1).std()) / math.sqrt(len(nats)) if len(nats) > 1 else 0.0
    assert mean == pytest.approx(truth, abs=4 * error + 1e-6)
    assert error < 0.02 * truth


def test_left_to_right_what_is_given_is_the_chain_rules_other_part():
    model = model_of("anyorder")
    for given in range(1, S):
        parts = [
            estimated(model, "anyorder", {"scored": "left"}, [row], [start], passes=1, points=1)[0].item()
            for row, start in ((ROW, 0), (ROW[:given], 0), (ROW, given))
        ]
        assert parts[0] == pytest.approx(parts[1] + parts[2], abs=1e-9)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_with_nothing_given_the_sum_is_that_of_a_split(name):
    model = model_of(name)
    objective, options = plugins.load("objectives", name), plugins.options("objectives", name, {})
    rows = [ROW, ROW[:4], ROW.flip(0), ROW[2:]]
    nats, _ = estimated(model, name, {}, rows, [0] * 4, points=1, passes=5, seed=3)
    how = {"passes": 5, "seed": 3, "permute": lambda symbols, _: symbols}
    score = score_windows(model, objective, options, windows(rows), VOCABULARY, **how)
    assert float(nats.sum(1).mean()) == pytest.approx(score.nats, rel=1e-12)


def test_rows_of_one_length_may_be_given_differently():
    model = model_of("ar")
    together, _ = estimated(model, "ar", {}, [ROW] * 1500, [4, 0, 2, 5, 1] * 300)  # more than fit at once
    alone = [estimated(model, "ar", {}, [ROW], [given])[0].item() for given in (4, 0, 2, 5, 1)]
    assert together[0].tolist() == pytest.approx(alone * 300, rel=1e-9)
    nats, _ = estimated(model_of("mdm"), "mdm", {}, [ROW] * 300, [5, 0, 3] * 100)
    by_given = nats.view(PASSES, 100, 3).mean((0, 1)).tolist()
    for mean, given in zip(by_given, (5, 0, 3), strict=True):
        assert mean == pytest.approx(of_masked(model_of("mdm"), given), rel=0.02)


def test_more_points_narrow_a_single_row():
    model = model_of("mdm")
    few, many = (estimated(model, "mdm", {}, [ROW] * ROWS, [2] * ROWS, points=points)[0] for points in (1, 16))
    assert float(many.std(0).mean()) < 0.4 * float(few.std(0).mean())


def test_nothing_given_is_ever_hidden_or_asked():
    generator = torch.Generator().manual_seed(0)
    symbols_BS = ROW.expand(200, S)
    only_BS = torch.rand(200, S, generator=generator) < 0.5
    only_BS[:, 0] |= ~only_BS.any(1)
    for name in OBJECTIVES:
        objective, options = plugins.load("objectives", name), plugins.options("objectives", name, {})
        u_B = torch.rand(200, generator=generator, dtype=torch.float64)
        question = objective.score(symbols_BS, u_B, generator, VOCABULARY, options, only_BS)
        assert only_BS[question.rows_M, question.places_M].all()
        assert question.weights_M.isfinite().all()
        hidden_BS = question.inputs_BP[:, 1 : S + 1] == VOCABULARY.mask
        assert not (hidden_BS & ~only_BS[:, : hidden_BS.shape[1]]).any()
        assert torch.equal(torch.bincount(question.rows_M, minlength=200) > 0, only_BS.any(1))


def test_the_likeliest_row_is_told():
    model = model_of("ar")
    row = ROW.clone()
    for i in range(2, S):
        row[i] = model(with_bos(row[None, :i], VOCABULARY.bos), torch.tensor([i]), CAUSAL).argmax()
    other = row.clone()
    other[4] = (row[4] + 1) % 5
    _, likeliest = estimated(model, "ar", {}, [row, other, other], [2, 2, 5])
    expected = model(with_bos(other[None, :5], VOCABULARY.bos), torch.tensor([5]), CAUSAL).argmax() == other[5]
    assert likeliest.tolist() == [True, False, bool(expected)]


def test_blocks_before_the_continuation_are_only_read():
    """Their hidden copy stands there unhidden and is not asked about."""
    generator = torch.Generator().manual_seed(0)
    only_BS = torch.arange(S).expand(8, S) >= 4
    u_B = torch.rand(8, generator=generator, dtype=torch.float64)
    question = block.score(ROW.expand(8, S), u_B, generator, VOCABULARY, block.Options(size=2), only_BS)
    assert torch.equal(question.inputs_BP[:, 1:5], ROW[:4].expand(8, 4))
    assert (question.places_M >= 4).all()
