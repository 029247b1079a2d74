"""Headline overheads side by side, and the gaps between IsoFLOP minima: one row per pair of arms."""

from collections.abc import Sequence

import altair as alt

from bytegap.report import format as fmt
from bytegap.report.figures.base import Figure, inline, tooltips, with_data
from bytegap.report.figures.estimand_points import (
    AXIS_TITLES,
    NEUTRAL,
    TOOLTIPS,
    EstimandName,
    Point,
    drawn_estimands,
    framed,
    objectives,
    status_shape,
    with_interval,
)
from bytegap.report.inputs import Inputs
from bytegap.schema.fit import Estimand

_ROW_HEIGHT = 26
_LINE_HEIGHT = 13
_MIN_ROWS = 3


def figures(inputs: Inputs) -> list[Figure]:
    """All headline overheads in one figure, and all gaps between IsoFLOP minima; each only where there are several."""
    overheads = [item for item in inputs.fit.estimands if item.headline and item.name == "overhead"]
    between_minima = [item for item in drawn_estimands(inputs, "gap") if item.form == "minima"]
    at_largest_budget = {(item.objective, *item.arms): item for item in between_minima}  # budgets ascend
    vocab_sizes = {baseline.tokenizer: baseline.vocab_size for baseline in inputs.fit.ngram_baselines}
    gaps = sorted(
        at_largest_budget.values(),
        key=lambda gap: (gap.objective, vocab_sizes.get(inputs.traits(gap.arms[1]).tokenizer, 0)),
    )
    found = [
        _figure(
            inputs,
            overheads,
            "overhead",
            caption=(
                "The headline overhead of bytes over each tokenizer under each objective and permutation, each at the "
                "loss given in the table of estimands. Bars: 95 % CI; triangles are bounds and point to the side of "
                "the true value."
            ),
        ),
        _figure(
            inputs,
            gaps,
            "gap",
            caption=(
                "Bits per byte of the byte arm's IsoFLOP minimum minus those of each subword arm's, at the largest "
                "budget that has both, for pairs in which an arm has no frontier. Bars: 95 % CI."
            ),
        ),
    ]
    return [figure for figure in found if figure]


def _figure(inputs: Inputs, items: list[Estimand], estimand: EstimandName, caption: str) -> Figure | None:
    """One row per estimand; None where there are fewer than three."""
    if len(items) < _MIN_ROWS:
        return None
    labels = [f"{item.objective}, {inputs.traits(item.arms[1]).tokenizer}" for item in items]
    points = [Point(item, preferred=True) for item in items]
    return Figure(
        name=f"{estimand}s",
        title=f"{estimand.capitalize()}s side by side",
        caption=caption,
        alt=f"{len(items)} values of {fmt.ESTIMAND_NAMES[estimand]}; the table of estimands holds the same numbers.",
        source="../fit.json",
        chart=rows_chart(inputs, points, labels, estimand).properties(name=f"{estimand}s"),
        columns=1,
        palette="objectives",
        tables=("estimands",),
    )


def rows_chart(
    inputs: Inputs, points: Sequence[Point], labels: Sequence[str], estimand: EstimandName
) -> alt.LayerChart | alt.FacetChart:
    """One row per value of an estimand, named by its label; a label has a line for each part between commas."""
    frame = framed(points, NEUTRAL[estimand], log=estimand == "overhead")
    rows = [point.row(frame) | {"baseline": label} for point, label in zip(points, labels, strict=True)]
    lines = [label.count(", ") + 1 for label in labels]
    y = alt.Y("baseline:N", title=None, sort=list(labels)).axis(
        labelExpr="split(datum.label, ', ')",
        labelOffset=alt.expr(f"{-_LINE_HEIGHT / 2} * (length(split(datum.value, ', ')) - 1)"),
    )
    x_scale = frame.scale(log=estimand == "overhead")
    colour = alt.Color("objective:N", scale=alt.Scale(domain=objectives(inputs)), legend=None)
    neutral = alt.Chart(inline([{"value": NEUTRAL[estimand]}]))
    layers = with_data(
        neutral.mark_rule(style="neutral", strokeDash=[2, 2]).encode(x=alt.X("value:Q", scale=x_scale)),
        alt.Chart(inline(with_interval(rows)))
        .mark_rule(strokeWidth=1.2)
        .encode(x=alt.X("low:Q", scale=x_scale), x2="high:Q", y=y, color=colour),
        alt.Chart(inline(rows))
        .mark_point(filled=True, size=64)
        .encode(
            x=alt.X("value:Q", title=AXIS_TITLES[estimand], scale=x_scale).axis(
                tickCount=8, labelOverlap="greedy", labelSeparation=6
            ),
            y=y,
            color=colour,
            shape=status_shape(points, sideways=True),
            tooltip=tooltips(*TOOLTIPS, ("baseline", "compared with")),
        ),
    )
    height = max(_ROW_HEIGHT, _LINE_HEIGHT * max(lines) + 6) * len(rows)
    return alt.layer(*layers).properties(width=520, height=height)
