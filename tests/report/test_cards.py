"""Cards: a value where it is identified, and otherwise what is missing."""

import pytest

from bytegap.report.cards import cards
from bytegap.report.inputs import read_inputs
from bytegap.schema.base import Quantity


@pytest.fixture
def fit(study, build, tmp_path):
    return read_inputs(build(tmp_path / "out"), study.name, study.arms).fit


def changed(fit, **update):
    return fit.model_copy(update=update)


def test_what_is_identified_has_its_value_and_widest_interval(fit):
    found = cards(fit)
    assert [(card.title, card.note) for card in found] == [
        ("compute overhead of bytes, k", "byte-ar / bpe-ar, at 2 BPB"),
        ("compute overhead of bytes, k", "byte-mdm / bpe-mdm, at 2 BPB"),
        ("interaction, difference of ln k", "bpe-ar / byte-ar against bpe-mdm / byte-mdm, at 2 BPB"),
    ]
    assert not any(card.missing for card in found)
    assert found[0].value == "1.5\N{MULTIPLICATION SIGN}"
    # The forms give 1.5 +- 20 % and 1.65 +- 20 %.
    assert found[0].interval == "95 % CI [1.2\N{MULTIPLICATION SIGN}, 1.98\N{MULTIPLICATION SIGN}]"


def test_a_bound_is_no_headline_and_says_what_would_identify_it(fit):
    rows = [
        item.model_copy(update={"label": "censored", "bound": ">", "quantity": Quantity(value=3.2, ci95=(2.7, 3.8))})
        if item.headline and item.objective == "mdm"
        else item
        for item in fit.estimands
    ]
    *others, card = cards(changed(fit, estimands=rows))
    assert not any(each.missing for each in others)
    assert card.value == "> 2.7\N{MULTIPLICATION SIGN}"  # the end of its interval that claims least
    assert not card.interval
    assert card.missing.startswith("Observed at no common loss: byte-mdm at ")
    assert "would identify it" in card.missing


@pytest.mark.parametrize(
    ("update", "missing"),
    [
        ({"in_frontier": False, "bracketed": False}, "byte-ar has no budget with a bracketed minimum"),
        ({"learns_context": False}, "byte-ar does not yet learn context at its largest budget"),
    ],
)
def test_an_arm_without_a_frontier_is_named(fit, update, missing):
    cells = [cell.model_copy(update=update) if cell.arm == "byte-ar" else cell for cell in fit.cells]
    ok, overhead, interaction = cards(changed(fit, cells=cells))
    assert not ok.missing
    assert overhead.missing.startswith(missing)
    assert interaction.missing.startswith(missing)


def test_an_arm_that_was_not_run_is_named(fit):
    cells = [cell for cell in fit.cells if cell.arm != "byte-ar"]
    assert "byte-ar has no finished run" in cards(changed(fit, cells=cells))[1].missing


@pytest.mark.parametrize(("low", "bound", "shown"), [(0.9, ">", ""), (1.2, ">", "> 1.2"), (0.9, "<", "< 3.8")])
def test_a_bound_that_says_nothing_is_not_shown(fit, low, bound, shown):
    quantity = Quantity(value=2.0, ci95=(low, 3.8))
    rows = [
        item.model_copy(update={"label": "censored", "bound": bound, "quantity": quantity})
        if item.headline and item.objective == "ar"
        else item
        for item in fit.estimands
    ]
    card = next(card for card in cards(changed(fit, estimands=rows)) if card.missing)
    assert card.value.rstrip("\N{MULTIPLICATION SIGN}") == shown
