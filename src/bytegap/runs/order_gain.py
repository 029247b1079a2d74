"""Order gain and slack of a masked run: how much its NELBO exceeds other likelihoods of the same network. No torch.

    order gain = NELBO - nats by the unmasking rule that is best on validation windows
    slack      = NELBO - the bound of K random orders, which grows with K towards -ln p of the random-order mixture

both in bits per byte of the same windows.
The standard error is that of a ratio of sums over documents, D of them, each with difference d and bytes b:

    sqrt(D / (D - 1) sum over documents of (d - mean b)^2) / sum of b,  mean = sum of d / sum of b

(Cochran 1977, Sampling Techniques, eq. 6.13, without the correction for a finite population).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from bytegap.cost.bits import bits_per_byte
from bytegap.schema.runs import RuleScore, chosen_rule

_ORDERS = "orders:"


@dataclass(frozen=True)
class PairedDifference:
    """NELBO minus another likelihood, over the same windows."""

    likelihood: str
    bpb: float
    bpb_se: float | None
    """None with fewer than two units."""
    units: int
    """Documents, or windows where their documents are not known: a t quantile has one degree of freedom less."""


def paired_difference(score: RuleScore) -> PairedDifference:
    """NELBO minus the score's likelihood, in bits per byte."""
    n_bytes, units = sum(score.document_bytes), len(score.document_bytes)
    pairs = zip(score.nelbo_document_nats, score.document_nats, strict=True)
    differences = [nelbo - other for nelbo, other in pairs]
    mean = sum(differences) / n_bytes
    error = None
    if units > 1:
        squares = sum((own - mean * n) ** 2 for own, n in zip(differences, score.document_bytes, strict=True))
        error = bits_per_byte(sqrt(units / (units - 1) * squares), n_bytes)
    return PairedDifference(score.likelihood, bits_per_byte(mean * n_bytes, n_bytes), error, units)


def order_gain(scores: Sequence[RuleScore]) -> PairedDifference | None:
    """NELBO minus the rule chosen on validation, on test windows; None if no rule was scored."""
    rule = chosen_rule(scores)
    return next((paired_difference(own) for own in scores if (own.split, own.likelihood) == ("test", rule)), None)


def slack(scores: Sequence[RuleScore]) -> PairedDifference | None:
    """NELBO minus the K-order bound, on test windows; None if none was scored."""
    found = (own for own in scores if own.split == "test" and own.likelihood.startswith(_ORDERS))
    return next((paired_difference(own) for own in found), None)
