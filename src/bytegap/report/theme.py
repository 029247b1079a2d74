"""Colours and chart configuration: one look, light and dark, that colour-blind readers can tell apart.

A symbol set has a hue, an objective its shade. Charts name no colours: they take theirs
from the configuration (`range.category`, `range.ordinal`, mark styles), so one chart serves both schemes.
"""

from typing import Any, Literal

Scheme = Literal["light", "dark"]

# A hue a symbol set (Okabe and Ito's, 2008), its shades far from the page and, to readers of any colour vision, from
# all others: found by search over lightness and chroma (tests/report/test_theme.py holds them to it).
_HUES: dict[Scheme, tuple[tuple[str, str, str], ...]] = {
    "light": (
        ("#003c8c", "#009dd1", "#3e69ab"),
        ("#662b01", "#dd740a", "#985705"),
        ("#3c5d44", "#0ba551", "#5c8973"),
        ("#730960", "#c373af", "#894880"),
    ),
    "dark": (
        ("#51b1fd", "#cbecfe", "#427ace"),
        ("#d14721", "#ffaa5a", "#c18d78"),
        ("#0b8857", "#8bf5ba", "#9fcaa8"),
        ("#a9649f", "#feb1e0", "#be94b7"),
    ),
}
# Objectives of an overhead or a gap: neither a symbol set's hue.
_OBJECTIVES: dict[Scheme, tuple[str, ...]] = {
    "light": ("#222222", "#a03070", "#00795a", "#7a6a00"),
    "dark": ("#e8e8e8", "#ee8fc4", "#46cfa4", "#d8c65a"),
}
# Budgets: viridis without its palest end on white, without its darkest on black.
_RAMP: dict[Scheme, tuple[str, ...]] = {
    "light": ("#440154", "#414487", "#2a788e", "#22a884", "#6fb52a"),
    "dark": ("#7e6bc4", "#4f8fc0", "#2fb5a0", "#8fd744", "#fde725"),
}
_INK: dict[Scheme, dict[str, str]] = {
    "light": {
        "text": "#222222",
        "soft": "#666666",
        "line": "#b8b8b8",
        "grid": "#ececec",
        "page": "#ffffff",
    },
    "dark": {
        "text": "#e6e6e6",
        "soft": "#a8a8a8",
        "line": "#5a5a5a",
        "grid": "#2a2a2a",
        "page": "#141414",
    },
}


def arm_colours(traits: list[tuple[str, str]], scheme: Scheme) -> list[str]:
    """A colour an arm: hue by symbol set, shade by the arm's place among those of its set."""
    sets = list(dict.fromkeys(tokens for tokens, _ in traits))
    hues = _HUES[scheme] if len(sets) <= len(_HUES[scheme]) else _many_hues(len(sets), scheme)
    shades = {
        tokens: _along(hues[number], [each for each, _ in traits].count(tokens)) for number, tokens in enumerate(sets)
    }
    return [shades[tokens].pop(0) for tokens, _ in traits]


def _many_hues(number: int, scheme: Scheme) -> tuple[tuple[str, str, str], ...]:
    """Hues of more symbol sets than have one of their own: along the budgets' ramp, softened towards the page."""
    return tuple(
        (hue, _between((hue, page_colour(scheme)), 0.35), _between((hue, page_colour(scheme)), 0.55))
        for hue in budget_colours(number, scheme)
    )


def _along(stops: tuple[str, ...], number: int) -> list[str]:
    """The first `number` of the stops; more than there are, evenly between them."""
    if number <= len(stops):
        return list(stops[:number])
    return [_between(stops, index / (number - 1) * (len(stops) - 1)) for index in range(number)]


def objective_colours(number: int, scheme: Scheme) -> list[str]:
    """A colour an objective: apart while they are few, along the budgets' ramp where they are many."""
    colours = _OBJECTIVES[scheme]
    return list(colours) if number <= len(colours) else budget_colours(number, scheme)


def budget_colours(number: int, scheme: Scheme) -> list[str]:
    """`number` colours along the ramp, evenly."""
    stops = _RAMP[scheme]
    if number == 1:
        return [stops[1]]
    return [_between(stops, index / (number - 1) * (len(stops) - 1)) for index in range(number)]


def _between(stops: tuple[str, ...], place: float) -> str:
    low = min(int(place), len(stops) - 2)
    share = place - low
    pair = [[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in stops[low : low + 2]]
    mixed = [round(a + (b - a) * share) for a, b in zip(*pair, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def config(category: list[str], ordinal: list[str], scheme: Scheme, font: str) -> dict[str, Any]:
    """Vega-Lite's `config` in one scheme: thin axes, little grid, legends above and without frames."""
    ink = _INK[scheme]
    axis = {
        "domainColor": ink["line"],
        "tickColor": ink["line"],
        "gridColor": ink["grid"],
        "labelColor": ink["soft"],
        "titleColor": ink["text"],
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "tickSize": 4,
        "titlePadding": 8,
    }
    return {
        "font": font,
        "background": None,
        "view": {"stroke": None},
        "mark": {"aria": False},  # the page names the points itself; lines and bars would be read out one by one
        "axis": axis,
        "axisX": {"grid": False},
        "legend": {
            "orient": "top",
            "columns": 6,
            "labelColor": ink["text"],
            "titleColor": ink["soft"],
            "titleFontWeight": "normal",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "symbolStrokeWidth": 2,
            "labelLimit": 220,
            "symbolOpacity": 1,
            "symbolBaseFillColor": ink["soft"],
            "symbolBaseStrokeColor": ink["soft"],
        },
        "title": {
            "color": ink["text"],
            "subtitleColor": ink["soft"],
            "fontSize": 13,
            "fontWeight": 600,
            "anchor": "start",
            "offset": 8,
        },
        "range": {"category": category, "ordinal": ordinal},
        "style": {
            "floor": {"color": ink["soft"], "strokeWidth": 1},
            "floor-text": {"color": ink["soft"], "fontSize": 10.5},
            "one": {"color": ink["text"], "strokeWidth": 1, "opacity": 0.5},
            "optimum": {"stroke": ink["page"], "strokeWidth": 1.2},
            "run": {"stroke": ink["page"], "strokeWidth": 0.7},
            "note": {"color": ink["soft"], "fontSize": 11},
        },
    }


def page_colour(scheme: Scheme) -> str:
    """What lies behind a chart."""
    return _INK[scheme]["page"]
