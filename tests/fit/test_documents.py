"""Held-out documents that are harder for all arms leave compute ratios as they are; those harder for one do not."""

import functools
import math

import numpy as np
import pytest

from bytegap.fit.stage import fit_rows
from bytegap.schema.fit import Fit
from tests.helpers.synthetic_runs import simulated_rows

DIFFICULTY = np.exp(0.3 * np.random.default_rng(0).standard_normal(24))
NAMES = ("overhead", "interaction", "slope", "size_ratio")


@functools.cache
def fitted(harder: tuple[str, ...]) -> Fit:
    """With documents that differ in difficulty for the arms named, and are alike for the others; every BPB the same."""
    rows = simulated_rows(noise=0.003)
    difficulty = DIFFICULTY / DIFFICULTY.mean()
    altered = [
        row.model_copy(
            update={
                "document_nats": tuple(
                    float(factor) * row.bpb * math.log(2) * n_bytes
                    for factor, n_bytes in zip(difficulty, row.document_bytes, strict=True)
                )
            }
        )
        if row.arm in harder
        else row
        for row in rows
    ]
    return fit_rows(altered, 300, 0)


ALL = ("byte-ar", "bpe512-ar", "byte-mdm", "bpe512-mdm")


def widths(fit: Fit, names: tuple[str, ...]) -> list[float]:
    """Of the intervals of all estimates, of ratios in their logarithm; not of the Chinchilla law, which is noisy."""
    found = []
    for row in fit.estimands:
        if row.name in names and row.label == "estimated" and row.form != "parametric" and row.quantity.ci95:
            low, high = row.quantity.ci95
            found.append(high - low if row.name in {"interaction", "slope"} else math.log(high / low))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_documents_that_are_harder_for_all_arms_do_not_widen(name):
    alike, harder = widths(fitted(()), (name,)), widths(fitted(ALL), (name,))
    assert len(alike) == len(harder) > 0
    assert np.median(np.divide(harder, alike)) == pytest.approx(1, abs=0.1)


def test_losses_themselves_are_of_other_documents_too():
    alike, harder = (np.array([cell.optimum_bpb.ci95 for cell in fitted(arms).cells]) for arms in ((), ALL))
    assert (np.diff(harder) > 5 * np.diff(alike)).all()


def test_documents_that_are_harder_for_one_arm_widen():
    alike, harder = (widths(fitted(arms), ("overhead",)) for arms in ((), ("byte-ar",)))
    assert max(np.divide(harder, alike)) > 2
