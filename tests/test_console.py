"""Names of files, arms and runs are shown as they are: no square bracket or colon in them is a code."""

import ast
import re
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bytegap import console
from bytegap.cli import main
from bytegap.runs import stage as runs
from bytegap.train.stage import _Display
from tests.studies import simulated_rows
from tests.tiny import STUDY, write_study

NAMES = ["speech [draft].txt", "[/x]", "[bold]x[/bold]", "a [red", "[link=https://x]y", "@[/]", ":bug:.txt", "x\\[y]\\"]
SOURCES = sorted(Path(console.__file__).parent.rglob("*.py"))
ARMS = ["[/x]", "[red]b & <i>"]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_shows_its_text_as_it_is(capsys, name):
    console.say("fit", name)
    console.say("audit", name, style="yellow")
    assert capsys.readouterr().err == f"    fit  {name}\n  audit  {name}\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_its_texts_as_they_are(capsys, name):
    table = Table(f"heading {name}", title=f"title {name}", caption=f"caption {name}")
    table.add_row(f"cell {name}")
    console.show(table)
    shown = capsys.readouterr().out
    for part in ("heading", "title", "caption", "cell"):
        assert f"{part} {name}" in shown


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal would be sent."""
    sent = StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    own = console.literal()
    own.file, own._force_terminal, own.is_interactive, own.width = sent, True, True, 200
    monkeypatch.setattr(console, "_console", own)
    return sent


@pytest.mark.parametrize("name", NAMES)
def test_a_bar_shows_its_description_as_it_is(terminal, name):
    for _ in console.track([1, 2], f"scoring {name}"):
        time.sleep(0.15)  # it is drawn ten times a second
    assert f"scoring {name}" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())


@pytest.mark.slow
def test_a_study_of_arms_with_such_names_is_walked_to_its_report(tmp_path, capsys):
    text = STUDY.replace("[1e10]", "[2e9]")
    for old, new in zip(["byte-ar", "bpe-mdm"], ARMS, strict=True):
        text = text.replace(f"[arms.{old}]", f"[arms.'{new}']")
    study = [str(write_study(tmp_path, text)), "--out", str(tmp_path / "out")]
    assert main(["quickstart", *study]) == 0
    assert main(["plan", *study, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert all(told.count(arm) >= 8 for arm in ARMS), "runs and plan"
    page = (tmp_path / "out" / "tiny" / "report" / "index.html").read_text()
    assert "[red]b &amp; &lt;i&gt;" in page
    assert ARMS[1] not in page


def test_the_live_display_shows_arms_as_they_are(terminal):
    specs = [
        SimpleNamespace(id=f"{number:012}", arm=arm, steps=9, flops=1e9, non_embedding_parameters=1000)
        for number, arm in enumerate(ARMS)
    ]
    display = _Display(SimpleNamespace(specs=specs), specs)
    for worker, spec in enumerate(specs):
        display.take((worker, "step", spec.id, spec.steps, 1.0, 1.0))
    with Live(console=console.console(), get_renderable=display.render):
        pass
    for arm in ARMS:
        assert f"{arm:<10} N=" in terminal.getvalue()
    assert "[####################]" in terminal.getvalue()


def test_runs_that_failed_say_why_as_it_was_said(capsys):
    row = simulated_rows()[0].model_copy(update={"arm": "[/x]", "status": "failed", "reason": "[Errno 5] [/]"})
    runs._print([row])
    shown = capsys.readouterr().out
    assert "[/x]" in shown
    assert "[Errno 5] [/]" in shown


def test_files_are_named_as_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [name for name in NAMES if "/" not in name]
    for name in names:
        Path(name).write_bytes(b"the people of the united states " * 9)
    assert main(["evaluate", "--baselines", *names]) == 0
    shown = capsys.readouterr().out
    for name in names:
        assert f"{name}, 288 bytes" in shown
    assert main(["evaluate", "--baselines", "no [/x]"]) == 2
    assert capsys.readouterr().err.startswith("bytegap: no [/x]: ")


def test_only_one_module_makes_what_could_read_codes():
    """Elsewhere tables, texts and live displays are made, which read codes only through a console."""
    for path in set(SOURCES) - {Path(console.__file__)}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not [name for name in node.names if name.name.split(".")[0] == "rich"], path
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich":
                assert {name.name for name in node.names} <= {"Live", "Table", "Text"}, path
            assert not (isinstance(node, ast.Attribute) and node.attr == "from_markup"), path


def test_a_plain_console_of_rich_would_read_them():
    """What is guarded against, by the version of rich that is installed."""
    sent = StringIO()
    Console(file=sent, width=80).print("speech [draft].txt")
    assert "[draft]" not in sent.getvalue()
