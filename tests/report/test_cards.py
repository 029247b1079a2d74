"""Cards: a value where it is identified, and otherwise what is missing."""

import pytest

from bytegap.report.cards import MOST_MISSING, cards
from bytegap.report.inputs import read_inputs
from bytegap.schema.claims import Claim, Recount

TIMES = "\N{MULTIPLICATION SIGN}"
ESTIMATED = Claim(
    kind="overhead",
    objective="ar",
    arms=("byte-ar", "bpe-ar"),
    at_bpb=2.0,
    status="estimated",
    value=1.5,
    ci95=(1.2, 1.98),
    executed=Recount(convention="full", value=1.6, ci95=(1.3, 2.0)),
)
BOUND = ESTIMATED.model_copy(
    update={"status": "bound", "bound": ">", "value": 2.7, "sentence": "A bound.", "remedy": "It would take more."}
)
UNKNOWN = Claim(
    kind="interaction",
    objective="mdm - ar",
    arms=("byte-mdm", "bpe-mdm", "byte-ar", "bpe-ar"),
    status="not identified",
    sentence="Not identified: no common loss.",
    remedy="It would take a larger budget.",
)


@pytest.fixture
def fit(study, build, tmp_path):
    return read_inputs(build(tmp_path / "out"), study.name, study.arms).fit


def test_an_estimate_has_its_value_interval_and_executed_flops(fit):
    (card,) = cards(fit.model_copy(update={"claims": (ESTIMATED,)}))
    assert (card.title, card.note) == ("compute overhead of bytes, k", "byte-ar / bpe-ar, at 2 BPB")
    assert (card.value, card.missing) == (f"1.5{TIMES}", "")
    assert card.interval == f"95 % CI [1.2{TIMES}, 1.98{TIMES}]"
    assert card.executed == f"by executed FLOPs 1.6{TIMES}"


def test_an_equivalence_names_its_margin(fit):
    claim = ESTIMATED.model_copy(update={"status": "equivalent", "margin": 2.0})
    (card,) = cards(fit.model_copy(update={"claims": (claim,)}))
    assert card.note.endswith(", equivalent within 2")


def test_a_bound_says_what_would_identify_it(fit):
    (card,) = cards(fit.model_copy(update={"claims": (BOUND,)}))
    assert (card.value, card.interval, card.executed) == (f"> 2.7{TIMES}", "", "")
    assert card.missing == "A bound. It would take more."


def test_what_is_identified_comes_first_and_the_rest_is_limited(fit):
    claims = (UNKNOWN,) * (MOST_MISSING + 2) + (ESTIMATED,)
    found = cards(fit.model_copy(update={"claims": claims}))
    assert [bool(card.missing) for card in found] == [False] + [True] * MOST_MISSING
    assert found[1].value == ""
    assert found[1].note == "byte-mdm / bpe-mdm against byte-ar / bpe-ar"
