"""The console prints names literally, and says as much as the verbosity allows."""

import ast
import logging
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
from bytegap.cli.main import main
from bytegap.launch.display import Progress
from bytegap.runs import collect
from bytegap.train.run import StepReport
from tests.helpers.synthetic_runs import simulated_rows
from tests.helpers.tiny_study import STUDY, write_study

NAMES = ["speech [draft].txt", "[/x]", "[bold]x[/bold]", "a [red", "[link=https://x]y", "@[/]", ":bug:.txt", "x\\[y]\\"]
SOURCES = sorted(Path(console.__file__).parent.rglob("*.py"))
ARMS = ["[/x]", "[red]b & <i>"]


@pytest.fixture(autouse=True)
def _as_configured_by_nobody():
    """Undoes what a test sets of the shared logger."""
    logger = logging.getLogger("bytegap")
    before = logger.level, list(logger.handlers), logger.propagate
    yield
    logger.level, logger.handlers, logger.propagate = before
    logger.setLevel(before[0])


@pytest.mark.parametrize("name", NAMES)
def test_log_lines_are_literal(capsys, name):
    console.say("fit", name)
    console.warn("audit", name)
    assert capsys.readouterr().err == f"     fit  {name}\n   audit  {name}\n"


def test_percent_signs_are_literal(capsys):
    console.say("fit", "95 % of %s, 100%d")
    assert capsys.readouterr().err == "     fit  95 % of %s, 100%d\n"


@pytest.mark.parametrize(
    ("verbosity", "printed"), [("quiet", ["warn"]), ("normal", ["say", "warn"]), ("verbose", ["say", "warn", "detail"])]
)
def test_verbosity_selects_log_lines(capsys, verbosity, printed):
    console.set_verbosity(verbosity)
    for log in (console.say, console.warn, console.detail):
        log("fit", log.__name__)
    assert capsys.readouterr().err.split() == [word for name in printed for word in ("fit", name)]


@pytest.mark.parametrize("verbosity", ["quiet", "normal", "verbose"])
def test_the_verbosity_that_was_set_is_returned(verbosity):
    console.set_verbosity(verbosity)
    assert console.verbosity() == verbosity


def test_a_handler_of_the_importing_program_replaces_printing(capsys):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("bytegap")
    logger.handlers = [handler]
    console.say("fit", "12 cells")
    assert [(record.getMessage(), record.stage) for record in records] == [("12 cells", "fit")]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_literal(capsys, name):
    table = Table(f"heading {name}", title=f"title {name}", caption=f"caption {name}")
    table.add_row(f"cell {name}")
    console.show(table)
    shown = capsys.readouterr().out
    for part in ("heading", "title", "caption", "cell"):
        assert f"{part} {name}" in shown


@pytest.fixture
def terminal(monkeypatch):
    """What would be sent to a terminal."""
    sent = StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    own = console.literal_console()
    own.file, own._force_terminal, own.is_interactive, own.width = sent, True, True, 200
    monkeypatch.setattr(console, "_console", own)
    return sent


@pytest.mark.parametrize("name", NAMES)
def test_progress_bar_descriptions_are_literal(terminal, name):
    for _ in console.track([1, 2], f"scoring {name}"):
        time.sleep(0.15)  # the bar is drawn ten times a second
    assert f"scoring {name}" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())


def test_quiet_draws_no_progress_bar(terminal):
    console.set_verbosity("quiet")
    for _ in console.track([1, 2], "scoring"):
        time.sleep(0.15)
    assert "scoring" not in terminal.getvalue()


@pytest.mark.slow
def test_a_study_with_bracketed_arm_names_runs_to_its_report(tmp_path, capsys):
    text = STUDY.replace("[1e10]", "[2e9]")
    for old, new in zip(["byte-ar", "bpe-mdm"], ARMS, strict=True):
        text = text.replace(f"[arms.{old}]", f"[arms.'{new}']")
    study = [str(write_study(tmp_path, text)), "--out", str(tmp_path / "out")]
    assert main(["run", *study]) == 0
    assert main(["plan", *study, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert all(printed.count(arm) >= 8 for arm in ARMS), "runs and plan"
    page = (tmp_path / "out" / "tiny" / "report" / "index.html").read_text()
    assert "[red]b &amp; &lt;i&gt;" in page
    assert ARMS[1] not in page


def test_the_live_display_is_literal(terminal):
    specs = [
        SimpleNamespace(id=f"{number:012}", arm=arm, steps=9, flops=1e9, non_embedding_parameters=1000)
        for number, arm in enumerate(ARMS)
    ]
    progress = Progress(specs, len(specs))
    for worker, spec in enumerate(specs):
        progress.step(worker, StepReport(spec.id, spec.steps, 0, 1.0, 1.0))
    with Live(console=console.console(), get_renderable=progress.table):
        pass
    for arm in ARMS:
        assert f"{arm:<10} N=" in terminal.getvalue()
    assert "[####################]" in terminal.getvalue()


def test_reasons_of_failed_runs_are_literal(capsys):
    row = simulated_rows()[0].model_copy(update={"arm": "[/x]", "status": "failed", "reason": "[Errno 5] [/]"})
    console.show(collect._widest_table([row]))
    shown = capsys.readouterr().out
    assert "[/x]" in shown
    assert "[Errno 5] [/]" in shown


@pytest.mark.parametrize("width", [160, 80, 40, 20])
def test_ids_of_runs_are_whole_at_any_width(capsys, monkeypatch, width):
    monkeypatch.setattr(console, "_PIPE_WIDTH", width)
    rows = simulated_rows()[:3]
    failed = rows[2].model_copy(update={"status": "failed", "reason": "the loss is not finite at step 12", "bpb": None})
    console.show(collect._widest_table([*rows[:2], failed]))
    printed = capsys.readouterr().out
    assert all(row.run in printed for row in rows)
    assert ("unigram" in printed) is (width == 160)
    assert max(map(len, printed.splitlines())) <= width


def test_no_cell_is_cut_off(capsys, monkeypatch):
    monkeypatch.setattr(console, "_PIPE_WIDTH", 12)
    table = Table("arm")
    table.add_row("a-name-without-spaces")
    console.show(table)
    assert "a-name-without-spaces" in re.sub(r"[^a-z-]", "", capsys.readouterr().out)


def test_file_names_are_literal(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [name for name in NAMES if "/" not in name]
    for name in names:
        Path(name).write_bytes(b"the people of the united states " * 9)
    assert main(["baselines", *names]) == 0
    shown = capsys.readouterr().out
    for name in names:
        assert f"{name}, 288 bytes" in shown
    assert main(["baselines", "no [/x]"]) == 2
    assert capsys.readouterr().err.startswith("bytegap: no [/x]: ")


def test_only_the_console_module_makes_rich_consoles():
    """Other modules make tables, texts and live displays, which read markup only through a console."""
    for path in set(SOURCES) - {Path(console.__file__)}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not [name for name in node.names if name.name.split(".")[0] == "rich"], path
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich":
                assert {name.name for name in node.names} <= {"Live", "Table", "Text"}, path
            assert not (isinstance(node, ast.Attribute) and node.attr == "from_markup"), path


def test_a_default_rich_console_reads_markup():
    """What the tests above guard against, in the version of rich that is installed."""
    sent = StringIO()
    Console(file=sent, width=80).print("speech [draft].txt")
    assert "[draft]" not in sent.getvalue()
