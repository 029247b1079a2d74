"""Head and loss, a chunk of answers at a time: of a large vocabulary's logits no more than a chunk is ever in memory.

M supervised positions, D width, V ids.
"""

from collections.abc import Callable

from torch import Tensor

from bytegap.numerics import CHUNK_LOGITS
from bytegap.objectives._base import Answer, Question


def backward(
    features_MD: Tensor, answer: Callable[[Tensor, Question], Answer], question: Question, *, ids: int, symbols: int
) -> tuple[float, int]:
    """Gradients in everything below the loss, which is nats over `symbols`; that loss, and the positions supervised.

    `answer` takes features and their question through head and objective; `ids` is V.
    """
    chunk = max(1, CHUNK_LOGITS // ids)
    leaf_MD = features_MD.detach().requires_grad_()
    nats, supervised = 0.0, 0
    for start in range(0, max(1, len(features_MD)), chunk):
        part = slice(start, start + chunk)
        answered = answer(leaf_MD[part], question.part(part))
        mean = answered.weighted_nats_B.sum() / symbols
        mean.backward()
        nats += mean.item()
        supervised += answered.supervised
    features_MD.backward(leaf_MD.grad)
    return nats, supervised
