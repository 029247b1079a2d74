"""Time until the figures of a report's page are drawn in headless Chromium, for studies of 512 simulated runs.

    python bench/report.py [ROUNDS]

Writes bench/results/report.json. Needs chromium and chromedriver. Times are by the page's own clock, from the start of
the navigation.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from bytegap.fit.stage import fit_rows
from bytegap.report import stage
from bytegap.study.config import Arm, Context, Corpus, Plugin, Study
from bytegap.study.directory import FIT, RUNS, StudyDir
from results import Row, write

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.helpers.synthetic_runs import BUDGETS, LAWS, simulated_rows

ROUNDS = 7
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
RECORD_DRAWING = """
window.drawn = [];
new MutationObserver(() => window.drawn.push(performance.now()))
  .observe(document, {subtree: true, attributes: true, attributeFilter: ["data-drawn"]});
"""
# Arms per law, of which there are four; budgets per arm; sizes per budget; seeds per size.
STUDIES = {"4 arms": (1, 4, 8, 4), "16 arms": (4, 4, 8, 1)}


def main() -> None:
    """Measure, and write bench/results/report.json."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    browser = open_browser()
    with tempfile.TemporaryDirectory() as root:
        pages = {name: write_page(Path(root) / name, *shape) for name, shape in STUDIES.items()}
        rows = [
            {"what": f"{name}, {runs} runs, {width} pixels wide"} | time_page(browser, page, width, rounds)
            for name, (page, runs) in pages.items()
            for width in (1280, 390)
        ]
    browser.quit()
    write("report", "Drawing a report's page", rows)


def write_page(root: Path, variants: int, n_budgets: int, sizes: int, seeds: int) -> tuple[Path, int]:
    """Write the report of a study simulated from known laws; its page, and its number of runs."""
    names = {arm: [f"{arm}{'' if number == 0 else number + 1}" for number in range(variants)] for arm in LAWS}
    laws = {name: LAWS[arm] for arm, own in names.items() for name in own}
    budgets = {name: [BUDGETS[arm][0] * 4.0**step for step in range(n_budgets)] for arm in names for name in names[arm]}
    runs = simulated_rows(laws, budgets, sizes=sizes, seeds=seeds)
    study_dir = StudyDir(root)
    study_dir.write_rows(RUNS, runs)
    study_dir.write(FIT, fit_rows(runs))
    arms = {
        name: Arm(
            tokenizer=name.partition("-")[0], objective=Plugin(name=name.partition("-")[2]), budgets=budgets[name]
        )
        for name in laws
    }
    study = Study(
        name=root.name.replace(" ", "-"),
        corpus=Corpus(source=Plugin(name="simulated")),
        context=Context(bytes=256),
        tokenizers={"bpe512": Plugin(name="bpe"), "byte": Plugin(name="bytes")},
        arms=arms,
    )
    return stage.run(study, study_dir), len(runs)


def open_browser() -> webdriver.Chrome:
    """Headless Chromium that records when each figure is drawn."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": RECORD_DRAWING})
    return browser


def time_page(browser: webdriver.Chrome, page: Path, width: int, rounds: int) -> Row:
    """Medians over `rounds` loads of the page, after one that is not counted."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    all_drawn = "return window.drawn.length >= document.querySelectorAll('.chart').length"
    first, last = [], []
    for _ in range(rounds + 1):
        browser.get(page.as_uri())
        WebDriverWait(browser, 60, 0.05).until(lambda chrome: chrome.execute_script(all_drawn))
        drawn = browser.execute_script("return window.drawn")
        first.append(drawn[0] / 1000)
        last.append(drawn[-1] / 1000)
    return {
        "figures": browser.execute_script("return document.querySelectorAll('.chart').length"),
        "page, MB": page.stat().st_size / 1e6,
        "first figure, s": median(first[1:]),
        "all figures, s": median(last[1:]),
        "slowest load, s": max(last),
    }


if __name__ == "__main__":
    main()
