"""How well a signal tells two kinds of positions apart, whatever the threshold and at the best one. N positions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detection:
    """Of one signal."""

    auc: float
    """Chance that a position of the kind has more of it than another; ties count half. By chance 0.5."""
    average_precision: float
    """Mean precision over the recalls reached, highest signal first. By chance the base rate."""
    best_f1: float
    """At the threshold that suits it best. With no signal all positions are taken: 2 p / (1 + p)."""
    base_rate: float
    """p, share of positions that are of the kind."""
    positions: int


def detect(signal_N: NDArray[np.float64], is_kind_N: NDArray[np.bool_]) -> Detection:
    """AUC, average precision and F1 over all thresholds; positions of both kinds needed."""
    positives = int(is_kind_N.sum())
    negatives = len(is_kind_N) - positives
    # Thresholds between different values only: what is equal cannot be told apart.
    order = np.argsort(-signal_N, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(signal_N[order])), len(order) - 1)
    hits = is_kind_N[order].cumsum()[ends]
    precision, recall = hits / (ends + 1), hits / positives
    return Detection(
        auc=float(np.trapezoid(np.append(0, recall), np.append(0, (ends + 1 - hits) / negatives))),
        average_precision=float((np.diff(recall, prepend=0) * precision).sum()),
        best_f1=float((2 * hits / (ends + 1 + positives)).max()),
        base_rate=positives / len(is_kind_N),
        positions=len(is_kind_N),
    )
