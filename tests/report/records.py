"""Parts of a fit that the report shows: refits under other choices, other likelihoods, noise and skew."""

from bytegap.schema.base import Quantity
from bytegap.schema.fit import (
    EdgeResult,
    ExplainedShare,
    GateResult,
    LikelihoodGain,
    Likelihoods,
    NoiseLevel,
    RepeatResult,
    RepeatSpread,
)

NOISE = (
    NoiseLevel(objective="ar", permutations=("identity", "fixed"), pooled=True, residual_sd=0.003123456, dof=21,
               seed_effect_sd=0.0012345, seed_effect="estimated"),
    NoiseLevel(objective="mdm", permutations=("identity",), pooled=False, residual_sd=0.0062, dof=18,
               seed_effect_sd=0.00372, seed_effect="assumed"),
)  # fmt: skip
CHOSEN = {"byte-mdm": "left", "bpe-mdm": "confidence"}
"""The unmasking rule of each masked arm."""


def quantity(value, half_width):
    """A value with an interval of this half-width."""
    return Quantity(value=value, ci95=(value - half_width, value + half_width))


def skew(names):
    """Two arms' curves are skewed; `names` maps names of arms to those that they go by."""
    return {names["byte-mdm"]: quantity(-0.0041234, 0.003), names["bpe-ar"]: Quantity(value=0.0012)}


def curvature(names):
    """All arms but bpe-mdm state theirs."""
    return {names["byte-ar"]: "shared", names["bpe-ar"]: "linear", names["byte-mdm"]: "own"}


def headlines(estimands, factor):
    """The headlines, and the parities in their form, their values multiplied by `factor`."""
    return tuple(
        item.model_copy(update={"quantity": Quantity(value=item.quantity.value * factor, ci95=item.quantity.ci95)})
        for item in estimands
        if item.headline or (item.name, item.form) == ("parity", "shared irreducible loss")
    )


def by_edge(estimands):
    """The headlines under two edges of the scoring windows."""
    return [
        EdgeResult(edge=edge, bootstraps=draws, cells_in_frontier=11, estimands=headlines(estimands, factor))
        for edge, draws, factor in (("tokens", 400, 1.0), ("any", 200, 1.03))
    ]


def by_gate(estimands):
    """The headlines under three gates; the last yields a bound, and a headline at a loss of its own."""
    found = [
        GateResult(gate_bpb=gate, bootstraps=draws, cells_in_frontier=cells, estimands=headlines(estimands, factor))
        for gate, draws, cells, factor in ((0.5, 400, 11, 1.0), (0.4, 200, 12, 0.99), (0.7, 200, 8, 1.2))
    ]
    first, *others = found[-1].estimands
    bound = first.model_copy(update={"label": "censored", "bound": ">", "at_bpb": 2.1})
    return [*found[:-1], found[-1].model_copy(update={"estimands": (bound, *others)})]


def by_repeat(estimands):
    """The headlines of three repeats."""
    return [
        RepeatResult(repeat=repeat, runs=30 - repeat, bootstraps=200, cells_in_frontier=11 - repeat,
                     estimands=headlines(estimands, factor))
        for repeat, factor in enumerate((1.02, 0.97, 1.05))
    ]  # fmt: skip


def repeat_spread(estimands):
    """Of the headlines: three values, or one without a standard deviation."""
    headlined = [item for item in estimands if item.headline]
    return [
        RepeatSpread(
            name=item.name, objective=item.objective, arms=item.arms, form=item.form, at_bpb=item.at_bpb,
            repeats=len(factors), values=[item.quantity.value * factor for factor in factors], sd_ln=sd_ln, within=1,
        )
        for item, factors, sd_ln in zip(
            headlined, ((1.02, 0.97, 1.05), (1.02, 0.97), (1.05,)), (0.04123456, 0.035, None), strict=True
        )
    ]  # fmt: skip


def likelihoods(cells, rename):
    """Two rules and two bounds of the best run of every masked cell, and the share of the interaction."""
    gains = [
        LikelihoodGain(
            arm=cell.arm, budget_flops=cell.budget_flops, run=cell.runs[2], gain=gain, likelihood=likelihood,
            chosen=is_chosen, gain_bpb=quantity(value * (1 + 0.1 * at), 0.012), documents=documents, windows=512,
        )
        for name in CHOSEN
        for at, cell in enumerate(each for each in cells if each.arm == rename.get(name, name))
        for gain, likelihood, value, documents, is_chosen in (
            ("order gain", "left", 0.08, 200, CHOSEN[name] == "left"),
            ("order gain", "confidence", 0.05, 200, CHOSEN[name] == "confidence"),
            ("slack", "orders:2", 0.01, 0, False),
            ("slack", "orders:8", 0.031, 0, True),
        )
    ]  # fmt: skip
    arms = ("bpe-ar", "byte-ar", "bpe-mdm", "byte-mdm")
    shares = [
        ExplainedShare(
            gain=gain, likelihoods=chosen, arms=arms, form="shared irreducible loss", at_bpb=2.0,
            interaction=quantity(0.8, 0.3), other_interaction=quantity(0.8 * (1 - share), 0.25),
            share=quantity(share, 0.2), label=label,
        )
        for gain, chosen, share, label in (
            ("order gain", CHOSEN, 0.3125, "estimated"),
            ("slack", dict.fromkeys(CHOSEN, "orders:8"), -0.0625, "extrapolated"),
        )
    ]  # fmt: skip
    return Likelihoods(gains=gains, shares=shares)
