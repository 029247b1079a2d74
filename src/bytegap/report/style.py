"""Colours and chart configuration for a light and a dark scheme, distinguishable under colour-vision deficiencies.

A tokenizer has a hue and an objective a shade of it. Charts name no colours: they take them from Vega-Lite's
configuration (`range.category`, `range.ordinal`, mark styles), so that one chart serves both schemes.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

Scheme = Literal["light", "dark"]
Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | None"
JsonObject = dict[str, Json]

# One hue per tokenizer (Okabe and Ito 2008). Its shades contrast with the page and differ from all others under any
# colour vision; they were found by a search over lightness and chroma. tests/report/test_style.py checks both.
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
# Objectives, in figures of estimands: not the hues of tokenizers.
_OBJECTIVES: dict[Scheme, tuple[str, ...]] = {
    "light": ("#222222", "#a03070", "#00795a", "#7a6a00"),
    "dark": ("#e8e8e8", "#ee8fc4", "#46cfa4", "#d8c65a"),
}
# Budgets: viridis without its lightest end on white and without its darkest end on black.
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


def arm_colours(traits: Sequence[tuple[str, str]], scheme: Scheme) -> list[str]:
    """One colour per arm from its (tokenizer, objective): hue by tokenizer, shade by rank among that hue's arms."""
    tokenizers = [tokenizer for tokenizer, _ in traits]
    distinct = list(dict.fromkeys(tokenizers))
    hues = _HUES[scheme] if len(distinct) <= len(_HUES[scheme]) else _interpolated_hues(len(distinct), scheme)
    shades = {
        tokenizer: _shades(hues[number], tokenizers.count(tokenizer)) for number, tokenizer in enumerate(distinct)
    }
    return [shades[tokenizer].pop(0) for tokenizer in tokenizers]


def _interpolated_hues(number: int, scheme: Scheme) -> tuple[tuple[str, str, str], ...]:
    """Hues with shades towards the page's colour, along the ramp of budgets: for more tokenizers than fixed hues."""
    return tuple(
        (hue, _interpolate((hue, page_colour(scheme)), 0.35), _interpolate((hue, page_colour(scheme)), 0.55))
        for hue in budget_colours(number, scheme)
    )


def _shades(stops: tuple[str, ...], number: int) -> list[str]:
    """The first `number` of the stops; if there are fewer stops, evenly spaced between them."""
    if number <= len(stops):
        return list(stops[:number])
    return [_interpolate(stops, index / (number - 1) * (len(stops) - 1)) for index in range(number)]


def objective_colours(number: int, scheme: Scheme) -> list[str]:
    """One colour per objective: fixed ones if they suffice, else along the ramp of budgets."""
    colours = _OBJECTIVES[scheme]
    return list(colours) if number <= len(colours) else budget_colours(number, scheme)


def budget_colours(number: int, scheme: Scheme) -> list[str]:
    """`number` evenly spaced colours along the ramp."""
    stops = _RAMP[scheme]
    if number == 1:
        return [stops[1]]
    return [_interpolate(stops, index / (number - 1) * (len(stops) - 1)) for index in range(number)]


def _interpolate(stops: tuple[str, ...], position: float) -> str:
    """The colour at a position between 0 and the number of stops less 1, linear in sRGB."""
    low = min(int(position), len(stops) - 2)
    share = position - low
    pair = [[int(stop[start : start + 2], 16) for start in (1, 3, 5)] for stop in stops[low : low + 2]]
    mixed = [round(a + (b - a) * share) for a, b in zip(*pair, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def page_colour(scheme: Scheme) -> str:
    """The page's background, behind a chart."""
    return _INK[scheme]["page"]


def config(category: list[str], ordinal: list[str], scheme: Scheme, font: str) -> JsonObject:
    """Vega-Lite's `config` in one scheme: thin axes, a horizontal grid, legends above the plot and without frames.

    `category` are the colours of arms or objectives, `ordinal` those of budgets.
    """
    ink = _INK[scheme]
    return {
        "font": font,
        "background": None,
        "view": {"stroke": None},
        # The page's script labels the points itself; a screen reader would read out every line and bar.
        "mark": {"aria": False},
        "axis": _axis(ink),
        "axisX": {"grid": False},
        "legend": _legend(ink),
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
            "baseline": {"color": ink["soft"], "strokeWidth": 1},
            "baseline-name": {"color": ink["soft"], "fontSize": 10.5},
            "neutral": {"color": ink["text"], "strokeWidth": 1, "opacity": 0.5},
            "optimum": {"stroke": ink["page"], "strokeWidth": 1.2},
            "run": {"stroke": ink["page"], "strokeWidth": 0.7},
            "note": {"color": ink["soft"], "fontSize": 11},
        },
    }


def _axis(ink: dict[str, str]) -> JsonObject:
    return {
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


def _legend(ink: dict[str, str]) -> JsonObject:
    return {
        "orient": "top",
        "columns": 6,
        "labelColor": ink["text"],
        "titleColor": ink["soft"],
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "symbolStrokeWidth": 2,
        "labelLimit": 260,
        "symbolOpacity": 1,
        "symbolBaseFillColor": ink["soft"],
        "symbolBaseStrokeColor": ink["soft"],
    }
