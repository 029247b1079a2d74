"""The page in a real browser: figures drawn in both schemes and at both widths, no complaint, nothing fetched."""

import json
import shutil

import pytest

from bytegap.report import stage

pytestmark = pytest.mark.slow

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def page(study, build, tmp_path_factory):
    return stage.run(study, build(tmp_path_factory.mktemp("browser") / "out"))


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def opened(browser, page, width, scheme):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    every = f"return [...document.querySelectorAll('.chart')].every(c => c.dataset.drawn === '{scheme}')"
    WebDriverWait(browser, 60).until(lambda chrome: chrome.execute_script(every))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_draws_without_complaint_or_network(browser, page, width, scheme, tmp_path):
    opened(browser, page, width, scheme)
    assert browser.execute_script("return document.querySelectorAll('.chart svg').length") == 6
    assert browser.execute_script("return document.querySelectorAll('.chart svg path').length") > 100
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    assert browser.save_screenshot(str(tmp_path / f"{scheme}-{width}.png"))


@pytest.mark.parametrize(
    ("figure", "faint"), [("isoflop", "0.07"), ("frontiers", "0.06"), ("overhead", "0.05"), ("gap", "0.05")]
)
def test_a_click_in_the_legend_shows_one(browser, page, figure, faint):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, page, 1280, "light")
    count = f"return document.querySelectorAll('#chart-{figure} path[opacity=\"{faint}\"]').length"
    assert browser.execute_script(count) == 0
    labels = browser.find_elements("css selector", f"#chart-{figure} .role-legend-label text")
    ActionChains(browser).move_to_element(labels[0]).click().perform()
    WebDriverWait(browser, 10).until(lambda chrome: chrome.execute_script(count) > 0)


def test_a_change_of_scheme_redraws(browser, page):
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, page, 390, "light")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    every = "return [...document.querySelectorAll('.chart')].every(c => c.dataset.drawn === 'dark')"
    WebDriverWait(browser, 60).until(lambda chrome: chrome.execute_script(every))
