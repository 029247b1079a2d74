"""The page: it opens offline, starts with the verdict, escapes all text, and is rewritten when its inputs change."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vl_convert

from bytegap.errors import StudyDirError
from bytegap.report import html_page, stage
from bytegap.report.inputs import read_inputs
from bytegap.study.config import Report
from bytegap.study.directory import AUDIT, CORPUS, FIT, RECORD

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}


class Reader(HTMLParser):
    """Collects what a browser would load or follow, and the text it would show."""

    def __init__(self, html):
        super().__init__()
        self.loads, self.links, self.text, self.ids, self.tags = [], [], [], [], []
        self._raw = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        if LOADS.get(tag) in given:
            self.loads.append(given[LOADS[tag]])
        if tag == "a":
            self.links.append(given["href"])
        if tag in {"script", "style"}:
            self._raw = tag

    def handle_endtag(self, tag):
        if tag == self._raw:
            self._raw = ""

    def handle_data(self, data):
        if not self._raw:
            self.text.append(data)


@pytest.fixture
def quick(monkeypatch):
    """Skips drawing of images in tests of the page."""
    for kind in ("png", "pdf"):
        monkeypatch.setattr(vl_convert, f"vegalite_to_{kind}", lambda *_, **__: b"drawn")


@pytest.fixture(scope="module")
def report(study, build, tmp_path_factory):
    study_dir = build(tmp_path_factory.mktemp("page") / "out")
    return study_dir, stage.run(study, study_dir)


@pytest.fixture(scope="module")
def reader(report):
    return Reader(report[1].read_text())


def test_nothing_is_loaded_from_elsewhere(report, reader):
    # The icon is empty, the images are what a browser without scripts shows.
    assert all(load == "data:," or re.fullmatch(r"figures/\w+\.png", load) for load in reader.loads)
    assert not [link for link in reader.links if re.match(r"\w+:|//", link)]
    style = re.search(r"<style>(.*?)</style>", report[1].read_text(), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_every_link_leads_to_a_file_or_an_id(report, reader):
    _, page = report
    for link in set(reader.links):
        path, _, fragment = link.partition("#")
        assert fragment in reader.ids if not path else (page.parent / path).is_file(), link
    assert len(reader.ids) == len(set(reader.ids))


def test_one_bundle_serves_all_charts(reader):
    assert reader.tags.count("script") == 2


def test_the_verdict_comes_first(report, reader):
    study_dir, _ = report
    text = " ".join("".join(reader.text).split())
    offsets = [text.index(sentence) for sentence in study_dir.fit().verdict]
    assert offsets == sorted(offsets)
    assert offsets[-1] < text.index("1.5\N{MULTIPLICATION SIGN}") < text.index("IsoFLOP grid")


def test_every_figure_is_a_file_of_its_kind(report):
    figures = report[1].parent / "figures"
    for name in ("isoflop", "frontiers", "overhead", "interaction", "gap", "overview"):
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (figures / f"{name}.png").stat().st_size > 10_000
    assert (figures / "overview-dark.png").is_file()


def test_runs_link_to_their_record_or_to_the_table(report, reader):
    study_dir, _ = report
    (kept,) = study_dir.names(RECORD)
    assert f"../runs/{kept}/record.json" in reader.links
    assert "../runs.jsonl" in reader.links


@pytest.mark.usefixtures("quick")
def test_the_report_is_rewritten_only_when_inputs_change_or_files_are_missing(study, build, tmp_path: Path):
    study_dir = build(tmp_path / "out")
    page = stage.run(study, study_dir)
    before = page.stat().st_mtime_ns
    stage.run(study, study_dir)
    assert page.stat().st_mtime_ns == before
    (page.parent / "tables" / "cells.csv").unlink()
    stage.run(study, study_dir)
    assert (page.parent / "tables" / "cells.csv").is_file()
    fit = study_dir.fit()
    study_dir.write(FIT, fit.model_copy(update={"warnings": ["changed since"]}))
    assert "changed since" in stage.run(study, study_dir).read_text()


@pytest.mark.usefixtures("quick")
def test_an_arm_cannot_inject_markup(study, build, tmp_path: Path):
    evil = "</script><img src=x onerror=alert(1)><!--<script>"
    study_dir = build(tmp_path / "out", {"byte-mdm": evil})
    fit = study_dir.fit()
    study_dir.write(FIT, fit.model_copy(update={"verdict": [evil, "&", '"'], "warnings": [evil]}))
    html = stage.run(study, study_dir).read_text()
    reader = Reader(html)
    assert evil not in html
    assert "x" not in reader.loads
    assert reader.tags.count("script") == 2
    assert "".join(reader.text).count(evil) > 5


def test_bracketed_arm_names_are_literal(study, build, tmp_path: Path):
    name = "[/x] [draft] <b> & co"
    html = stage.run(study, build(tmp_path / "out", {"byte-mdm": name})).read_text()
    assert name not in html
    assert "".join(Reader(html).text).count(name) > 5


@pytest.mark.usefixtures("quick")
def test_a_refit_from_runs_jsonl_alone_has_a_report(study, build, tmp_path: Path):
    study_dir = build(tmp_path / "out")
    study_dir.path(CORPUS).unlink()
    study_dir.path(AUDIT).unlink()
    text = "".join(Reader(stage.run(study, study_dir).read_text()).text)
    assert "bytegap collect --audit" in text


@pytest.mark.usefixtures("quick")
def test_compare_to_offers_the_frontiers_of_another_study(study, build, tmp_path: Path):
    study_dir = build(tmp_path / "out")
    reference = build(tmp_path / "laptop", {"byte-ar": "their-byte-ar"})
    compared = study.model_copy(update={"report": Report(compare_to=reference.root)})
    alone, drawn = (stage.run(each, study_dir).read_text() for each in (study, compared))
    assert "the frontiers of laptop" not in alone
    assert "the frontiers of laptop" in drawn
    theirs = next(f for f in reference.fit().frontiers if f.arm == "their-byte-ar")
    assert "their-byte-ar" not in alone
    assert 'data-figure="frontiers"' not in alone
    assert 'data-figure="frontiers"' in drawn
    charts = json.loads(re.search(r'id="bytegap-charts">(.*?)</script>', drawn, re.DOTALL).group(1))
    (frontiers,) = (chart for chart in charts if chart["name"] == "frontiers")
    assert "their-byte-ar" not in json.dumps(frontiers["spec"])  # off by default
    assert "their-byte-ar" in json.dumps(frontiers["alternative"])
    assert str(theirs.curve[-1][1]) in json.dumps(frontiers["alternative"])
    assert not any(chart["alternative"] for chart in charts if chart is not frontiers)


@pytest.mark.usefixtures("quick")
def test_a_study_with_some_estimated_claims_is_partly_identified(study, build, tmp_path: Path):
    study_dir = build(tmp_path / "out")
    fit = study_dir.fit()
    sentences = [f"Sentence {number}; Not split." for number in range(9)]
    study_dir.write(FIT, fit.model_copy(update={"identified": False, "verdict": sentences}))
    html = stage.run(study, study_dir).read_text()
    text = "".join(Reader(html).text)
    assert all(sentence in text for sentence in sentences)
    assert "3 more" in text
    assert "Partly identified" in text


@pytest.mark.usefixtures("quick")
def test_no_headlines_if_nothing_is_identified(study, build, tmp_path: Path):
    study_dir = build(tmp_path / "out")
    fit = study_dir.fit()
    bare = {"estimands": [], "frontiers": [], "identified": False, "cells": fit.cells[:1], "claims": []}
    bare |= {"by_repeat": [], "repeat_spread": []}
    study_dir.write(FIT, fit.model_copy(update=bare))
    page = stage.run(study, study_dir)
    text = "".join(Reader(page.read_text()).text)
    assert "Not identified at this scale" in text
    assert "There is no estimand" in text
    assert "table of estimands" not in text
    bare["estimands"] = [row.model_copy(update={"headline": False}) for row in fit.estimands]
    study_dir.write(FIT, fit.model_copy(update=bare))
    text = "".join(Reader(html_page.render(read_inputs(study_dir, study.name, study.arms, None), [], [])).text)
    assert "No estimand qualifies as a headline; the table of estimands lists the bounds" in text
    assert not (page.parent / "figures" / "overhead.png").exists()


@pytest.mark.parametrize(("name", "verb"), [("fit.json", "bytegap fit"), ("runs.jsonl", "bytegap collect")])
def test_a_missing_record_is_named_with_its_verb(study, build, tmp_path: Path, name, verb):
    study_dir = build(tmp_path / "out")
    (study_dir.root / name).unlink()
    with pytest.raises(StudyDirError, match=f"{name} is missing: run '{verb}' first"):
        stage.run(study, study_dir)
    assert not study_dir.report_dir.exists()


def test_a_damaged_manifest_is_named(study, build, tmp_path: Path):
    study_dir = build(tmp_path / "out")
    study_dir.path(AUDIT).write_text("{")
    with pytest.raises(StudyDirError, match=r"audit\.json is damaged"):
        stage.run(study, study_dir)
