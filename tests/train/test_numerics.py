"""Ways to compute the same step: equal to rounding, the weights in float32 whatever the matmuls are in."""

import pytest
import torch

from bytegap.models._blocks import ATTENTION
from tests.train.test_train import begin, prepared, state  # noqa: F401 - a fixture

BF16 = {"dtype": "bfloat16"}


def trained(prepared, arm, steps, **changes):  # noqa: F811
    training = begin(prepared, arm, steps=steps)
    numerics = training.spec.numerics.model_copy(update=changes)
    training.__init__(training.spec.model_copy(update={"numerics": numerics}), training.rows._rows_RS.reshape(-1))
    list(training.steps())
    return training


@pytest.mark.parametrize("causal", [True, False])
def test_the_forms_of_attention_agree_forward_and_backward(causal):
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(2, 3, 9, 8, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(3)]
    answers = {}
    for name, attend in ATTENTION.items():
        mixed = attend(*given, causal=causal)
        answers[name] = [mixed, *torch.autograd.grad(mixed.square().sum(), given)]
    for found in answers.values():
        for ours, reference in zip(found, answers["sdpa"], strict=True):
            torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
@pytest.mark.parametrize("changes", [{"attention": "matmul"}, BF16], ids=["matmul", "bfloat16"])
def test_a_run_computed_another_way_follows_the_same_losses(prepared, arm, changes):  # noqa: F811
    plain, other = trained(prepared, arm, 40), trained(prepared, arm, 40, **changes)
    gap = torch.tensor(plain.ledger.losses) - torch.tensor(other.ledger.losses)
    assert 0 < gap.abs().max() < (0.05 if changes is BF16 else 1e-3)
    assert gap.mean().abs() < (0.01 if changes is BF16 else 1e-4)
    assert {weight.dtype for weight in state(other).values()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
def test_a_compiled_run_follows_the_same_losses(prepared, arm):  # noqa: F811
    plain, other = trained(prepared, arm, 200), trained(prepared, arm, 200, compile=True)
    gap = torch.tensor(plain.ledger.losses) - torch.tensor(other.ledger.losses)
    assert gap.abs().max() < 1e-3
