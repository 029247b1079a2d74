"""Numbers in README and docs/results.md are those of the committed fits."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from bytegap.scaling.documents import mean_difference
from bytegap.schema.base import Quantity
from bytegap.schema.claims import Claim
from bytegap.schema.fit import Fit
from bytegap.study.directory import PROBE, StudyDir

ROOT = Path(__file__).parents[2]
RESULTS = sorted(path.parent.name for path in (ROOT / "results").glob("*/fit.json"))
LARGER = "laptop-2048"
PAIR = ("byte-{}", "bpe512-{}")
CURE = [name for name in RESULTS if name.startswith("cure")]
"""Studies whose page is docs/cure.md."""
IN_OTHERS = {"interaction", "slopes"}
"""Claims that the cure's page leaves out: their numbers follow from those of others."""
MOST_LN = 10
"""Of an interaction that is worth printing as a ratio."""


def words(text: str) -> str:
    """The text on one line, without emphasis."""
    return " ".join(text.replace("*", "").split())


def section(page: Path, heading: str) -> str:
    """What follows a heading of the second level, up to the next."""
    body = rf"^## {heading}(?![\w-])[^\n]*\n(.*?)(?=^## |\Z)"  # not laptop-2048 for laptop
    (found,) = re.findall(body, page.read_text(), re.DOTALL | re.MULTILINE)
    return found


def of_study(name: str) -> Fit:
    return StudyDir(ROOT / "results" / name).fit()


def claim(fit: Fit, *arms: str) -> Claim:
    (found,) = [each for each in fit.claims if each.arms == arms]
    assert found.status == "estimated"
    return found


def number(value: float) -> str:
    """To two significant digits."""
    return f"{value:#.2g}".rstrip(".")


def between(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def times(one: Claim) -> str:
    assert one.ci95 is not None
    return f"{number(one.value)} times ({between(*one.ci95)})"


def percent(quantity: Quantity, after: str = "") -> str:
    assert quantity.value is not None
    assert quantity.ci95 is not None
    low, high = (f"{100 * end:.0f}" for end in quantity.ci95)
    return f"{100 * quantity.value:.0f} %{after or ' ('}{low} to {high} %"


def statements(fit: Fit) -> list[str]:
    """What README says with the numbers of the laptop study."""
    ar, mdm = (tuple(name.format(objective) for name in PAIR) for objective in ("ar", "mdm"))
    k_ar, k_mdm, interaction = claim(fit, *ar), claim(fit, *mdm), claim(fit, *mdm, *ar)
    of_bytes, of_bpe = (claim(fit, *(name.format(each) for each in ("mdm", "ar"))) for name in PAIR)
    assert interaction.ci95 is not None
    ratio = f"{number(np.exp(interaction.value))} times ({between(*np.exp(interaction.ci95))})"
    assert fit.likelihoods is not None
    share = {each.gain: each for each in fit.likelihoods.shares if each.arms == interaction.arms}
    assert {each.label for each in share.values()} == {"estimated"}
    order, slack = percent(share["order gain"].share, " of it, "), percent(share["slack"].share)
    assert k_mdm.executed is not None
    assert k_mdm.executed.ci95 is not None
    executed = f"{number(k_mdm.executed.value)} times ({between(*k_mdm.executed.ci95)}; forms through minima only)"
    (bigram,) = {line.bigram_bpb for line in fit.ngram_baselines if line.tokenizer == "bpe512"}
    assert f"{of_bytes.at_bpb:.2f}" == f"{of_bpe.at_bpb:.2f}"
    bpe = "BPE models with a vocabulary of 512"
    at = f"at {interaction.at_bpb:.2f} BPB, the middle of the losses that all four arms reach"
    on_both = f"{times(of_bpe)} the compute of autoregression on BPE, and {times(of_bytes)} on bytes"
    highest, lowest = (ratio_at(fit, interaction, end) for end in (max, min))
    return [
        f"autoregressive byte models need {times(k_ar)} the compute of {bpe} to reach {k_ar.at_bpb:.2f} BPB.",
        f"Under masked diffusion it is {times(k_mdm)} at {k_mdm.at_bpb:.2f} BPB.",
        f"masked diffusion needs {on_both}, to reach {of_bytes.at_bpb:.2f} BPB.",
        f"{at}, the overhead of bytes under masked diffusion is {ratio} that under AR.",
        f"from {highest} BPB to {lowest}.",
        f"as it is ({order}), and the bound of eight random orders takes {slack}) of it away",
        f"the overhead under masked diffusion is {executed}.",
        f"a bigram model of the BPE tokens, with {bigram:.2f} BPB, is still better",
    ]


def ratio_at(fit: Fit, interaction: Claim, end: Callable[[Iterable[float]], float]) -> str:
    """exp(I) at one end of the losses at which it is estimated, covering all forms."""
    rows = [
        row
        for row in fit.estimands
        if row.arms == interaction.arms and row.label == "estimated" and row.at_bpb is not None and row.at_flops is None
    ]
    at = end(row.at_bpb for row in rows)
    found = [row.quantity for row in rows if row.at_bpb == at]
    low, high = min(each.ci95[0] for each in found), max(each.ci95[1] for each in found)
    return f"{number(np.exp(found[0].value))} ({between(np.exp(low), np.exp(high))}) at {at:.2f}"


def of_larger_vocabulary(fit: Fit) -> str:
    """What README says with the numbers of the laptop-2048 study."""
    k_ar, k_mdm = (next(each for each in fit.claims if each.objective == objective) for objective in ("ar", "mdm"))
    assert k_mdm.bound == ">"
    under_ar = f"{times(k_ar)} the compute of BPE models at {k_ar.at_bpb:.2f} BPB under AR"
    bound = f"more than {number(k_mdm.value)} times at {k_mdm.at_bpb:.2f} BPB under masked diffusion, which is a bound."
    return f"byte models need {under_ar}, and {bound}"


def test_readme_has_the_numbers_of_the_laptop_studies():
    text, laptop, larger = words(section(ROOT / "README.md", "What came out")), of_study("laptop"), of_study(LARGER)
    for sentence in [*statements(laptop), of_larger_vocabulary(larger)]:
        assert sentence in text
    assert not [each for each in not_in(laptop, text) if each in not_in(larger, text)]


@pytest.mark.parametrize("name", RESULTS)
def test_results_state_every_conclusion_of_a_fit(name):
    """Of a study that records its documents: the others are of earlier statistics, and say so."""
    fit = of_study(name)
    if fit.held_out_documents is None:
        pytest.skip("its intervals leave out documents")
    if name in CURE:
        text = words((ROOT / "docs" / "cure.md").read_text())
        for each in fit.claims:
            assert each.status == "not identified" or each.kind in IN_OTHERS or in_table(each) in text
        return
    text = words(section(ROOT / "docs" / "results.md", name))
    for each in fit.claims:
        assert each.status == "not identified" or each.sentence in text


def in_table(one: Claim) -> str:
    """A claim's number as the tables of the cure have it."""
    if one.bound:
        return f"{'less' if one.bound == '<' else 'more'} than {one.value:.3g}"
    assert one.ci95 is not None
    return f"{one.value:.3g} ({one.ci95[0]:.3g} to {one.ci95[1]:.3g})"


def triples(fit: Fit) -> np.ndarray:
    """(value, low, high) of all that a fit estimates, each form alone and the interval that covers all forms.

    Also their logarithms, exponentials, and what a difference is the other way round.
    """
    found = [(each.value, *each.ci95) for each in quantities(fit.model_dump()) if each.value is not None and each.ci95]
    forms: dict[tuple[object, ...], list[Quantity]] = {}
    for row in fit.estimands:
        if row.quantity.value is not None and row.quantity.ci95:
            key = (row.name, row.arms, row.at_bpb, row.label)
            forms.setdefault(key, []).append(row.quantity)
    for own in forms.values():
        low, high = min(each.ci95[0] for each in own), max(each.ci95[1] for each in own)
        found += [(each.value, low, high) for each in own]
    logs = [tuple(np.log(each)) for each in found if min(each) > 0]
    ratios = [tuple(np.exp(each)) for each in found if max(each) < MOST_LN]
    return np.array([*found, *logs, *ratios, *((-value, -high, -low) for value, low, high in found)])


def quantities(dumped: object) -> list[Quantity]:
    """All quantities in a dumped model."""
    if isinstance(dumped, dict) and dumped.keys() == Quantity.model_fields.keys():
        return [Quantity.model_validate(dumped)]
    if isinstance(dumped, dict) and "value" in dumped and dumped.get("ci95"):  # a claim, also by executed FLOPs
        own = Quantity(value=dumped["value"], ci95=dumped["ci95"])
        return [own, *quantities(dumped.get("executed"))]
    parts = dumped.values() if isinstance(dumped, dict) else dumped if isinstance(dumped, (list, tuple)) else ()
    return [each for part in parts for each in quantities(part)]


def probed(name: str) -> list[Quantity]:
    """Infilling by a study's models less that by plain masked diffusion, bits per byte."""
    probe = StudyDir(ROOT / "results" / name).find_readable(PROBE)
    rows = probe.infilling if probe else ()
    plain = {(row.budget_flops, row.gap): row for row in rows if row.objective == "mdm"}
    found: list[Quantity] = []
    for row in rows:
        other = plain[row.budget_flops, row.gap]
        one_H, other_H = (np.array(each.document_nats) / np.log(2) for each in (row, other))
        value, ci95 = mean_difference(one_H, other_H, np.array(row.document_bytes))
        found.append(Quantity(value=value, ci95=ci95))
    return found


NUMBER = r"(-?\d+(?:\.\d+)?)"
INTERVAL = re.compile(rf"{NUMBER}(?: %| times)? \({NUMBER} to {NUMBER}( %)?[);]")


def not_in(fit: Fit, text: str, others: Iterable[Quantity] = ()) -> list[list[str]]:
    """The intervals in a text that are not, rounded as they are there, those of the fit or of another quantity."""
    audited = [(each.value, *each.ci95) for each in others if each.value is not None and each.ci95]
    known, missing = np.array([*triples(fit), *audited]), []
    for *printed, share in INTERVAL.findall(text):
        scale = 100 if share else 1
        half = np.array([0.5001 * 10.0 ** -len(each.partition(".")[2]) for each in printed])
        if not (np.abs(scale * known - np.array(printed, float)) <= half).all(axis=1).any():
            missing.append(printed)
    return missing


@pytest.mark.parametrize("name", RESULTS)
def test_intervals_in_results_are_those_of_the_fit(name):
    """Every 'value (low to high)' in a study's section is, rounded as it is there, of its fit or its tuning audit."""
    fit = of_study(name)
    if fit.held_out_documents is None:
        pytest.skip("its intervals leave out documents")
    if name in CURE:
        text = words((ROOT / "docs" / "cure.md").read_text())
        others = [each for other in CURE for each in quantities(of_study(other).model_dump())]
        probes = [each for other in CURE for each in probed(other)]
        assert not not_in(fit, text, [*others, *probes])
        return
    tuning = quantities([row.model_dump() for row in StudyDir(ROOT / "results" / name).audit().tuning])
    assert not not_in(fit, words(section(ROOT / "docs" / "results.md", name)), tuning)
