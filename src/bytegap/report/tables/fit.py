"""Tables of fit.json: IsoFLOP cells, the noise about their curves and their shapes, estimands, frontiers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.schema.fit import Cell, Estimand, LossDifference, NoiseLevel
from bytegap.schema.frontier import Frontier

_FIT = "../fit.json"
R = TypeVar("R")
_PURE_SHIFT = (
    " At equal compute a positive interaction may only mean that one objective needs a constant multiple of the "
    "other's compute: the last columns give the interaction that such a shift alone would produce."
)


def _formatter(item: Estimand) -> fmt.Formatter:
    return fmt.ESTIMAND_FORMATTERS[item.name]


IDENTITY: tuple[Column[Estimand] | Interval[Estimand], ...] = (
    Column("name", "estimand", lambda item: item.name),
    Column("objective", "objective", lambda item: item.objective),
    Column("arms", "arms", lambda item: " / ".join(item.arms)),
    Column("form", "form of frontier", lambda item: item.form),
    Column("at_bpb", "at BPB", lambda item: item.at_bpb, fmt.bpb),
)
"""What is estimated."""
_AT_PARAMETERS = Column[Estimand]("at_parameters", "at N", lambda item: item.at_parameters, fmt.count)
_AT_FLOPS = Column[Estimand]("at_flops", "at FLOPs", lambda item: item.at_flops, fmt.flops)
VALUE: tuple[Column[Estimand] | Interval[Estimand], ...] = (
    Column("bound", "bound", lambda item: item.bound),
    Interval("value", "value", fmt.shown_quantity, format_of=_formatter),
)
"""The estimate or bound."""
_STATUS = Column[Estimand]("label", "status", lambda item: item.label)
_HEADLINE = Column[Estimand]("headline", "headline", lambda item: item.headline)
_SHIFT = Interval[Estimand]("pure_shift", "under a pure shift", lambda item: item.pure_shift, format_of=_formatter)

_FRONTIERS: tuple[Column[Frontier] | Interval[Frontier], ...] = (
    Column("arm", "arm", lambda item: item.arm),
    Column("form", "form", lambda item: item.form),
    Interval("irreducible_loss_bpb", "irreducible loss E, BPB", lambda item: item.irreducible_loss_bpb),
    Interval("amplitude", "amplitude A", lambda item: item.amplitude),
    Interval("exponent", "exponent g", lambda item: item.exponent),
    Column("flops_observed_low", "observed from, FLOPs", lambda item: item.flops_observed[0], fmt.flops),
    Column("flops_observed_high", "to, FLOPs", lambda item: item.flops_observed[1], fmt.flops),
)

_NOISE = About(
    name="noise",
    title="Noise of runs",
    caption=(
        "Standard deviation of a run's BPB about its cell's IsoFLOP curve, in percent of BPB (the SD of ln BPB), "
        "evaluation error included. Permutations of an objective are pooled where Bartlett's test at 5 % does not find "
        "that their noise differs. Seed effect: the SD of the shift that runs of a cell share with a seed; none where "
        "every run has a seed of its own, assumed where too few cells have several seeds."
    ),
    source=_FIT,
)
_NOISE_COLUMNS: tuple[Column[NoiseLevel], ...] = (
    Column("objective", "objective", lambda level: level.objective),
    Column("permutations", "permutations", lambda level: ", ".join(level.permutations)),
    Column("pooled", "all permutations pooled", lambda level: level.pooled),
    Column("residual_sd", "SD of a run", lambda level: level.residual_sd, fmt.percent),
    Column("dof", "degrees of freedom", lambda level: level.dof, str),
    Column("seed_effect_sd", "seed effect", lambda level: level.seed_effect_sd, fmt.percent),
    Column("seed_effect", "seed effect is", lambda level: level.seed_effect),
)
_CURVES = About(
    name="curves",
    title="Shape of IsoFLOP curves",
    caption=(
        "The curves are ln L = a + b x + c x\N{SUPERSCRIPT TWO} + d x\N{SUPERSCRIPT THREE}, with x = ln N less its "
        "mean over the cell's runs. The curvature c is shared by the budgets of an arm; where an F test at 5 % rejects "
        "that, it is linear in ln C, and where that is rejected as well, or an arm has two budgets, each has its own. "
        "The skew d, with 95 % CI, is one number for an arm; where it is negative, the loss rises more steeply towards "
        "small models. Arms without one have parabolas, d = 0."
    ),
    source=_FIT,
)


_DIFFERENCES = About(
    name="loss_differences",
    title="Losses at equal compute",
    caption=(
        "BPB of each arm at its best size, and how much it is above that of masked diffusion with the same tokenizer, "
        "or of an arm that the study names, at the same budget, with 95 % CI: held-out documents are resampled in "
        "pairs, so that the interval of a difference is narrower than those of its two losses. Negative: the arm is "
        "better. Bracketed: both minima are within their grids of sizes."
    ),
    source=_FIT,
)


def cells(inputs: Inputs) -> Table:
    """One row per cell: the compute-optimal size and loss of an arm at a budget."""
    unigram_bpb = {baseline.tokenizer: baseline.unigram_bpb for baseline in inputs.fit.ngram_baselines}
    about = About(
        name="cells",
        title="IsoFLOP cells",
        caption="Compute-optimal size and loss of each arm at each budget, with 95 % CI"
        + (", and the unigram BPB of the arm's tokenizer." if unigram_bpb else "."),
        source=_FIT,
    )
    learning: tuple[Column[Cell], ...] = (
        Column("unigram_bpb", "unigram BPB", lambda c: unigram_bpb.get(inputs.traits(c.arm).tokenizer), fmt.bpb),
        Column("learns_context", "learns context", lambda cell: cell.learns_context),
    )
    columns: tuple[Column[Cell] | Interval[Cell], ...] = (
        Column("arm", "arm", lambda cell: cell.arm),
        Column("budget_flops", "budget, FLOPs", lambda cell: cell.budget_flops, fmt.flops),
        Interval("optimum_parameters", "optimal N", lambda cell: cell.optimum_parameters, fmt.count),
        Column("optimum_tokens", "optimal D, tokens", lambda cell: cell.optimum_tokens.value, fmt.count),
        Interval("optimum_bpb", inputs.loss_unit, lambda cell: cell.optimum_bpb, fmt.bpb),
        *(learning[:1] if unigram_bpb else ()),
        Column("bracketed", "bracketed", lambda cell: cell.bracketed),
        *(learning[1:] if unigram_bpb else ()),
        Column("in_frontier", "in frontier", lambda cell: cell.in_frontier),
        Column("note", "note", lambda cell: cell.note),
    )
    return Table.of(about, inputs.cells, columns)


def loss_differences(inputs: Inputs) -> Table | None:
    """One row per pair of arms and budget; None where there is none."""
    columns: tuple[Column[LossDifference] | Interval[LossDifference], ...] = (
        Column("arm", "arm", lambda item: item.arms[0]),
        Column("reference", "compared with", lambda item: item.arms[1]),
        Column("budget_flops", "budget, FLOPs", lambda item: item.budget_flops, fmt.flops),
        Interval("bpb", "BPB", lambda item: inputs.cell(item.arms[0], item.budget_flops).optimum_bpb, fmt.bpb),
        Interval("difference_bpb", "difference, BPB", lambda item: item.difference_bpb, fmt.signed),
        Column("bracketed", "bracketed", lambda item: item.bracketed),
    )
    found = inputs.fit.loss_differences
    return Table.of(_DIFFERENCES, found, columns) if found else None


def estimands(inputs: Inputs) -> Table:
    """One row per estimand; with what a pure shift in compute predicts, if the fit states it for any."""
    has_shift = any(item.pure_shift for item in inputs.fit.estimands)
    about = About(
        name="estimands",
        title="Estimands",
        caption=(
            "Every estimand with its 95 % CI. Estimated: every frontier used was observed there. Censored: only a "
            "bound is known, so there is no interval of two sides. Extrapolated: beyond the observed budgets, never "
            "headlined." + (_PURE_SHIFT if has_shift else "")
        ),
        source=_FIT,
    )
    columns = (*IDENTITY, _AT_FLOPS, _AT_PARAMETERS, *VALUE, _STATUS, _HEADLINE, *((_SHIFT,) if has_shift else ()))
    return Table.of(about, inputs.fit.estimands, _in_unit(columns, inputs))


def frontiers(inputs: Inputs) -> Table:
    """One row per fitted frontier: its form and its parameters."""
    about = About(
        name="frontiers",
        title="Frontiers",
        caption=f"Parameters of {fmt.FRONTIER_LAW} of each arm in each form, with 95 % CI.",
        source=_FIT,
    )
    return Table.of(about, inputs.fit.frontiers, _in_unit(_FRONTIERS, inputs))


def _in_unit(columns: Sequence[Column[R] | Interval[R]], inputs: Inputs) -> list[Column[R] | Interval[R]]:
    """The columns with the unit of the losses in their headings."""
    return [replace(column, heading=column.heading.replace("BPB", inputs.loss_unit)) for column in columns]


def noise(inputs: Inputs) -> Table | None:
    """One row per level of noise; None where the fit does not state them."""
    return Table.of(_NOISE, inputs.fit.noise, _NOISE_COLUMNS) if inputs.fit.noise else None


def curves(inputs: Inputs) -> Table | None:
    """One row per arm with IsoFLOP curves; None where the fit does not state their shape."""
    curvature, skew = inputs.fit.curvature, inputs.fit.skew
    arms = [arm for arm in inputs.drawn_arms if arm in curvature or arm in skew]
    if not arms:
        return None
    columns: tuple[Column[str] | Interval[str], ...] = (
        Column("arm", "arm", lambda arm: arm),
        Column("curvature", "curvature c", curvature.get),
        Interval("skew", "skew d", skew.get),
    )
    return Table.of(_CURVES, arms, columns)
