"""The page in headless Chromium: no errors or network in both schemes and widths, accessible by keyboard."""

import json

import pytest

from bytegap.report import stage
from bytegap.study.directory import RECORD
from tests.report.chromium import check_with_axe, opened

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study_dir(build, tmp_path_factory):
    return build(tmp_path_factory.mktemp("browser") / "out")


@pytest.fixture(scope="module")
def page(study, study_dir):
    return stage.run(study, study_dir)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_draws_without_errors_or_network(browser, page, width, scheme, tmp_path):
    opened(browser, page, width, scheme)
    assert browser.execute_script("return document.querySelectorAll('.chart svg').length") == 10
    assert browser.execute_script("return document.querySelectorAll('.chart svg path').length") > 100
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in requested if not url.startswith("data:")] == [page.as_uri()]
    assert browser.save_screenshot(str(tmp_path / f"{scheme}-{width}.png"))


@pytest.mark.parametrize(
    ("figure", "faint"), [("isoflop", "0.07"), ("frontiers", "0.06"), ("overhead", "0.05"), ("gap", "0.05")]
)
def test_a_click_in_the_legend_highlights_one(browser, page, figure, faint):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, page, 1280, "light")
    count = f"return document.querySelectorAll('#chart-{figure} path[opacity=\"{faint}\"]').length"
    assert browser.execute_script(count) == 0
    labels = browser.find_elements("css selector", f"#chart-{figure} .role-legend-label text")
    ActionChains(browser).move_to_element(labels[0]).click().perform()
    WebDriverWait(browser, 10).until(lambda chrome: chrome.execute_script(count) > 0)


def test_a_change_of_colour_scheme_redraws(browser, page):
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, page, 390, "light")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    every = "return [...document.querySelectorAll('.chart')].every(c => c.dataset.drawn === 'dark')"
    WebDriverWait(browser, 60).until(lambda chrome: chrome.execute_script(every))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(browser, page, width, scheme):
    opened(browser, page, width, scheme)
    passed = check_with_axe(browser)
    assert {"color-contrast", "label", "button-name", "aria-hidden-focus", "nested-interactive"} <= passed


def drawn_again(browser, script):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda chrome: chrome.execute_script(f"return {script}"))


PANELS = "document.querySelectorAll('#chart-isoflop .role-title-text').length"
LEGEND = "[...document.querySelectorAll('#chart-frontiers .role-legend-label text')].map(e => e.textContent).join()"
NOTHING = "No arm of this figure"


def test_an_arm_can_be_hidden_and_shown_in_every_figure(browser, page):
    opened(browser, page, 1280, "light")
    assert browser.execute_script(f"return {PANELS}") == 4
    browser.find_element("css selector", "#arms input[value=byte-mdm]").click()
    drawn_again(browser, f"{PANELS} === 3 && {LEGEND} === 'bpe-ar,byte-ar,bpe-mdm'")
    # The interaction needs all four arms, the overhead of AR only two that are still shown.
    drawn_again(browser, f"document.getElementById('chart-interaction').textContent.includes('{NOTHING}')")
    points = "document.querySelectorAll('#chart-overhead .mark-symbol.role-mark path').length"
    drawn_again(browser, f"{points} === 10")
    assert browser.execute_script("return document.getElementById('arms-on').textContent") == "3 of 4 drawn"
    address = browser.current_url
    assert address.endswith("#off=byte-mdm")
    opened(browser, page, 1280, "light", address[address.index("#") :])
    assert browser.execute_script(f"return {PANELS}") == 3
    assert not browser.find_element("css selector", "#arms input[value=byte-mdm]").is_selected()
    browser.find_element("id", "arms-none").click()
    drawn_again(browser, f"document.getElementById('chart-isoflop').textContent.includes('{NOTHING}')")
    browser.find_element("id", "arms-all").click()
    drawn_again(browser, f"{PANELS} === 4 && document.querySelectorAll('.chart svg').length === 10")
    assert "#" not in browser.current_url
    assert browser.get_log("browser") == []


def test_hover_names_the_run_and_its_numbers(browser, page, study_dir):
    from selenium.webdriver import ActionChains

    opened(browser, page, 1280, "light")
    cell = study_dir.fit().cells[-1]
    found = browser.execute_script(
        "const points = [...document.querySelectorAll('#chart-isoflop path')];"
        "return points.find(e => e.__data__?.tooltip?.run === arguments[0])",
        cell.runs[0],
    )
    ActionChains(browser).move_to_element(found).perform()
    drawn_again(browser, "document.querySelector('#vg-tooltip-element.visible')")
    shown = browser.find_element("id", "vg-tooltip-element").text
    error = f"{cell.bpb[0]:.4f} \N{PLUS-MINUS SIGN} {cell.bpb_se[0]:.4f}"
    for part in (cell.runs[0], cell.arm, "N", "D, tokens", "FLOPs", "1.003e15", error):
        assert part in shown


def test_the_keyboard_selects_and_opens_like_the_mouse(browser, page, study_dir):
    from selenium.webdriver import ActionChains, Keys

    opened(browser, page, 1280, "light")
    (kept,) = study_dir.names(RECORD)
    ActionChains(browser).move_to_element(browser.find_element("css selector", "h1")).perform()  # keep the mouse still

    def press(*keys):
        for key in keys:
            ActionChains(browser).send_keys(key).perform()
        return browser.switch_to.active_element

    browser.execute_script("[...document.querySelectorAll('#frontiers figcaption a')].at(-1).focus()")
    first = press(Keys.TAB)
    assert first.get_attribute("aria-label") == "1e13: highlight"
    assert press(Keys.ENTER).get_attribute("aria-pressed") == "true"
    drawn_again(browser, "document.querySelector('#chart-isoflop path[opacity=\"0.07\"]')")
    assert press(Keys.ENTER).get_attribute("aria-pressed") == "false"
    count = "return [...document.querySelectorAll('#chart-isoflop path')].filter(e => e.__data__?.tooltip).length"
    labels = {press(Keys.ARROW_RIGHT).get_attribute("aria-label") for _ in range(2 + browser.execute_script(count))}
    runs = [run for cell in study_dir.fit().cells for run in cell.runs]
    assert all(any(label.startswith(f"run {run}, arm ") for label in labels) for run in runs)
    while not (here := press(Keys.ARROW_LEFT)).get_attribute("aria-label").startswith(f"run {kept}"):
        pass
    assert here.get_attribute("role") == "link"
    drawn_again(browser, "document.querySelector('#vg-tooltip-element.visible')")
    assert kept in browser.find_element("id", "vg-tooltip-element").text
    press(Keys.TAB)
    assert not browser.find_elements("css selector", "#vg-tooltip-element.visible")
    with_shift = ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT)
    with_shift.perform()
    press(Keys.ENTER)
    drawn_again(browser, f"location.href.endsWith('runs/{kept}/record.json')")


def test_a_link_to_a_folded_table_opens_it(browser, page):
    opened(browser, page, 390, "light")
    folded = "return document.querySelector('#runs details').open"
    assert not browser.execute_script(folded)
    browser.find_element("css selector", "nav summary").click()
    browser.find_element("css selector", "nav a[href='#runs']").click()
    drawn_again(browser, "document.querySelector('#runs details').open")
    top = browser.execute_script("return document.getElementById('runs').getBoundingClientRect().top")
    assert -50 < top < 450
