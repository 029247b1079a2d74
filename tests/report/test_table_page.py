"""The page that `fit-table --report` writes: its content, its files, and that Chromium draws it without errors."""

import json
import re
from pathlib import Path

import pytest

from bytegap.cli.main import main
from tests.fit.test_table_pairs import dearer
from tests.helpers.run_tables import refused, runs, write
from tests.report.chromium import check_with_axe, opened

FOUR = ("bpe-ar", 1.0), ("byte-ar", 3.0), ("bpe-mdm", 16.0), ("byte-mdm", 150.0)
PAIRS = ("--pair", "bytes=byte-mdm,bpe=bpe-mdm", "--pair", "bytes=byte-ar,bpe=bpe-ar")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    rows = [row for seed, (arm, factor) in enumerate(FOUR) for row in dearer(arm, factor, 0.003, seed)]
    rows = [row | {"tokenizer": row["arm"].split("-")[0], "objective": row["arm"].split("-")[1]} for row in rows]
    table = write(folder / "<runs> & more.csv", rows)
    arguments = ["--bootstraps", "60", "--report", str(folder / "page.html"), "--loss-name", "bits per byte"]
    assert main(["fit-table", str(table), *PAIRS, *arguments]) == 0
    return folder / "page.html"


def test_the_page_has_its_files(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    names = ["frontiers", "isoflop", "overhead", "interaction", "gap"]
    linked = re.findall(r'href="(page-[^"]+)"', html)
    assert {f"page-{name}.{ending}" for name in names for ending in ("svg", "png")} <= set(linked)
    assert {"page-cells.csv", "page-estimands.csv", "page-frontiers.csv"} <= set(linked)
    assert all((page.parent / name).stat().st_size for name in linked)
    assert "fit.json" not in html
    assert "runs.jsonl" not in html.split('id="bytegap-charts"')[0]
    assert "bytegap: &lt;runs&gt; &amp; more" in html


def test_the_page_says_what_the_pairs_show(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    for names in ("Compute of byte-mdm over bpe-mdm, k: 9", "Compute of byte-ar over bpe-ar, k: 3"):
        assert names in html
    assert "ln k of byte-mdm over bpe-mdm less ln k of byte-ar over bpe-ar: " in html
    charts = json.loads(re.search(r'id="bytegap-charts">(.*?)</script>', html, re.DOTALL)[1])
    assert [chart["name"] for chart in charts] == ["frontiers", "isoflop", "overhead", "interaction", "gap"]
    assert "bits per byte" in json.dumps(charts[1]["spec"])


def test_a_table_without_arms_has_a_page_too(tmp_path: Path) -> None:
    """Its loss is what the table has, whatever that is."""
    table = write(tmp_path / "runs.csv", runs(noise=0.003))
    path = tmp_path / "out" / "page.html"
    assert main(["fit-table", str(table), "--bootstraps", "60", "--report", str(path)]) == 0
    html = path.read_text(encoding="utf-8")
    assert "L(C) falls with the exponent" in html
    assert "bits per byte" not in html
    assert "BPB" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL).replace("bytegap", "")


def test_a_page_that_would_overwrite_the_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = write(tmp_path / "runs.csv", runs())
    assert "overwritten" in refused(capsys, str(table), "--report", str(table))
    assert ".html" in refused(capsys, str(table), "--report", str(tmp_path / "page.pdf"))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_chromium(browser, page: Path, width: int, scheme: str) -> None:
    """No errors, no network, no scrolling sideways; axe finds nothing serious."""
    opened(browser, page, width, scheme)
    assert browser.execute_script("return document.querySelectorAll('.chart svg').length") == 5
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in requested if not url.startswith("data:")] == [page.as_uri()]
    check_with_axe(browser)
