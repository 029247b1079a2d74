"""The cards at the head of the page: one per comparison, with its value, or with what is missing to know it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bytegap.report import format as fmt
from bytegap.schema.base import Quantity
from bytegap.schema.fit import Cell, Estimand, Fit

_NO_DIFFERENCE = {"overhead": 1.0, "interaction": 0.0}


@dataclass(frozen=True)
class Card:
    """One comparison of arms."""

    title: str
    """What is compared."""
    value: str
    """The estimate, or a bound that says something; else empty."""
    interval: str
    """The 95 % interval of an estimate, with its unit."""
    note: str
    """The arms, and the loss that the value is for."""
    missing: str
    """Why it is not identified and what would identify it; empty where it is identified."""


def cards(fit: Fit) -> list[Card]:
    """A card per pair of arms and per interaction, those that are identified first."""
    # Pairs in which an arm has no frontier have no overhead, only gaps between minima.
    compared = [
        ("overhead" if item.name == "gap" else item.name, item.arms)
        for item in fit.estimands
        if item.name in {"overhead", "interaction"} or item.form == "minima"
    ]
    found = [_card(name, arms, fit) for name, arms in dict.fromkeys(compared)]
    return sorted(found, key=lambda card: bool(card.missing))


def _card(name: str, arms: tuple[str, ...], fit: Fit) -> Card:
    rows = [item for item in fit.estimands if (item.name, item.arms) == (name, arms)]
    headline = next((item for item in rows if item.headline and item.quantity.value is not None), None)
    title = fmt.ESTIMAND_NAMES[name]
    compared = " against ".join(" / ".join(arms[at : at + 2]) for at in range(0, len(arms), 2))
    if headline is None:
        return Card(title, "", "", compared, _obstacle(arms, fit.cells) or _no_common_loss(arms, fit))
    ci95 = _widest(headline, rows)
    note = f"{compared}, {fmt.evaluated_at(headline)}"
    obstacle = _obstacle(arms, fit.cells)
    if obstacle or headline.label != "estimated":
        bound = "" if obstacle else _bound(headline, ci95)
        return Card(title, bound, "", note if bound else compared, obstacle or _no_common_loss(arms, fit))
    formatted = fmt.interval(Quantity(value=headline.quantity.value, ci95=ci95), fmt.ESTIMAND_FORMATTERS[name])
    interval = f"95 % CI {formatted} {fmt.ESTIMAND_UNITS[name]}".strip() if ci95 else ""
    return Card(title, fmt.value_or_bound(headline), interval, note, "")


def _widest(headline: Estimand, rows: Sequence[Estimand]) -> tuple[float, float] | None:
    """The interval that covers those of all forms of the frontier at the headline's loss, as in the verdict."""
    key = (headline.at_bpb, headline.at_flops, headline.label)
    same = [item.quantity.ci95 for item in rows if (item.at_bpb, item.at_flops, item.label) == key]
    known = [each for each in same if each]
    return (min(low for low, _ in known), max(high for _, high in known)) if known and known == same else None


def _bound(headline: Estimand, ci95: tuple[float, float] | None) -> str:
    """The end of a bound's interval that claims least; empty where it says nothing, such as k > 0.9."""
    if ci95 is None or not headline.bound:
        return ""
    if headline.bound == ">":
        end, says_nothing = ci95[0], ci95[0] <= _NO_DIFFERENCE[headline.name]
    else:
        end, says_nothing = ci95[1], headline.name == "interaction" and ci95[1] >= 0
    return "" if says_nothing else f"{headline.bound} {fmt.ESTIMAND_FORMATTERS[headline.name](end)}"


def _obstacle(arms: Sequence[str], cells: Sequence[Cell]) -> str:
    """Why no frontier of some arm can be used, and what it needs; empty if all can."""
    for arm in arms:
        own = sorted((cell for cell in cells if cell.arm == arm), key=lambda cell: cell.budget_flops)
        if not own:
            return f"{arm} has no finished run: train it."
        if not own[-1].learns_context:
            return f"{arm} does not yet learn context at its largest budget: it needs larger ones."
        if not any(cell.in_frontier for cell in own):
            return f"{arm} has no budget with a bracketed minimum: it needs more sizes around it."
    return ""


def _no_common_loss(arms: Sequence[str], fit: Fit) -> str:
    """Which losses each arm was observed at, and what would make them overlap."""
    observed = {frontier.arm: frontier.bpb_observed for frontier in fit.frontiers}
    ranges = [
        f"{arm} at {observed[arm][0]:.2f} to {observed[arm][1]:.2f} BPB" if arm in observed else f"{arm} at one budget"
        for arm in dict.fromkeys(arms)
    ]
    return f"Observed at no common loss: {', '.join(ranges)}. Budgets at which all reach one loss would identify it."
