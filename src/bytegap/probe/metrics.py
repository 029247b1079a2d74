"""Detection metrics over all thresholds, and means with standard errors. N positions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Detection:
    """How well a score separates positive positions from negative ones."""

    auc: float
    """Chance that a positive position has a higher score than a negative one; ties count half. 0.5 at chance."""
    average_precision: float
    """Mean precision over the recalls, highest score first. The base rate at chance."""
    best_f1: float
    """At the best threshold. A score without information takes all positions as positive: 2 p / (1 + p)."""
    base_rate: float
    """p, share of positive positions."""
    positions: int


def detect(score_N: NDArray[np.float64], is_positive_N: NDArray[np.bool_]) -> Detection:
    """AUC, average precision and best F1; there must be positive and negative positions."""
    positives = int(is_positive_N.sum())
    negatives = len(is_positive_N) - positives
    # Thresholds lie between different scores only: equal scores cannot be separated.
    ranking = np.argsort(-score_N, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score_N[ranking])), len(ranking) - 1)
    hits = is_positive_N[ranking].cumsum()[ends]
    precision, recall = hits / (ends + 1), hits / positives
    return Detection(
        auc=float(np.trapezoid(np.append(0, recall), np.append(0, (ends + 1 - hits) / negatives))),
        average_precision=float((np.diff(recall, prepend=0) * precision).sum()),
        best_f1=float((2 * hits / (ends + 1 + positives)).max()),
        base_rate=positives / len(is_positive_N),
        positions=len(is_positive_N),
    )


def mean_and_se(x_N: Tensor) -> tuple[float, float]:
    """Mean, and its standard error for independent values."""
    return float(x_N.mean()), float(x_N.std() / len(x_N) ** 0.5)
