"""Likelihoods against truth: every mask of 6 symbols enumerated, and models whose likelihood is known."""

import itertools
import math

import numpy as np
import pytest
import torch

from bytegap import plugins
from bytegap.likelihood import lattice, score_windows, stream
from bytegap.objectives import ar, mdm
from bytegap.objectives._base import Vocabulary
from bytegap.sight import ALL, CAUSAL
from bytegap.windows import Windows
from tests.plugs import OBJECTIVES, asked, build, shake, symbols

S = 6
VOCABULARY = Vocabulary(5)


def windows(counts=(S,) * 40, seed=0):
    total = sum(counts)
    drawn = np.random.default_rng(seed).integers(0, 6, total).astype(np.uint8)
    return Windows(drawn, np.array(counts, np.uint32), 2 * total, "text")


def enumerated_nelbo(model, row):
    """sum over k of the mean, over all masks of k positions, of the mean cross-entropy a masked position."""
    total = 0.0
    for k in range(1, S + 1):
        means = []
        for mask in itertools.combinations(range(S), k):
            inputs = row.clone()
            inputs[list(mask)] = VOCABULARY.mask
            ids = torch.cat((torch.tensor([VOCABULARY.bos]), inputs))[None]
            logp = model(ids, None, ALL).view(S + 1, -1).log_softmax(-1)
            means.append(-sum(float(logp[i + 1, row[i]]) for i in mask) / k)
        total += sum(means) / len(means)
    return total


@pytest.fixture(scope="module")
def masked_model():
    model, *_ = build("transformer", "mdm", symbols=5, row=S, rung=0)
    return shake(model)


@torch.no_grad()
def test_nelbo_of_exact_counts_is_the_enumerated_sum(masked_model):
    passes, rows = 24, 400
    row = torch.tensor([0, 3, 5, 1, 1, 4])
    truth = enumerated_nelbo(masked_model, row)
    generator = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(passes):
        question = mdm.score(row.expand(rows, S), lattice(rows, generator), generator, VOCABULARY, mdm.Options())
        answer = mdm.loss(asked(masked_model, question), question)
        estimates.append(float(answer.weighted_nats_B.double().mean()))
    error = np.std(estimates, ddof=1) / math.sqrt(passes)
    assert error < 0.005 * truth
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * error)


def test_every_count_has_weight_one():
    rows, row = 40_000, symbols(1, S, VOCABULARY)
    u = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    for ask, schedule in ((mdm.score, "count"), (mdm.ask, "importance"), (mdm.ask, "count")):
        options = mdm.Options(schedule=schedule)
        question = ask(row.expand(rows, S), u, torch.Generator().manual_seed(0), VOCABULARY, options)
        masked = torch.bincount(question.rows_M, minlength=rows)
        weight = torch.zeros(rows).index_add(0, question.rows_M, question.weights_M)  # k of them, each 1 / (k q_k)
        for k in range(1, S + 1):
            assert float(weight[masked == k].sum()) / rows == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("schedule", ["importance", "count", "linear", "cosine"])
@torch.no_grad()
def test_every_training_schedule_estimates_the_same_bound(masked_model, schedule):
    rows = 20_000
    row = torch.tensor([2, 2, 0, 5, 4, 1])
    truth = enumerated_nelbo(masked_model, row)
    generator = torch.Generator().manual_seed(1)
    options = mdm.Options(schedule=schedule)
    question = mdm.ask(row.expand(rows, S), lattice(rows, generator), generator, VOCABULARY, options)
    estimates = mdm.loss(asked(masked_model, question), question).weighted_nats_B
    error = float(estimates.double().std() / math.sqrt(rows))
    assert float(estimates.double().mean()) == pytest.approx(truth, abs=4 * error)


class Unigram:
    """A model without context: the same distribution everywhere."""

    def __init__(self, ids):
        self.logits = torch.randn(ids, generator=torch.Generator().manual_seed(2))

    def __call__(self, ids_BP, positions_M, sight):
        del ids_BP, sight
        return self.logits.expand(len(positions_M), -1)


@pytest.mark.parametrize("objective_name", OBJECTIVES)
def test_without_context_every_objective_gives_the_same_nats(objective_name):
    objective = plugins.load("objectives", objective_name)
    options = plugins.options("objectives", objective_name, {})
    model, text = Unigram(VOCABULARY.ids), windows(counts=(6, 3, 6, 1, 5) * 20)
    logp = model.logits.double().log_softmax(-1)
    truth = -float(logp[text.symbols.astype(np.int64)].sum())
    score = score_windows(model, objective, options, text, VOCABULARY, passes=64, seed=0, permute=lambda x, _: x)
    assert score.nats == pytest.approx(truth, rel=1e-6 if objective.EXACT else 0, abs=4 * score.nats_se)
    assert score.nats_se < 0.02 * truth


@torch.no_grad()
def test_ar_is_the_chain_rule():
    model, *_ = build("transformer", "ar", symbols=5, row=S, rung=0)
    shake(model)
    text = windows(counts=(6, 4, 6))
    truth, start = 0.0, 0
    for count in (6, 4, 6):
        row = torch.from_numpy(text.symbols[start : start + count].astype(np.int64))
        start += count
        for i in range(count):
            ids = torch.cat((torch.tensor([VOCABULARY.bos]), row[:i]))[None]
            truth -= float(model(ids, None, CAUSAL)[-1].log_softmax(-1)[row[i]])
    score = score_windows(model, ar, ar.Options(), text, VOCABULARY, passes=8, seed=0, permute=lambda x, _: x)
    assert score.nats == pytest.approx(truth, rel=1e-5)
    assert score.nats_se == 0
    assert score.bpb == pytest.approx(truth / math.log(2) / text.bytes, rel=1e-5)


def test_the_standard_error_is_that_of_the_mean(masked_model):
    def scores(passes, seeds):
        return [
            score_windows(
                masked_model,
                mdm,
                mdm.Options(),
                windows(),
                VOCABULARY,
                passes=passes,
                seed=s,
                permute=lambda x, _: x,
            )
            for s in seeds
        ]

    spread = np.std([score.nats for score in scores(8, range(60))], ddof=1)
    claimed = np.sqrt(np.mean([score.nats_se**2 for score in scores(8, range(60))]))
    assert claimed == pytest.approx(spread, rel=0.35)


def test_a_lattice_is_stratified_and_in_the_half_open_interval():
    u = lattice(50, stream(3, 4))
    assert sorted((u * 50).floor().tolist()) == list(range(50))
    assert float(u.min()) > 0
    assert float(u.max()) <= 1
    assert not torch.equal(u, lattice(50, stream(3, 5)))
    assert torch.equal(u, lattice(50, stream(3, 4)))


@pytest.mark.parametrize("objective_name", OBJECTIVES)
def test_bos_is_first_and_never_asked(objective_name):
    objective = plugins.load("objectives", objective_name)
    options = plugins.options("objectives", objective_name, {})
    generator = torch.Generator().manual_seed(0)
    question = objective.ask(symbols(9, S, VOCABULARY), lattice(9, generator), generator, VOCABULARY, options)
    assert (question.inputs_BP[:, 0] == VOCABULARY.bos).all()
    assert (question.targets_M < VOCABULARY.bos).all()
    assert question.inputs_BP.shape[1] == objective.row(S, options).positions
