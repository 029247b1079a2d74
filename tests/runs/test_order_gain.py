"""Order gain and slack of paired scores, against closed forms and a simulation."""

import math

import numpy as np
import pytest

from bytegap.runs.order_gain import order_gain, paired_difference, slack
from bytegap.schema.runs import RuleScore, chosen_rule

BYTES = (100, 300, 50, 150)


def score(likelihood="left", split="test", nats=(10.0, 20.0, 5.0, 15.0), nelbo=(12.0, 25.0, 5.5, 18.0), sizes=BYTES):
    return RuleScore(
        likelihood=likelihood,
        split=split,
        nats=sum(nats),
        nats_se=0,
        nelbo_nats=sum(nelbo),
        nelbo_se=0.1,
        bytes=sum(sizes),
        windows=20,
        unit="document",
        document_nats=nats,
        nelbo_document_nats=nelbo,
        document_bytes=sizes,
    )


def test_the_difference_is_in_bits_per_byte_of_all_documents():
    found = paired_difference(score())
    assert found.bpb == pytest.approx((60.5 - 50) / math.log(2) / 600)
    assert found.units == 4


def test_documents_of_equal_length_have_the_error_of_a_mean():
    found = paired_difference(score(sizes=(100,) * 4))
    differences = np.array([2.0, 5.0, 0.5, 3.0])
    assert found.bpb_se == pytest.approx(differences.std(ddof=1) / 2 / 100 / math.log(2))


def test_the_error_is_the_spread_over_samples_of_documents():
    rng, found, stated = np.random.default_rng(0), [], []
    for _ in range(400):
        sizes = rng.integers(500, 1500, 25)
        differences = sizes * (0.1 + 0.02 * rng.standard_normal(25))
        nelbo = sizes * 2.0
        own = paired_difference(score(nats=tuple(nelbo - differences), nelbo=tuple(nelbo), sizes=tuple(sizes.tolist())))
        found.append(own.bpb)
        stated.append(own.bpb_se)
    assert np.mean(stated) == pytest.approx(np.std(found, ddof=1), rel=0.1)


def test_one_document_has_no_error():
    assert paired_difference(score(nats=(1.0,), nelbo=(2.0,), sizes=(9,))).bpb_se is None


def test_the_rule_is_chosen_on_validation_and_never_on_test():
    worse, better = (30.0, 20.0, 5.0, 15.0), (9.0, 20.0, 5.0, 15.0)
    scores = [
        score("left", "validation", nats=better),
        score("confidence", "validation", nats=worse),
        score("confidence", nats=better),
        score("orders:8", nats=(11.0, 24.0, 5.4, 17.0)),
        score("left", nats=worse),
    ]
    assert chosen_rule(scores) == "left"
    assert order_gain(scores) == paired_difference(scores[4])
    assert slack(scores) == paired_difference(scores[3])


def test_a_run_without_scores_has_neither():
    assert chosen_rule([]) is order_gain([]) is slack([]) is None
