"""Names of horizontal lines to the right of a plot, moved apart vertically where they would overlap."""

from collections.abc import Sequence

import altair as alt

from bytegap.report.figures.base import inline
from bytegap.report.figures.frame import Frame

_LINE_HEIGHT = 13
"""Pixels between two names: their font is 10.5 pixels high."""
_LIMIT = 190
"""Pixels after which a name is cut off with an ellipsis."""


def spread(positions: Sequence[float], bottom: float, gap: float = _LINE_HEIGHT) -> list[float]:
    """Positions in pixels from the top, in the given order, each moved as little as needed to be `gap` apart.

    All lie within 0 and `bottom` if there is room for them; otherwise they go below it.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    moved = [0.0] * len(positions)
    # Blocks of positions that touch: each block is centred on the mean of what its members want.
    blocks: list[list[int]] = []
    for index in order:
        blocks.append([index])
        while len(blocks) > 1 and _top(blocks[-2], positions, bottom, gap) + gap * len(blocks[-2]) > _top(
            blocks[-1], positions, bottom, gap
        ):
            last = blocks.pop()
            blocks[-1] += last
    for block in blocks:
        top = _top(block, positions, bottom, gap)
        for rank, index in enumerate(block):
            moved[index] = top + gap * rank
    return moved


def _top(block: Sequence[int], positions: Sequence[float], bottom: float, gap: float) -> float:
    """Position of the first of a block, as near to what all want as the frame allows."""
    height = gap * (len(block) - 1)
    wanted = sum(positions[index] for index in block) / len(block) - height / 2
    return max(0.0, min(wanted, bottom - height))


def placed(values: Sequence[float], frame: Frame, height: float) -> list[float]:
    """Pixels from the top at which to name horizontal lines at `values` in a plot of this height."""
    return spread([(frame.high - value) / (frame.high - frame.low) * height for value in values], height)


def least_height(names: int) -> int:
    """Pixels that so many names need."""
    return _LINE_HEIGHT * max(names - 1, 0)


def line_name(name: str, y: float) -> alt.Chart:
    """A name right of the plot, `y` pixels from its top; on a narrow page the script moves it into the plot."""
    chart = alt.Chart(inline([{"label": name}]))
    text = chart.mark_text(style="baseline-name", align="left", baseline="middle", dx=6, limit=_LIMIT)
    return text.encode(x=alt.value("width"), y=alt.value(y), text="label:N")
