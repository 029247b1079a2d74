"""Commands in README and docs parse; those in the code blocks of README, tutorial and model pages also run.

A command is a line of an indented or fenced block, or a span of code, that begins with `bytegap`. They run on studies
that take seconds: README's on the tiny study of the other tests, the tutorial's on its own with smaller budgets.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bytegap.cli.main import check_verb, make_parser
from bytegap.errors import CommandError
from bytegap.study import config
from bytegap.study.load import load_study, with_plugins
from tests.helpers.tiny_study import STUDY, write_study, write_text

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PAGES.remove(ROOT / "docs" / "log.md")  # a record of the past, with the verbs of its time
SPAN = re.compile(r"`(bytegap [^`]+)`")


def blocks(page: Path) -> list[str]:
    """The commands in its code blocks, without comments, split at `&&`."""
    text = page.read_text()
    fences = re.findall(r"^```(\S*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    fenced = [line for kind, block in fences if kind in {"", "sh"} for line in block.split("\n")]
    indented = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    commands = [part.strip() for line in fenced + indented for part in re.sub(r"\s#.*", "", line).split("&&")]
    return [command for command in commands if command.startswith("bytegap ")]


def spans(page: Path) -> list[str]:
    """The commands in its sentences."""
    found = SPAN.findall(" ".join(page.read_text().split()))
    return [part.strip() for span in found for part in span.split("&&") if part.strip().startswith("bytegap ")]


def parse(command: str) -> None:
    """CommandError or SystemExit unless the command line takes it; a verb and flags alone are given a study."""
    words = [word for word in shlex.split(command.replace("[", " ").replace("]", " "))[1:] if word != "..."]
    check_verb(words)
    try:
        make_parser().parse_args(words)
    except SystemExit as end:
        if end.code:  # --help ends with 0
            make_parser().parse_args([words[0], "mine.toml", *words[1:]])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_page_parses(page):
    for command in [*blocks(page), *spans(page)]:
        try:
            parse(command)
        except (CommandError, SystemExit):
            pytest.fail(f"{page.name} has a command that bytegap does not take: {command}")


def test_commands_are_found_and_wrong_ones_are_refused():
    assert len(blocks(ROOT / "README.md")) >= 5
    assert len(blocks(ROOT / "docs" / "tutorial.md")) >= 9
    assert "bytegap plan mine.toml --dry-run" in blocks(ROOT / "README.md")
    assert {command.split()[1] for command in spans(ROOT / "README.md")} >= {"fit-table", "flops", "init"}
    for wrong in ("bytegap trian mine.toml", "bytegap train mine.toml --on pbs", "bytegap plan --dryrun"):
        with pytest.raises((CommandError, SystemExit)):
            parse(wrong)


def run_command(command: str, home: Path) -> None:
    """Run a command in `home` as a user would, with its placeholders replaced by what the study there has.

    `quickstart`, which takes minutes, only parses; `init` writes to a file of another name.
    """
    specs = [path.parent / "spec.json" for path in sorted(home.glob("out/mine/runs/*/record.json"))]
    runs = {json.loads(spec.read_text())["objective"]: str(spec.parent) for spec in specs}
    run = runs.get("ar", "RUN")
    values = {"RUN": run, "out/STUDY/runs/ID": run, "out/mine/runs/ID": run, "FILE": "speech.txt"}
    values["MASKED"] = runs.get("mdm", "MASKED")
    words = [values.get(word, word).replace("DIR", "made") for word in shlex.split(command)[1:]]
    assert not [word for word in words if re.fullmatch(r"[A-Z]{2,}", word)], command
    if words[0] == "quickstart":
        parse(command)
        return
    if words[0] == "init":
        words = ["init", f"{len(list(home.iterdir()))}.toml"]
    done = subprocess.run(
        [sys.executable, "-m", "bytegap", *words], capture_output=True, cwd=home, check=False, timeout=900
    )
    assert done.returncode == 0, f"{command}\n{done.stderr[-2000:].decode(errors='replace')}"


@pytest.mark.slow
def test_the_commands_of_readme_and_model_pages_run(tmp_path):
    """On the tiny study, under the name of README's own, which is loaded too.

    docs/downstream.md needs tasks from a hub; tests/lm_eval has tasks of its own.
    """
    studies = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "readme.toml").write_text(studies[0])
    assert load_study(tmp_path / "readme.toml").name == "mine"
    for tables in studies[1:]:
        config.Study.model_validate(with_plugins(tomllib.loads(studies[0]) | tomllib.loads(tables)))
    write_text(tmp_path / "text")
    (tmp_path / "speech.txt").write_text((tmp_path / "text" / "000.txt").read_text()[:300])
    tiny = write_study(tmp_path, STUDY.replace('name = "tiny"', 'name = "mine"').replace("[1e10]", "[1e9]"))
    tiny.rename(tmp_path / "mine.toml")
    (tmp_path / "letter.txt").write_text("na\u00efve\n")
    for page in ("README.md", "docs/models.md", "docs/export.md"):
        for command in blocks(ROOT / page):
            run_command(command, tmp_path)


@pytest.mark.slow
def test_the_tutorials_commands_run_from_text_to_report(tmp_path):
    """Its own study file with smaller budgets, on text that is made here."""
    shown, of_hours = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)
    (tmp_path / "hours.toml").write_text(of_hours)
    assert load_study(tmp_path / "hours.toml").plan.hours
    short = re.sub(r"budgets = \[[^]]*\]", "budgets = [2e9, 4e9]", shown)
    assert short.count("budgets = [2e9, 4e9]") == 2
    write_text(tmp_path / "texts", documents=200)
    (tmp_path / "mine.toml").write_text(short)
    for command in blocks(ROOT / "docs" / "tutorial.md"):
        run_command(command, tmp_path)
    assert (tmp_path / "out" / "mine" / "report" / "index.html").is_file()
