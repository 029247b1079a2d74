"""Likelihoods against truth: every mask of 6 tokens enumerated, and models whose likelihood is known."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.data.windows import Windows
from bytegap.lm.likelihood import rng_for, score_windows, stratified_times
from bytegap.nn.attention_spec import BIDIRECTIONAL, CAUSAL
from bytegap.objectives.ar import Autoregressive
from bytegap.objectives.base import Sequences, objective
from bytegap.objectives.mdm import MaskedDiffusion
from tests.helpers.language_models import Unigram, language_model
from tests.helpers.parts import OBJECTIVES, build_model, logits_of, random_tokens, shake

S = 6
VOCABULARY = Vocabulary(5)
SCHEDULES = ["importance", "count", "bell", "linear", "cosine"]


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
            logp = model(ids, None, BIDIRECTIONAL).view(S + 1, -1).log_softmax(-1)
            means.append(-sum(float(logp[i + 1, row[i]]) for i in mask) / k)
        total += sum(means) / len(means)
    return total


@pytest.fixture(scope="module")
def masked_model():
    return shake(build_model("transformer", vocab_size=5, seq_len=S, size=0))


@torch.no_grad()
def test_nelbo_of_exact_counts_is_the_enumerated_sum(masked_model):
    passes, rows = 24, 400
    row = torch.tensor([0, 3, 5, 1, 1, 4])
    truth = enumerated_nelbo(masked_model, row)
    generator = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(passes):
        batch = MaskedDiffusion().scoring_batch(
            Sequences(row.expand(rows, S), stratified_times(rows, generator), generator, VOCABULARY)
        )
        sums = MaskedDiffusion().loss(logits_of(masked_model, batch), batch)
        estimates.append(float(sums.weighted_nats_B.double().mean()))
    error = np.std(estimates, ddof=1) / math.sqrt(passes)
    assert error < 0.005 * truth
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * error)


def test_every_count_has_weight_one():
    rows, row = 40_000, random_tokens(1, S, VOCABULARY)
    u = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    schedules = ("importance", "count", "bell")
    for method, schedule in (("scoring_batch", "count"), *(("training_batch", schedule) for schedule in schedules)):
        drawn = Sequences(row.expand(rows, S), u, torch.Generator().manual_seed(0), VOCABULARY)
        batch = getattr(MaskedDiffusion(schedule=schedule), method)(drawn)
        masked = torch.bincount(batch.row_M, minlength=rows)
        weight = torch.zeros(rows).index_add(0, batch.row_M, batch.weights_M)  # k of them, each 1 / (k q_k)
        for k in range(1, S + 1):
            assert float(weight[masked == k].sum()) / rows == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
@torch.no_grad()
def test_every_training_schedule_estimates_the_same_bound(masked_model, schedule):
    rows = 20_000
    row = torch.tensor([2, 2, 0, 5, 4, 1])
    truth = enumerated_nelbo(masked_model, row)
    generator = torch.Generator().manual_seed(1)
    options = MaskedDiffusion(schedule=schedule)
    batch = options.training_batch(
        Sequences(row.expand(rows, S), stratified_times(rows, generator), generator, VOCABULARY)
    )
    estimates = MaskedDiffusion().loss(logits_of(masked_model, batch), batch).weighted_nats_B
    error = float(estimates.double().std() / math.sqrt(rows))
    assert float(estimates.double().mean()) == pytest.approx(truth, abs=4 * error)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_flat_weights_are_all_alike_and_sum_to_the_tokens_of_a_sequence_on_average(schedule):
    rows, generator = 20_000, torch.Generator().manual_seed(1)
    drawn = Sequences(random_tokens(rows, S, VOCABULARY), stratified_times(rows, generator), generator, VOCABULARY)
    options = MaskedDiffusion(schedule=schedule, weights="flat")
    batch = options.training_batch(drawn)
    assert (batch.weights_M == batch.weights_M[0]).all()
    assert float(batch.weights_M.sum()) / rows == pytest.approx(S, rel=0.01)
    assert len(batch.weights_M) / rows == pytest.approx(options.sequence_cost(S).supervised, rel=0.01)
    assert (options.scoring_batch(drawn).weights_M != batch.weights_M[0]).any()


@pytest.mark.parametrize("objective_name", OBJECTIVES)
def test_a_model_without_context_has_the_same_nats_under_every_objective(objective_name):
    model, text = Unigram(VOCABULARY.n_ids), windows(counts=(6, 3, 6, 1, 5) * 20)
    logp = model.logits.detach().double().log_softmax(-1)
    truth = -float(logp[text.tokens.astype(np.int64)].sum())
    scored = language_model(model, objective(objective_name), VOCABULARY, S)
    score = score_windows(replace(scored, mc_passes=64), text)
    assert score.nats == pytest.approx(truth, rel=1e-6 if scored.objective.is_exact else 0, abs=4 * score.nats_se)
    assert score.nats_se < 0.02 * truth


@torch.no_grad()
def test_ar_is_the_chain_rule():
    model = shake(build_model("transformer", vocab_size=5, seq_len=S, size=0))
    text = windows(counts=(6, 4, 6))
    truth, start = 0.0, 0
    for count in (6, 4, 6):
        row = torch.from_numpy(text.tokens[start : start + count].astype(np.int64))
        start += count
        for i in range(count):
            ids = torch.cat((torch.tensor([VOCABULARY.bos]), row[:i]))[None]
            truth -= float(model(ids, None, CAUSAL)[-1].log_softmax(-1)[row[i]])
    score = score_windows(language_model(model, Autoregressive(), VOCABULARY, S), text)
    assert score.nats == pytest.approx(truth, rel=1e-5)
    assert score.nats_se == 0
    assert score.bpb == pytest.approx(truth / math.log(2) / text.bytes, rel=1e-5)


def test_the_standard_error_is_that_of_the_mean(masked_model):
    scored = language_model(masked_model, MaskedDiffusion(), VOCABULARY, S)
    scores = [score_windows(replace(scored, mc_passes=8, seed=seed), windows()) for seed in range(60)]
    spread = np.std([score.nats for score in scores], ddof=1)
    stated = np.sqrt(np.mean([score.nats_se**2 for score in scores]))
    assert stated == pytest.approx(spread, rel=0.35)


def test_stratified_times_are_stratified_and_in_the_half_open_interval():
    u = stratified_times(50, rng_for(3, 4))
    assert sorted((u * 50).floor().tolist()) == list(range(50))
    assert float(u.min()) > 0
    assert float(u.max()) <= 1
    assert not torch.equal(u, stratified_times(50, rng_for(3, 5)))
    assert torch.equal(u, stratified_times(50, rng_for(3, 4)))


@pytest.mark.parametrize("objective_name", OBJECTIVES)
def test_bos_is_first_and_never_a_target(objective_name):
    part, generator = objective(objective_name), torch.Generator().manual_seed(0)
    times = stratified_times(9, generator)
    batch = part.training_batch(Sequences(random_tokens(9, S, VOCABULARY), times, generator, VOCABULARY))
    assert (batch.inputs_BP[:, 0] == VOCABULARY.bos).all()
    assert (batch.targets_M < VOCABULARY.bos).all()
    assert batch.inputs_BP.shape[1] == part.sequence_cost(S).positions
