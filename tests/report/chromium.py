"""Headless Chromium for tests of the page: skipped where it is not installed."""

import shutil

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def start():
    """A browser, or a skipped test."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def opened(browser, page, width, scheme, fragment=""):
    """Open the page at a width and in a colour scheme, and wait until every figure is drawn."""
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
    browser.get("about:blank")
    browser.get(page.as_uri() + fragment)
    every = f"return [...document.querySelectorAll('.chart')].every(c => c.dataset.drawn === '{scheme}')"
    WebDriverWait(browser, 60).until(lambda chrome: chrome.execute_script(every))


def check_with_axe(browser):
    """Fail where axe finds something serious on the page that is open; the rules that passed."""
    axe = pytest.importorskip("selenium_axe_python").Axe(browser)
    browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    # Rows are alike: three per table save a minute of axe.
    browser.execute_script("document.querySelectorAll('tr:nth-child(n + 4)').forEach(each => each.remove())")
    browser.set_script_timeout(120)
    axe.inject()
    # axe cannot decide the contrast of text in SVG: test_style.py does.
    found = [axe.run("document", "{rules: {'color-contrast': {enabled: false}}}")]
    found += [axe.run("{exclude: [['.chart']]}", "{runOnly: ['color-contrast']}")]
    serious = [each for one in found for each in one["violations"] if each["impact"] in {"serious", "critical"}]
    assert not serious, axe.report(serious)
    return {each["id"] for one in found for each in one["passes"]}
