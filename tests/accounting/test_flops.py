"""The analytic counts against torch's own counter and against the built models, for every model x objective."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bytegap import plugins
from bytegap.accounting import rows
from bytegap.accounting.flops import Convention, forward_terms, training_flops
from tests.plugs import MODELS, PAIRS, build, symbols


@pytest.mark.parametrize(("rows", "row", "rung"), [(3, 12, 0), (2, 31, 3), (5, 8, 5), (1, 1, 1), (4, 17, 6)])
@pytest.mark.parametrize("head", ["all", "supervised"])
@pytest.mark.parametrize(("model_name", "objective_name"), PAIRS)
def test_flops_equal_the_counter_forward_and_backward(model_name, objective_name, head, rows, row, rung):
    """To the last FLOP, whichever way the objective has the model attend."""
    model, module, shape, objective, vocabulary = build(model_name, objective_name, row=row, rung=rung)
    options = plugins.options("objectives", objective_name, {})
    generator = torch.Generator().manual_seed(0)
    question = objective.ask(symbols(rows, row, vocabulary), torch.rand(rows), generator, vocabulary, options)
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward:
            if head == "all":
                logits = model(question.inputs_BP, None, question.sight)[question.positions_M]
            else:
                logits = model(question.inputs_BP, question.positions_M, question.sight)
            loss = objective.loss(logits, question).weighted_nats_B.sum()
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    expected = objective.row(row, options)
    assert question.inputs_BP.shape == (rows, expected.positions)
    # Fractions, so that nothing is rounded on the way to whole FLOPs.
    asked = replace(expected, supervised=Fraction(len(question.positions_M), rows))
    costs, convention = module.costs(shape), Convention(head=head)
    analytic = rows * sum(map(Fraction, forward_terms(costs, asked, convention).values()))
    assert forward.get_total_flops() == analytic
    assert backward.get_total_flops() == 2 * analytic
    assert rows * training_flops(costs, asked, convention) == 3 * analytic


@pytest.mark.parametrize(("model_name", "objective_name"), PAIRS)
def test_supervised_is_the_mean_over_a_batch_of_every_time(model_name, objective_name):
    del model_name
    objective = plugins.load("objectives", objective_name)
    options = plugins.options("objectives", objective_name, {})
    _, _, _, _, vocabulary = build("transformer", objective_name)
    rows, row = 40_000, 10
    u_B = (torch.arange(rows) + 0.5) / rows
    question = objective.ask(symbols(rows, row, vocabulary), u_B, torch.Generator().manual_seed(0), vocabulary, options)
    assert len(question.positions_M) / rows == pytest.approx(objective.row(row, options).supervised, rel=2e-3)


@pytest.mark.parametrize("model_name", MODELS)
@pytest.mark.parametrize("rung", [0, 2, 5])
def test_parameters_are_those_of_the_built_model(model_name, rung):
    model, module, shape, _, _ = build(model_name, "ar", rung=rung)
    counted = module.parameters(shape)
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    assert counted.total == sum(sizes.values())
    assert counted.embedding == sizes["embed_tokens.weight"]
    assert counted.head == sizes["lm_head.weight"]


def test_conventions_differ_by_what_they_leave_out():
    _, module, shape, _, _ = build("transformer", "ar", row=12)
    costs = module.costs(shape)
    row = replace(rows.autoregressive(12), supervised=5)
    full = forward_terms(costs, row)
    attended = forward_terms(costs, row, Convention(attention="attended"))
    assert attended["attention"] / full["attention"] == pytest.approx(12 * 13 / 2 / 12**2)
    assert forward_terms(costs, row, Convention(head="none"))["head"] == 0
    assert forward_terms(costs, row, Convention(head="supervised"))["head"] / full["head"] == pytest.approx(5 / 12)
    # 2 x weights a position, and 4 S d a layer and position: the closed form of DESIGN's convention.
    weights = module.parameters(shape).non_embedding - shape.width * (2 * shape.depth + 1)
    expected = 12 * (2 * (weights + shape.width * shape.vocabulary) + 4 * 12 * shape.width * shape.depth)
    assert sum(full.values()) == expected
