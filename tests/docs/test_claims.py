"""Numbers in README and docs/results.md are those of the committed fits."""

import re
from pathlib import Path

import numpy as np
import pytest

from bytegap.schema.base import Quantity
from bytegap.schema.claims import Claim
from bytegap.schema.fit import Fit
from bytegap.study.directory import StudyDir

ROOT = Path(__file__).parents[2]
RESULTS = sorted(path.parent.name for path in (ROOT / "results").glob("*/fit.json"))
PAIR = ("byte-{}", "bpe512-{}")
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


def percent(quantity: Quantity) -> str:
    assert quantity.value is not None
    assert quantity.ci95 is not None
    low, high = (f"{100 * end:.0f}" for end in quantity.ci95)
    return f"{100 * quantity.value:.0f} % ({low} to {high} %)"


def headlines(fit: Fit) -> list[str]:
    """README's bullets about the laptop study."""
    ar, mdm = (tuple(name.format(objective) for name in PAIR) for objective in ("ar", "mdm"))
    k_ar, k_mdm, interaction = claim(fit, *ar), claim(fit, *mdm), claim(fit, *mdm, *ar)
    assert fit.likelihoods is not None
    share = {each.gain: each for each in fit.likelihoods.shares if each.arms == interaction.arms}
    assert {each.label for each in share.values()} == {"estimated"}
    assert all(each.ci95 for each in (k_ar, k_mdm, interaction))
    order, slack = (percent(share[gain].share) for gain in ("order gain", "slack"))
    cost_ar = f"{number(k_ar.value)} times ({between(*k_ar.ci95)}) the compute of BPE models with 512 tokens"
    cost_mdm = f"{number(k_mdm.value)} times ({between(*k_mdm.ci95)}) the compute of their BPE counterparts"
    ratio = f"{number(np.exp(interaction.value))} times ({between(*np.exp(interaction.ci95))}) that under AR"
    gain = "order gain (exact likelihood under the best fixed unmasking rule, in place of the NELBO)"
    bound = "slack (the part of the NELBO that averaging eight random orders removes)"
    at = f"At an equal loss of {interaction.at_bpb:.2f} BPB"
    return [
        f"Autoregressive byte models need {cost_ar} to reach {k_ar.at_bpb:.2f} BPB.",
        f"Masked-diffusion byte models need {cost_mdm} to reach {k_mdm.at_bpb:.2f} BPB.",
        f"{at}, the overhead of bytes under masked diffusion is {ratio}.",
        f"Of the logarithm of that ratio, {gain} explains {order}, and {bound} {slack}.",
    ]


def qualifications(fit: Fit) -> list[str]:
    """What README says below its bullets."""
    executed = claim(fit, *(name.format("mdm") for name in PAIR)).executed
    assert executed is not None
    assert executed.ci95 is not None
    (bigram,) = {line.bigram_bpb for line in fit.ngram_baselines if line.tokenizer == "bpe512"}
    return [
        f"the overhead under masked diffusion is {number(executed.value)} times ({between(*executed.ci95)}).",
        f"a bigram model of the BPE tokens, with {bigram:.2f} BPB, is still better",
    ]


def test_readme_has_the_numbers_of_the_laptop_study():
    text, fit = section(ROOT / "README.md", "What came out"), of_study("laptop")
    assert [words(bullet) for bullet in re.findall(r"^- (.*)$", text, re.MULTILINE)] == headlines(fit)
    for sentence in qualifications(fit):
        assert sentence in words(text)


@pytest.mark.parametrize("name", RESULTS)
def test_results_state_every_conclusion_of_a_fit(name):
    """Of a study that records its documents: the others are of earlier statistics, and say so."""
    fit = of_study(name)
    if fit.held_out_documents is None:
        pytest.skip("its intervals leave out documents")
    text = words(section(ROOT / "docs" / "results.md", name))
    for each in fit.claims:
        assert each.status == "not identified" or each.sentence in text


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
    parts = dumped.values() if isinstance(dumped, dict) else dumped if isinstance(dumped, (list, tuple)) else ()
    return [each for part in parts for each in quantities(part)]


NUMBER = r"(-?\d+(?:\.\d+)?)"
INTERVAL = re.compile(rf"{NUMBER}(?: %| times)? \({NUMBER} to {NUMBER}( %)?\)")


@pytest.mark.parametrize("name", RESULTS)
def test_intervals_in_results_are_those_of_the_fit(name):
    """Every 'value (low to high)' in a study's section is, rounded as it is there, a quantity of its fit."""
    fit = of_study(name)
    if fit.held_out_documents is None:
        pytest.skip("its intervals leave out documents")
    known = triples(fit)
    stale = []
    for *printed, share in INTERVAL.findall(words(section(ROOT / "docs" / "results.md", name))):
        scale = 100 if share else 1
        half = np.array([0.5001 * 10.0 ** -len(each.partition(".")[2]) for each in printed])
        if not (np.abs(scale * known - np.array(printed, float)) <= half).all(axis=1).any():
            stale.append(printed)
    assert not stale
