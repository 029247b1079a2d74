"""A chunk of logits at a time: the same loss, the same gradients, and never more logits than a chunk."""

import pytest
import torch

from bytegap.objectives._base import Question, answer
from bytegap.train import head

M, D, V, ROWS = 23, 6, 11, 4


def gradients(monkeypatch, chunk_logits):
    monkeypatch.setattr(head, "CHUNK_LOGITS", chunk_logits)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(M, D, dtype=torch.float64, generator=generator).requires_grad_()
    weight = torch.randn(V, D, dtype=torch.float64, generator=generator).requires_grad_()
    question = Question(
        inputs_BP=torch.zeros(ROWS, 9, dtype=torch.long),
        positions_M=torch.arange(M),
        targets_M=torch.randint(V, (M,), generator=generator),
        weights_M=torch.rand(M, dtype=torch.float64, generator=generator),
        rows_M=torch.arange(M) * ROWS // M,
    )
    sizes = []

    def through_head(features_MD, part):
        logits_MV = features_MD @ weight.T
        sizes.append(logits_MV.numel())
        return answer(logits_MV, part)

    loss, supervised = head.backward(features * 1.0, through_head, question, ids=V, symbols=40)
    return loss, supervised, features.grad, weight.grad, max(sizes), question, features, weight


@pytest.mark.parametrize("chunk_logits", [5 * V, 7 * V + 3, V, 1])
def test_chunks_add_up(monkeypatch, chunk_logits):
    loss, supervised, features_grad, weight_grad, largest, question, features, weight = gradients(
        monkeypatch, chunk_logits
    )
    whole = answer(features @ weight.T, question)
    mean = whole.weighted_nats_B.sum() / 40
    expected = torch.autograd.grad(mean, (features, weight))
    assert loss == pytest.approx(mean.item(), rel=1e-12)
    assert supervised == whole.supervised == M
    torch.testing.assert_close(features_grad, expected[0])
    torch.testing.assert_close(weight_grad, expected[1])
    assert largest <= max(chunk_logits, V)


def test_a_batch_that_asks_nothing_trains_nothing():
    nothing = torch.zeros(0)
    question = Question(torch.zeros(ROWS, 9, dtype=torch.long), nothing.long(), nothing.long(), nothing, nothing.long())
    weight = torch.ones(V, D, requires_grad=True)
    features = torch.ones(0, D, requires_grad=True)
    loss, supervised = head.backward(
        features * 1.0, lambda x_MD, part: answer(x_MD @ weight.T, part), question, ids=V, symbols=40
    )
    assert (loss, supervised) == (0.0, 0)
    assert not weight.grad.any()
