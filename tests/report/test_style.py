"""Colours: text in charts contrasts with the page, and every arm has a colour of its own."""

import itertools

import numpy as np
import pytest

from bytegap.report import style


def luminance(colour):
    """Relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_follows_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_in_charts_has_sufficient_contrast(scheme):
    config = style.config(["#000000"], ["#000000"], scheme, "sans-serif")
    words = {
        value
        for part in (config["axis"], config["legend"], config["title"])
        for key, value in part.items()
        if key in {"labelColor", "titleColor", "color", "subtitleColor"}
    }
    words |= {config["style"][name]["color"] for name in ("baseline-name", "note")}
    assert len(words) >= 2
    assert min(contrast(colour, style.page_colour(scheme)) for colour in words) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sets", [2, 4, 5, 10])
def test_every_arm_has_its_own_colour(scheme, sets):
    traits = [(f"bpe{number}", objective) for objective in ("ar", "mdm", "block") for number in range(sets)]
    colours = style.arm_colours(traits, scheme)
    assert len(set(colours)) == len(traits)


# Linear RGB as seen without L cones (protanopia) or M cones (deuteranopia): Machado et al. 2009, severity 1.
VISION = {
    "trichromat": np.eye(3),
    "protanope": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranope": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
}


def oklab(colour, vision):
    """Lightness and two opponent axes, times 100 (Ottosson 2020)."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    seen = vision @ np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    cones = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    axes = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]
    return 100 * np.array(axes) @ np.cbrt(np.array(cones) @ seen.clip(0, 1))


@pytest.mark.parametrize("reader", VISION)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("sets", "objectives", "apart"), [(2, 2, 17), (2, 3, 11), (4, 2, 7), (4, 3, 6.5)])
def test_arms_are_distinguishable_from_each_other_and_from_the_page(scheme, reader, sets, objectives, apart):
    traits = [(f"bpe{number}", str(objective)) for number in range(sets) for objective in range(objectives)]
    colours = style.arm_colours(traits, scheme)
    assert min(contrast(colour, style.page_colour(scheme)) for colour in colours) >= 3  # WCAG 2.2, 1.4.11
    coordinates = [oklab(colour, VISION[reader]) for colour in colours]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(coordinates, 2)) > apart
