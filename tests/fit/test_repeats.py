"""The headlines in each repeat of a study, and the spread between repeats, which is shown and not added."""

import math
import statistics
from collections.abc import Sequence

import pytest

from bytegap.fit import repeats, sentences
from bytegap.fit.stage import fit_rows
from bytegap.schema.fit import Estimand, Fit, RepeatSpread
from bytegap.schema.runs import RunRow
from tests.helpers.synthetic_runs import LAWS, simulated_rows

AR = ("byte-ar", "bpe512-ar")
MDM = ("byte-mdm", "bpe512-mdm")
DRAWS = 50
NEW_FIELDS = {"by_repeat", "repeat_spread"}


def rows_of(repeat: int, arms: Sequence[str] = tuple(LAWS)) -> list[RunRow]:
    """One study of the known laws, under seeds of its own."""
    return [
        row.model_copy(update={"repeat": repeat, "run": f"{repeat}{row.run}", "seed": row.seed + 1_000_000 * repeat})
        for row in simulated_rows({arm: LAWS[arm] for arm in arms}, seed=repeat)
    ]


THREE = [*rows_of(0), *rows_of(1), *rows_of(2)]


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fit_rows(THREE, DRAWS)


def ln_flops(alone: Fit, arm: str, like: Estimand) -> float:
    """ln C(L) of the frontier that fit.json states: L = E + A C^-g."""
    (law,) = [each for each in alone.frontiers if (each.arm, each.form) == (arm, like.form)]
    E, A, g = law.irreducible_loss_bpb.value, law.amplitude.value, law.exponent.value
    return math.log(A / (like.at_bpb - E)) / g


@pytest.mark.parametrize("repeat", [0, 1, 2])
def test_estimates_of_a_repeat_are_those_of_a_fit_of_its_rows_alone(fit: Fit, repeat: int) -> None:
    found = fit.by_repeat[repeat]
    alone = fit_rows(rows_of(repeat), DRAWS)
    assert (found.repeat, found.runs, found.bootstraps) == (repeat, len(rows_of(repeat)), DRAWS)
    assert found.cells_in_frontier == sum(cell.in_frontier for cell in alone.cells)
    headlines = [row for row in fit.estimands if row.headline]
    assert len(headlines) == 3
    for headline in headlines:
        key = (headline.name, headline.arms, headline.form, headline.at_bpb)
        (row,) = [row for row in found.estimands if (row.name, row.arms, row.form, row.at_bpb) == key]
        byte, other, *base = (ln_flops(alone, arm, headline) for arm in headline.arms)
        ln_k = byte - other
        expected = ln_k - (base[0] - base[1]) if base else math.exp(ln_k)
        assert row.quantity.value == pytest.approx(expected, rel=1e-9)
        assert row.label == "estimated"


def test_spread_is_the_standard_deviation_over_repeats(fit: Fit) -> None:
    assert [(spread.name, spread.arms) for spread in fit.repeat_spread] == [
        ("overhead", AR),
        ("overhead", MDM),
        ("interaction", (*MDM, *AR)),
    ]
    for spread, claim in zip(fit.repeat_spread, fit.claims, strict=True):
        values = [
            row.quantity.value
            for repeat in fit.by_repeat
            for row in repeat.estimands
            if (row.name, row.arms, row.at_bpb) == (spread.name, spread.arms, spread.at_bpb)
        ]
        assert spread.values == tuple(values)
        assert (spread.repeats, spread.objective, spread.at_bpb) == (3, claim.objective, claim.at_bpb)
        logs = values if spread.name == "interaction" else [math.log(value) for value in values]
        assert spread.sd_ln == pytest.approx(statistics.stdev(logs), rel=1e-12)
        assert spread.within == len([value for value in values if claim.ci95[0] <= value <= claim.ci95[1]])


@pytest.mark.parametrize(("ends", "within"), [((1, math.inf), 2), ((-math.inf, 1), 2), ((1, 1), 1), ((0, 2), 3)])
def test_only_values_inside_the_interval_that_the_claim_states_are_within(
    fit: Fit, ends: tuple[float, float], within: int
) -> None:
    """`ends` are numbers of the sorted values, or infinite."""
    values = sorted(fit.repeat_spread[0].values)
    ci95 = tuple(end if math.isinf(end) else values[end] for end in ends)
    claims = [claim.model_copy(update={"ci95": ci95}) for claim in fit.claims]
    assert next(repeats.spreads(fit.by_repeat, fit.estimands, claims)).within == within


def test_a_claim_that_is_no_estimate_has_no_spread(fit: Fit) -> None:
    claims = [claim.model_copy(update={"status": "bound"}) for claim in fit.claims]
    assert not list(repeats.spreads(fit.by_repeat, fit.estimands, claims))


@pytest.mark.parametrize("label", ["censored", "extrapolated"])
def test_bounds_and_extrapolations_of_a_repeat_are_no_values(fit: Fit, label: str) -> None:
    first, *others = fit.by_repeat
    beyond = [row.model_copy(update={"label": label}) for row in first.estimands]
    changed = [first.model_copy(update={"estimands": beyond}), *others]
    for spread, own in zip(repeats.spreads(changed, fit.estimands, fit.claims), fit.repeat_spread, strict=True):
        assert (spread.repeats, spread.values) == (2, own.values[1:])


def test_spread_is_not_added_to_the_estimates(fit: Fit) -> None:
    one = fit_rows([row.model_copy(update={"repeat": 0}) for row in THREE], DRAWS)
    assert (one.by_repeat, one.repeat_spread) == ((), ())
    assert one.verdict == tuple(claim.sentence for claim in fit.claims)
    changed = NEW_FIELDS | {"inputs_sha256", "verdict"}
    assert one.model_dump(exclude=changed) == fit.model_dump(exclude=changed)


def test_neither_the_order_nor_the_numbers_of_repeats_matter(fit: Fit) -> None:
    assert fit_rows(THREE[::-1], DRAWS) == fit
    renumbered = fit_rows([row.model_copy(update={"repeat": 2 - row.repeat}) for row in THREE], DRAWS)
    assert [each.estimands for each in renumbered.by_repeat] == [each.estimands for each in fit.by_repeat[::-1]]
    for spread, own in zip(renumbered.repeat_spread, fit.repeat_spread, strict=True):
        assert spread.values == own.values[::-1]
        assert spread.sd_ln == pytest.approx(own.sd_ln, rel=1e-12)
        assert spread.within == own.within


def test_a_fit_from_before_repeats_is_read(noisy: Fit) -> None:
    former = noisy.model_dump(mode="json", exclude=NEW_FIELDS)
    assert not NEW_FIELDS & former.keys()
    assert Fit.model_validate(former) == noisy


LOST = {"status": "failed", "reason": "loss is not finite", "bpb": None, "bpb_se": None}


@pytest.mark.parametrize("few", [rows_of(2)[:3], [row.model_copy(update=LOST) for row in rows_of(2)]])
def test_a_repeat_of_too_few_runs_is_left_out_with_a_warning(few: list[RunRow]) -> None:
    fit = fit_rows([*rows_of(0), *rows_of(1), *few], DRAWS)
    assert [each.repeat for each in fit.by_repeat] == [0, 1]
    (warning,) = [each for each in fit.warnings if "repeat" in each]
    assert warning.startswith("repeat 2 has no fit of its own")
    assert "no arm has finished runs of 4 sizes at one budget" in warning
    assert "Of the 3 repeats of the study, each fitted alone, 2 have an estimate: k = " in fit.verdict[0]


def test_a_repeat_without_an_arm_has_no_estimate_of_it() -> None:
    fit = fit_rows([*rows_of(0), *rows_of(1, AR)], DRAWS)
    assert [each.runs for each in fit.by_repeat] == [60, 30]
    ar, mdm, interaction = fit.repeat_spread
    assert (ar.repeats, mdm.repeats, interaction.repeats) == (2, 1, 1)
    assert ar.sd_ln is not None
    assert (mdm.sd_ln, interaction.sd_ln) == (None, None)
    assert not [warning for warning in fit.warnings if "repeat" in warning]
    assert "The 2 repeats of the study, each fitted alone, have k = " in fit.verdict[0]
    assert f"1 has an estimate: k = {mdm.values[0]:.3g}." in fit.verdict[1]


def test_each_claim_is_followed_by_its_repeats(fit: Fit) -> None:
    for sentence, claim, spread in zip(fit.verdict, fit.claims, fit.repeat_spread, strict=True):
        name, deviates = ("I", "I") if claim.kind == "interaction" else ("k", "ln k")
        first, second, third = (f"{value:.3g}" for value in spread.values)
        assert sentence == (
            f"{claim.sentence} The 3 repeats of the study, each fitted alone, have {name} = {first}, {second} and "
            f"{third} (standard deviation of {deviates} {spread.sd_ln:.2g}); {spread.within} of 3 within the interval."
        )


def test_parities_and_slopes_of_the_same_arms_have_no_repeats(fit: Fit) -> None:
    parity = fit.claims[0].model_copy(update={"kind": "parity", "at_bpb": None, "sentence": "Parity."})
    slopes = parity.model_copy(update={"kind": "slopes", "sentence": "Slopes."})
    assert sentences.verdict([parity, slopes], 24, fit.repeat_spread, 3) == ["Parity.", "Slopes."]


def test_no_estimate_in_any_repeat(fit: Fit) -> None:
    none = RepeatSpread.model_validate(
        fit.repeat_spread[0].model_dump() | {"repeats": 0, "values": (), "sd_ln": None, "within": 0}
    )
    (sentence,) = sentences.verdict(fit.claims[:1], 24, [none], 4)
    assert sentence.endswith(" Of the 4 repeats of the study, each fitted alone, none has an estimate.")
