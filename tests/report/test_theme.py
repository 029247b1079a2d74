"""Colours: words in a chart stand out from the page, and every arm has its own colour however many there are."""

import pytest

from bytegap.report import theme


def luminance(colour):
    """Relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_recommendation():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_charts_are_readable(scheme):
    config = theme.config(["#000000"], ["#000000"], scheme, "sans-serif")
    words = {
        value
        for part in (config["axis"], config["legend"], config["title"])
        for key, value in part.items()
        if key in {"labelColor", "titleColor", "color", "subtitleColor"}
    }
    words |= {config["style"][name]["color"] for name in ("floor-text", "note")}
    assert len(words) >= 2
    assert min(contrast(colour, theme.page_colour(scheme)) for colour in words) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sets", [2, 4, 5, 10])
def test_every_arm_has_its_own_colour(scheme, sets):
    traits = [(f"bpe{number}", objective) for objective in ("ar", "mdm", "block") for number in range(sets)]
    colours = theme.arm_colours(traits, scheme)
    assert len(set(colours)) == len(traits)
