"""The analytic counts against torch's own counter and against the built models, for every model x objective."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bytegap.cost import sequence_cost
from bytegap.cost.flops import Convention, forward_terms, training_flops
from bytegap.data.vocabulary import Vocabulary
from bytegap.objectives.base import Sequences, objective
from tests.helpers.parts import MODELS, OBJECTIVES, build_model, config_for, random_tokens

VOCABULARY = Vocabulary(19)


OPTIONS = {
    ("patch", "by order"): {"size": 3, "by": "order"},
    ("patch", "of one token"): {"size": 1},
    ("patch", "of three"): {"size": 3},
    ("streams", "of one token"): {"size": 1},
    ("mdm", "bell"): {"schedule": "bell"},
}
"""Objectives whose defaults do not show all that they do."""
PARTS = [(name, {}) for name in OBJECTIVES] + [(name, options) for (name, _), options in OPTIONS.items()]


@pytest.mark.parametrize(("rows", "seq_len", "size"), [(3, 12, 0), (2, 31, 3), (5, 8, 5), (1, 1, 1), (4, 17, 6)])
@pytest.mark.parametrize("head", ["all", "supervised"])
@pytest.mark.parametrize(("objective_name", "options"), PARTS)
@pytest.mark.parametrize("model_name", MODELS)
def test_flops_equal_the_counter_forward_and_backward(model_name, objective_name, options, head, rows, seq_len, size):
    """To the last FLOP, for every attention pattern."""
    part = objective(objective_name, options)
    tokens_BS = random_tokens(rows, seq_len, VOCABULARY)
    model_options = {"convolution": 4} if model_name == "transformer" and part.attention is not None else {}
    config = config_for(model_name, model_options, seq_len=seq_len, size=size)
    model = build_model(model_name, model_options, seq_len=seq_len, size=size)
    batch = part.training_batch(Sequences(tokens_BS, torch.rand(rows), torch.Generator().manual_seed(0), VOCABULARY))
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward:
            if head == "all":
                logits = model(batch.inputs_BP, None, batch.attention)[batch.positions_M]
            else:
                logits = model(batch.inputs_BP, batch.positions_M, batch.attention)
            loss = part.loss(logits, batch).weighted_nats_B.sum()
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    expected = part.sequence_cost(seq_len)
    assert batch.inputs_BP.shape == (rows, expected.positions)
    # Fractions, so that nothing is rounded on the way to integer FLOPs.
    exact = replace(expected, supervised=Fraction(len(batch.positions_M), rows))
    costs, convention = config.costs(), Convention(head=head)
    analytic = rows * sum(map(Fraction, forward_terms(costs, exact, convention).values()))
    assert forward.get_total_flops() == analytic
    assert backward.get_total_flops() == 2 * analytic
    assert rows * training_flops(costs, exact, convention) == 3 * analytic


@pytest.mark.parametrize(("objective_name", "options"), PARTS)
def test_supervised_and_attended_pairs_are_the_means_over_all_times(objective_name, options):
    part, rows, seq_len = objective(objective_name, options), 40_000, 10
    t_B = (torch.arange(rows) + 0.5) / rows
    tokens_BS = random_tokens(rows, seq_len, VOCABULARY)
    batch = part.training_batch(Sequences(tokens_BS, t_B, torch.Generator().manual_seed(0), VOCABULARY))
    cost = part.sequence_cost(seq_len)
    assert len(batch.positions_M) / rows == pytest.approx(cost.supervised, rel=3e-3)
    if batch.attention.mask is not None and batch.attention.mask.ndim == 3:
        assert float(batch.attention.mask.sum()) / rows == pytest.approx(cost.attended_pairs, rel=3e-3)


@pytest.mark.parametrize(
    ("model_name", "options"), [*((name, {}) for name in MODELS), ("transformer", {"convolution": 6})]
)
@pytest.mark.parametrize("size", [0, 2, 5])
def test_parameters_are_those_of_the_built_model(model_name, options, size):
    counted = config_for(model_name, options, size=size).parameters()
    found = {name: weight.numel() for name, weight in build_model(model_name, options, size=size).named_parameters()}
    assert counted.total == sum(found.values())
    assert counted.embedding == found["embed_tokens.weight"]
    assert counted.head == found["lm_head.weight"]


def test_conventions_differ_by_what_they_leave_out():
    config = config_for("transformer", seq_len=12)
    costs = config.costs()
    sequence = replace(sequence_cost.autoregressive(12), supervised=5)
    full = forward_terms(costs, sequence)
    attended = forward_terms(costs, sequence, Convention(attention="attended"))
    assert attended["attention"] / full["attention"] == pytest.approx(12 * 13 / 2 / 12**2)
    assert forward_terms(costs, sequence, Convention(head="none"))["head"] == 0
    supervised = forward_terms(costs, sequence, Convention(head="supervised"))
    assert supervised["head"] / full["head"] == pytest.approx(5 / 12)
    # 2 x weights per position, and 4 S d per layer and position: the closed form of the default convention.
    weights = config.parameters().non_embedding - config.d_model * (2 * config.n_layers + 1)
    expected = 12 * (2 * (weights + config.d_model * config.n_ids) + 4 * 12 * config.d_model * config.n_layers)
    assert sum(full.values()) == expected
