"""How soon a report's page stands: 512 simulated runs, in headless Chromium, until the last figure is drawn.

    python bench/report.py [ROUNDS]

Needs chromium and chromedriver. Times are the page's own clock, from the start of the navigation.
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
from bytegap.store import Folder, write_record, write_table
from bytegap.study import Arm, Context, Corpus, Plugin, Study
from results import Row, write

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.studies import BUDGETS, LAWS, simulated_rows

ROUNDS = 7
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
WATCH = """
window.drawn = [];
new MutationObserver(() => window.drawn.push(performance.now()))
  .observe(document, {subtree: true, attributes: true, attributeFilter: ["data-drawn"]});
"""
# arms of each of the four laws, budgets an arm, sizes a budget, seeds a size
STUDIES = {"4 arms": (1, 4, 8, 4), "16 arms": (4, 4, 8, 1)}


def main() -> None:
    """Measure, and write bench/results/report.json."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    browser = opened_browser()
    with tempfile.TemporaryDirectory() as folder:
        pages = {name: page(Path(folder) / name, *shape) for name, shape in STUDIES.items()}
        rows = [
            {"what": f"{name}, {runs} runs, {width} pixels wide"} | timed(browser, page, width, rounds)
            for name, (page, runs) in pages.items()
            for width in (1280, 390)
        ]
    browser.quit()
    write("report", "A report's page", rows)


def page(root: Path, variants: int, budgets: int, sizes: int, seeds: int) -> tuple[Path, int]:
    """The report of a study from known laws, and how many runs it has."""
    names = {arm: [f"{arm}{'' if at == 0 else at + 1}" for at in range(variants)] for arm in LAWS}
    laws = {name: LAWS[arm] for arm, own in names.items() for name in own}
    ladder = {name: [BUDGETS[arm][0] * 4.0**step for step in range(budgets)] for arm in names for name in names[arm]}
    runs = simulated_rows(laws, ladder, sizes=sizes, seeds=seeds)
    folder = Folder(root)
    write_table(folder.table, runs)
    write_record(folder.fit, fit_rows(runs))
    arms = {
        name: Arm(tokens=name.partition("-")[0], objective=Plugin(name=name.partition("-")[2]), budgets=ladder[name])
        for name in laws
    }
    study = Study(
        name=root.name.replace(" ", "-"),
        corpus=Corpus(source=Plugin(name="simulated")),
        context=Context(bytes=256),
        tokens={"bpe512": Plugin(name="bpe"), "byte": Plugin(name="bytes")},
        arms=arms,
    )
    return stage.run(study, folder), len(runs)


def opened_browser() -> webdriver.Chrome:
    """Headless Chromium that notes when each figure was drawn."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    return browser


def timed(browser: webdriver.Chrome, page: Path, width: int, rounds: int) -> Row:
    """Medians over several openings, after one that is not counted."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    whole = "return window.drawn.length >= document.querySelectorAll('.chart').length"
    first, last = [], []
    for _ in range(rounds + 1):
        browser.get(page.as_uri())
        WebDriverWait(browser, 60, 0.05).until(lambda chrome: chrome.execute_script(whole))
        drawn = browser.execute_script("return window.drawn")
        first.append(drawn[0] / 1000)
        last.append(drawn[-1] / 1000)
    return {
        "figures": browser.execute_script("return document.querySelectorAll('.chart').length"),
        "page, MB": page.stat().st_size / 1e6,
        "first figure, s": median(first[1:]),
        "all figures, s": median(last[1:]),
        "slowest opening, s": max(last),
    }


if __name__ == "__main__":
    main()
