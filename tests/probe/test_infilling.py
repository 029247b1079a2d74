"""Infilling of gaps: against enumeration of small models, models without context, and models that know the text."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from bytegap.data.vocabulary import Vocabulary
from bytegap.objectives.base import objective
from bytegap.probe.infilling import GAPS, draw_gaps, gap_nats, infilling
from bytegap.probe.windows import ProbeWindows
from bytegap.scaling.documents import mean_difference
from tests.helpers.language_models import TokensOnly, Unigram, language_model
from tests.helpers.parts import build_model, random_tokens, shake

S, VOCABULARY = 4, Vocabulary(3)
INFILLERS = [("mdm", {}), ("any_order", {}), ("patch", {"size": 2}), ("patch", {"size": 2, "by": "order"})]


def spec():
    names = {"id": "0" * 12, "arm": "byte-mdm", "budget_flops": 1e9, "non_embedding_parameters": 1}
    return SimpleNamespace(**names, objective="mdm", objective_options={}, model="transformer", model_options={})


def windows_of(tokens_BS):
    return ProbeWindows(tokens_BS, np.arange(len(tokens_BS)), {}, {})


@torch.no_grad()
def log_p(model, tokens, known, index):
    """ln p of one token given those that are known, in the order that they are known in."""
    row = torch.tensor([tokens])
    if model.objective.predicts_in_order:
        unknown = [each for each in range(S) if each not in known]
        keys = torch.tensor([[*known, index, *(each for each in unknown if each != index)]]).argsort(1)
        batch = model.objective.ordered_batch(row, keys, VOCABULARY)
        at = batch.positions_M[batch.token_index_M == index]
        inputs_BP, attention = batch.inputs_BP, batch.attention
    else:
        hidden, target = torch.ones(1, S, dtype=torch.bool), torch.zeros(1, S, dtype=torch.bool)
        hidden[0, known] = False
        target[0, index] = True
        masked = row.masked_fill(hidden, VOCABULARY.mask)
        inputs = model.objective.target_inputs(masked, hidden, target, VOCABULARY)
        at = inputs.targets_BP.flatten().nonzero()[:, 0]
        inputs_BP, attention = inputs.inputs_BP, inputs.attention
    return float(model.network(inputs_BP, at, attention).log_softmax(-1)[0, tokens[index]])


@pytest.mark.parametrize(("name", "options"), [("mdm", {}), ("any_order", {}), ("patch", {"size": 2, "by": "order"})])
def test_nats_of_a_gap_are_the_mean_over_orders_of_its_tokens(name, options):
    """In patches of two the two tokens of the gap are in one patch half of the time, and then from left to right."""
    network = TokensOnly(shake(build_model("transformer", vocab_size=3, seq_len=S, size=2, seed=0)).double(), 4)
    model = language_model(network, objective(name, options), VOCABULARY, S, mc_passes=100)
    tokens, gap_S = [0, 2, 1, 0], torch.tensor([False, True, True, False])
    left, right = (
        -log_p(model, tokens, [0, 3], first) - log_p(model, tokens, [0, 3, first], second)
        for first, second in ((1, 2), (2, 1))
    )
    share = 3 / 4 if options else 1 / 2
    found_B = gap_nats(model, torch.tensor([tokens] * 40), gap_S.expand(40, S), 2)
    error = float(found_B.std()) / 40**0.5
    assert abs(left - right) > 20 * error
    assert float(found_B.mean()) == pytest.approx(share * left + (1 - share) * right, abs=4 * error)


@pytest.mark.parametrize(("name", "options"), INFILLERS)
def test_without_context_a_gap_costs_its_tokens(name, options):
    unigram, tokens_BS = Unigram(VOCABULARY.n_ids), random_tokens(30, S, VOCABULARY)
    model = language_model(unigram, objective(name, options), VOCABULARY, S, mc_passes=400)
    gap_BS = draw_gaps(windows_of(tokens_BS), 2)
    nats_BS = -unigram.logits.detach().double().log_softmax(-1)[tokens_BS]
    found_B = gap_nats(model, tokens_BS, gap_BS, 2)
    assert float(found_B.sum()) == pytest.approx(float(nats_BS[gap_BS].sum()), rel=0.02)


def test_gaps_are_of_the_length_anywhere_and_the_same_for_all_models():
    windows = windows_of(torch.zeros(400, 10, dtype=torch.int64))
    for gap in (1, 4, 10):
        gap_BS = draw_gaps(windows, gap)
        assert (gap_BS.sum(1) == gap).all()
        assert (gap_BS.int().diff(dim=1).abs().sum(1) <= 2).all()
        assert torch.equal(gap_BS, draw_gaps(windows, gap))
        starts = gap_BS.int().argmax(1)
        assert set(starts.tolist()) == set(range(11 - gap))


class Certain(torch.nn.Module):
    """Predicts token p - 1 at position p to be the token p % 3, for sure."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs_BP, positions_M, attention):
        del attention
        likely_M = (positions_M % inputs_BP.shape[1] - 1) % 3
        return 50.0 * torch.nn.functional.one_hot(likely_M, VOCABULARY.n_ids).float()


def test_what_is_restored_is_counted_against_the_text():
    length, documents = 18, torch.arange(12) // 4
    tokens_BS = torch.arange(length).expand(12, length) % 3
    wrong_BS = tokens_BS.clone()
    wrong_BS[6:] = (wrong_BS[6:] + 1) % 3
    model = language_model(Certain(), objective("mdm"), VOCABULARY, length)
    for tokens, share in ((tokens_BS, 1.0), (wrong_BS, 0.5)):
        rows = infilling(model, spec(), [windows_of(tokens)], documents)
        assert [row.gap for row in rows] == list(GAPS)
        assert {row.filled for row in rows} == {12}
        assert {row.bytes_restored for row in rows} == {share}
        assert {row.exact_match for row in rows} == {share}
        for row in rows:
            assert row.document_bytes == (4 * row.gap,) * 3
            assert sum(row.document_nats) == pytest.approx(row.nats_per_byte * 12 * row.gap, rel=1e-6)


def test_causal_models_fill_no_gap():
    model = language_model(Unigram(VOCABULARY.n_ids), objective("ar"), VOCABULARY, S)
    assert infilling(model, spec(), [windows_of(random_tokens(3, S, VOCABULARY))], torch.arange(3)) == []


def test_the_interval_of_a_difference_is_students_where_documents_are_equally_long():
    rng = np.random.default_rng(0)
    one_H, other_H = rng.normal(20, 1, 9), rng.normal(21, 1, 9)
    value, ci95 = mean_difference(one_H, other_H, np.full(9, 10.0))
    exact = stats.ttest_rel(one_H / 10, other_H / 10)
    assert value == pytest.approx(float(np.mean(one_H - other_H)) / 10)
    assert ci95 == pytest.approx(tuple(exact.confidence_interval(0.95)))


def test_the_interval_of_a_difference_covers_where_documents_differ_in_length():
    rng, covered = np.random.default_rng(1), []
    for _ in range(2000):
        bytes_H = rng.integers(200, 2000, 20).astype(float)
        difference_H = bytes_H * rng.normal(0.1, 0.05, 20)
        _, ci95 = mean_difference(difference_H, np.zeros(20), bytes_H)
        covered.append(ci95[0] < 0.1 < ci95[1])
    assert np.mean(covered) == pytest.approx(0.94, abs=0.025)


def test_one_document_has_no_interval():
    assert mean_difference(np.array([2.0, 0.0]), np.array([1.0, 0.0]), np.array([4.0, 0.0])) == (0.25, None)
