"""Texts in the figures of committed studies and of the tests' own neither overlap nor leave their figure."""

import shutil
from pathlib import Path

import pytest
import vl_convert

from bytegap.report import stage
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
from tests.report.chromium import opened

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STUDIES = ("laptop", "neighbours", "order")
# Boxes of the visible texts of a figure, less half a pixel of rounding, and the box of the figure.
BOXES = """
return [...document.querySelectorAll(".chart")].map((chart) => ({
  name: chart.id,
  frame: chart.getBoundingClientRect().toJSON(),
  texts: [...chart.querySelectorAll("svg text")]
    .filter((text) => text.textContent.trim() && text.checkVisibility({opacityProperty: true}) &&
                      text.getAttribute("opacity") !== "0")
    .map((text) => ({text: text.textContent, box: text.getBoundingClientRect().toJSON()})),
}));
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory, study, build):
    """The page of each study, made from its committed records, and of the tests' own study, without images."""
    root = tmp_path_factory.mktemp("committed")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("png", "pdf"):
            patch.setattr(vl_convert, f"vegalite_to_{kind}", lambda *_, **__: b"drawn")
        found = {"fixture": stage.run(study, build(root / "fixture"))}
        for name in STUDIES:
            shutil.copytree(ROOT / "results" / name, root / name, ignore=shutil.ignore_patterns("report"))
            committed = load_study(ROOT / "studies" / f"{name}.toml")
            compared = committed.report.model_copy(update={"compare_to": ROOT / "results" / "laptop"})
            found[name] = stage.run(committed.model_copy(update={"report": compared}), StudyDir(root / name))
        return found


def overlaps(one, other):
    """Whether two boxes share more than a pixel in both directions."""
    width = min(one["right"], other["right"]) - max(one["left"], other["left"])
    height = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return width > 1 and height > 1


def problems(browser):
    """Every text that is cut off or overlaps another, as text."""
    found = []
    for figure in browser.execute_script(BOXES):
        frame, texts = figure["frame"], figure["texts"]
        for number, each in enumerate(texts):
            box = each["box"]
            if (
                box["left"] < frame["left"] - 1
                or box["right"] > frame["right"] + 1
                or box["top"] < frame["top"] - 1
                or box["bottom"] > frame["bottom"] + 1
            ):
                found.append(f"{figure['name']}: {each['text']!r} leaves the figure")
            found += [
                f"{figure['name']}: {each['text']!r} overlaps {other['text']!r}"
                for other in texts[number + 1 :]
                if overlaps(box, other["box"])
            ]
    return found


@pytest.mark.parametrize("name", [*STUDIES, "fixture"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_apart_and_inside(browser, pages, name, width, scheme):
    opened(browser, pages[name], width, scheme)
    assert problems(browser) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 390])
def test_names_of_another_studys_frontiers_are_apart_too(browser, pages, width):
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, pages["order"], width, "light")
    names = "return [...document.querySelectorAll('#chart-frontiers text')].map(e => e.textContent)"
    assert "bpe512-mdm" not in browser.execute_script(names)
    browser.find_element("css selector", ".switch input").click()
    WebDriverWait(browser, 20).until(lambda chrome: "bpe512-mdm" in chrome.execute_script(names))
    assert problems(browser) == []
    browser.find_element("css selector", ".switch input").click()
    WebDriverWait(browser, 20).until(lambda chrome: "bpe512-mdm" not in chrome.execute_script(names))
