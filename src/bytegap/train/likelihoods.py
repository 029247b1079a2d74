"""What is scored of a finished run besides its BPB: other likelihoods of a masked run, and the mass of a length.

Other likelihoods are scored on some of the run's scoring windows, each paired with the NELBO.
Reads a run's folder and tokens/; returns what launch/likelihoods.py writes to runs/ID/likelihoods.json.
W windows, P passes, K orders, T tokens of all windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bytegap.data.windows import Windows, read_windows
from bytegap.io.arrays import read_array
from bytegap.lm.language_model import LanguageModel, load_run
from bytegap.lm.length_mass import length_mass
from bytegap.lm.likelihood import window_nats
from bytegap.lm.unmasking_rules import (
    jackknife_sums,
    log_mean_exp_bound,
    order_nats,
    rule_nats,
    rules_of,
    window_sums,
)
from bytegap.schema.runs import RuleScore, RunLikelihoods, chosen_rule
from bytegap.study.directory import RunDir, StudyDir

Split = Literal["validation", "test"]
ORDERS = 8
TEST_WINDOWS = 400
"""Test windows scored by the chosen rule; all if there are fewer, here and below."""
VALIDATION_WINDOWS, OTHER_WINDOWS = 50, 100
"""Windows scored by each rule before one is chosen, and test windows scored by the rules not chosen."""
ORDER_WINDOWS = 50
"""Test windows scored in K random orders, whose NELBO has the same orders and so little noise against the bound."""
MASS_SAMPLES = 48
"""Sampled texts of each token count from which Z(n) is estimated: an error of 0.15 in ln Z where Z is a third."""
_NELBO_POINTS = 4
"""Times at which each pass of the paired NELBO scores a window: its error is then below that of the windows."""


@dataclass(frozen=True)
class _Sample:
    """Some windows of a split."""

    split: Split
    windows: Windows
    byte_W: NDArray[np.int64]
    document_W: NDArray[np.int64] | None
    """The document of each window, if known."""


@dataclass(frozen=True)
class _Estimate:
    """Nats of windows."""

    nats_W: Tensor
    sums_P: Tensor
    """Of all windows, by each independent pass: one where the nats are exact."""


def score_likelihoods(
    run_dir: RunDir, earlier: RunLikelihoods | None = None, *, with_length_mass: bool = False
) -> RunLikelihoods:
    """Likelihoods of a masked run, and ln Z(n) where that is wanted; what `earlier` has is kept, not scored again.

    n is the bytes of the median test window, the shorter of two. Windows are cut to fit every arm's sequences, so n
    bytes do as well, and n is the same for all arms; the context's bytes are their maximum, which need not fit.
    StudyDirError where the run's weights are missing or damaged.
    """
    spec, study_dir = run_dir.spec(), run_dir.study_dir
    torch.set_num_threads(spec.execution.threads)
    model = load_run(run_dir, allow_permuted=True)
    scores = earlier.scores if earlier else ()
    if earlier is None and rules_of(model.objective):
        scores = _scores(model, study_dir, spec.tokenizer)
    mass = earlier.length_mass if earlier else None
    if with_length_mass and mass is None:
        test = _sample(study_dir, "test", spec.tokenizer, study_dir.windows().splits["test"].windows)
        n_bytes = int(np.quantile(test.byte_W, 0.5, method="lower"))
        mass = length_mass(model, n_bytes, MASS_SAMPLES).numbers
    weights_sha256 = run_dir.record().weights_sha256
    return RunLikelihoods(run=spec.id, weights_sha256=weights_sha256, scores=scores, length_mass=mass)


def _scores(model: LanguageModel, study_dir: StudyDir, tokenizer: str) -> tuple[RuleScore, ...]:
    """Every rule on validation windows; every rule, and K random orders, on test windows."""

    def sample(split: Split, count: int) -> _Sample:
        return _sample(study_dir, split, tokenizer, count)

    rules = rules_of(model.objective)
    validation = _rule_scores(model, sample("validation", VALIDATION_WINDOWS), rules)
    chosen = chosen_rule(validation)
    chosen_score = _rule_scores(model, sample("test", TEST_WINDOWS), [rule for rule in rules if rule == chosen])
    others = _rule_scores(model, sample("test", OTHER_WINDOWS), [rule for rule in rules if rule != chosen])
    orders = _order_score(model, sample("test", ORDER_WINDOWS))
    return (*validation, *chosen_score, *others, orders)


def spread(document_W: NDArray[np.int64] | None, n_windows: int, count: int) -> NDArray[np.int64]:
    """Indices of `count` windows of `n_windows`, ascending: as many of each document as of any other, evenly spaced.

    Without documents, evenly spaced over all windows; all windows if there are no more than `count`.
    """
    if n_windows <= count:
        return np.arange(n_windows)
    if document_W is None:
        return np.arange(count) * n_windows // count
    distinct, counts = np.unique(document_W, return_counts=True)
    taken = np.zeros(len(distinct), np.int64)
    while taken.sum() < count:  # one more of each document that has one left, until there are enough
        left = np.flatnonzero(taken < counts)
        taken[left[: count - int(taken.sum())]] += 1
    chosen = [
        np.flatnonzero(document_W == document)[np.arange(own) * n // max(own, 1)]
        for document, n, own in zip(distinct, counts, taken, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _sample(study_dir: StudyDir, split: Split, tokenizer: str, count: int) -> _Sample:
    """Windows spread over a split; a permuted run permutes them by their index among these."""
    every = read_windows(study_dir.windows_dir, study_dir.windows().splits[split], tokenizer)
    counts_W, document_W = every.counts.astype(np.int64), every.documents
    chosen = spread(document_W, len(counts_W), count)
    kept = every.tokens[np.repeat(np.isin(np.arange(len(counts_W)), chosen), counts_W)].astype(np.int64)
    lengths = read_array(study_dir.tokenizer_dir(tokenizer), study_dir.tokenizer(tokenizer).lengths)
    byte_T = np.append(lengths, 0).astype(np.int64)[kept]  # EOS has none
    byte_W = np.add.reduceat(byte_T, np.cumsum(counts_W[chosen]) - counts_W[chosen])
    windows = Windows(kept, counts_W[chosen], int(byte_W.sum()), sha256="")
    return _Sample(split, windows, byte_W, None if document_W is None else document_W[chosen])


def _rule_scores(model: LanguageModel, sample: _Sample, rules: Sequence[str]) -> list[RuleScore]:
    """Each of some rules, with one NELBO for all."""
    windows = sample.windows
    nelbo_PW, _ = window_nats(model, windows, torch.zeros(len(windows.counts), dtype=torch.int64), points=_NELBO_POINTS)
    nelbo = _Estimate(nelbo_PW.mean(0), nelbo_PW.sum(1))
    scores: list[RuleScore] = []
    for rule in rules:
        nats_W = rule_nats(model, windows, rule)
        scores.append(_score(sample, rule, _Estimate(nats_W, nats_W.sum()[None]), nelbo))
    return scores


def _order_score(model: LanguageModel, sample: _Sample) -> RuleScore:
    """The bound of K random orders; the mean over the same orders estimates the NELBO."""
    nats_KT = order_nats(model, sample.windows, ORDERS)
    nats_KW = torch.stack([window_sums(nats_T, sample.windows) for nats_T in nats_KT])
    bound = _Estimate(log_mean_exp_bound(nats_KW), jackknife_sums(nats_KW))
    return _score(sample, f"orders:{ORDERS}", bound, _Estimate(nats_KW.mean(0), nats_KW.sum(1)))


def _score(sample: _Sample, likelihood: str, other: _Estimate, nelbo: _Estimate) -> RuleScore:
    """The record of a likelihood and the NELBO of the same windows."""
    units = np.arange(len(sample.byte_W)) if sample.document_W is None else sample.document_W
    unit_W = np.unique(units, return_inverse=True)[1]

    def by_unit(values_W: NDArray[np.generic]) -> tuple[float, ...]:
        return tuple(np.bincount(unit_W, values_W).tolist())

    return RuleScore(
        likelihood=likelihood,
        split=sample.split,
        nats=float(other.sums_P.mean()),
        nats_se=_standard_error(other.sums_P),
        nelbo_nats=float(nelbo.sums_P.mean()),
        nelbo_se=_standard_error(nelbo.sums_P),
        bytes=sample.windows.bytes,
        windows=len(sample.byte_W),
        unit="window" if sample.document_W is None else "document",
        document_nats=by_unit(other.nats_W.numpy()),
        nelbo_document_nats=by_unit(nelbo.nats_W.numpy()),
        document_bytes=tuple(map(int, by_unit(sample.byte_W))),
    )


def _standard_error(sums_P: Tensor) -> float:
    """Of the mean over passes; 0 of a single one, which is exact."""
    return float(sums_P.std()) / len(sums_P) ** 0.5 if len(sums_P) > 1 else 0.0
