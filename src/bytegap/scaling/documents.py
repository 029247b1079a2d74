"""How the loss moves when the held-out documents are others: a bootstrap of documents, jointly for all runs.

All arms are scored on the same documents, so a draw resamples them once for all arms: what makes a document hard for
every arm cancels from a comparison, and what makes it hard for one arm does not.

Suffixes: B = draws, R = runs, H = held-out documents.
"""

import numpy as np

from bytegap.scaling.laws import Array
from bytegap.scaling.student_t import t_quantile


def without_run_noise(nats_RH: Array, parameters_R: Array) -> Array:
    """Nats of documents of one arm's runs, (R, H), less what differs between runs at random; sums over H are kept.

    A seed, and where the likelihood is estimated its Monte Carlo error, moves a run's score of single documents much
    more than that of all of them. That error is in the scatter of runs about their curve, and must not count again as a
    difference between documents. So each document's nats become their least-squares fit by a constant, the run's nats
    of all documents, and ln N: what runs of another loss or another size make of it, and nothing of single runs.
    As the nats of all documents are among these three, the fits of the documents sum to them.
    """
    total_R = nats_RH.sum(axis=1)
    design_R3 = np.stack([np.ones_like(total_R), total_R / total_R.mean(), np.log(parameters_R)], axis=1)
    coefficient_3H: Array = np.linalg.lstsq(design_R3, nats_RH, rcond=None)[0].astype(np.float64)
    return design_R3 @ coefficient_3H


def document_shifts(nats_RH: Array, bytes_H: Array, bootstraps: int, rng: np.random.Generator) -> Array:
    """(B, R): change of ln L of each run in each resample of documents; needs at least two documents.

    A multinomial resample of n documents varies sqrt((n - 1) / n) as much as a new sample of n, and n documents show
    their own deviation with n - 1 degrees of freedom only: all shifts of a draw are multiplied by sqrt(n / (n - 1)) and
    by one draw of sqrt((n - 1) / chi-square), so that they follow Student's t distribution.
    """
    n = len(bytes_H)
    assert n > 1, "a single document cannot be resampled"
    count_BH = rng.multinomial(n, np.full(n, 1 / n), size=bootstraps).astype(np.float64)
    loss_BR = (count_BH @ nats_RH.T) / (count_BH @ bytes_H)[:, None]
    factor_B = np.sqrt(n / (n - 1)) * np.sqrt((n - 1) / rng.chisquare(n - 1, bootstraps))
    return factor_B[:, None] * np.log(loss_BR * (bytes_H.sum() / nats_RH.sum(axis=1)))


def mean_difference(one_H: Array, other_H: Array, bytes_H: Array) -> tuple[float, tuple[float, float] | None]:
    """Sum of the differences of two models' scores per byte, and its 95 % interval over documents with Student's t.

    The error is that of a ratio of sums, by linearisation; None with fewer than two documents.
    """
    kept_H = bytes_H > 0
    difference_H, bytes_H = (one_H - other_H)[kept_H], bytes_H[kept_H]
    value, n = float(difference_H.sum() / bytes_H.sum()), len(bytes_H)
    if n < 2:
        return value, None
    error = float(np.sqrt(n / (n - 1) * ((difference_H - value * bytes_H) ** 2).sum()) / bytes_H.sum())
    half = t_quantile(0.975, n - 1) * error
    return value, (value - half, value + half)
