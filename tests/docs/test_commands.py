"""Every command that README and docs show parses; those of README's and the tutorial's blocks are run, in their order.

A command is a line of an indented or fenced block, or a span of code, that begins with `bytegap`. Studies are replaced
by tiny ones: README's by that of the other tests, the tutorial's by itself with budgets of a second or two.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bytegap import study
from bytegap.cli import _parser
from tests.tiny import STUDY, write_study, write_text

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PAGES.remove(ROOT / "docs" / "log.md")  # of how things were
SPAN = re.compile(r"`(bytegap [^`]+)`")


def blocks(page: Path) -> list[str]:
    """The commands of its code blocks, comments and `&&` undone."""
    text = page.read_text()
    fences = re.findall(r"^```(\S*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    fenced = [line for kind, block in fences if kind in {"", "sh"} for line in block.split("\n")]
    indented = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    commands = [part.strip() for line in fenced + indented for part in re.sub(r"\s#.*", "", line).split("&&")]
    return [command for command in commands if command.startswith("bytegap ")]


def spans(page: Path) -> list[str]:
    """The commands that its sentences name."""
    found = SPAN.findall(" ".join(page.read_text().split()))
    return [part.strip() for span in found for part in span.split("&&") if part.strip().startswith("bytegap ")]


def parsed(command: str) -> None:
    """SystemExit unless the command line takes it; a verb and flags alone are given a study."""
    words = [word for word in shlex.split(command.replace("[", " ").replace("]", " "))[1:] if word != "..."]
    try:
        _parser().parse_args(words)
    except SystemExit as end:
        if end.code:  # --help is no mistake
            _parser().parse_args([words[0], "mine.toml", *words[1:]])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_parses(page):
    for command in [*blocks(page), *spans(page)]:
        try:
            parsed(command)
        except SystemExit:
            pytest.fail(f"{page.name} shows a command that bytegap does not take: {command}")


def test_commands_are_found_and_wrong_ones_are_refused():
    assert len(blocks(ROOT / "README.md")) >= 12
    assert len(blocks(ROOT / "docs" / "tutorial.md")) >= 9
    assert "bytegap plan mine.toml --dry-run" in blocks(ROOT / "README.md")
    assert "bytegap train mine.toml" in blocks(ROOT / "README.md"), "after && too"
    assert "bytegap tune" in spans(ROOT / "README.md")
    for wrong in ("bytegap trian mine.toml", "bytegap train mine.toml --on pbs", "bytegap plan --dryrun"):
        with pytest.raises(SystemExit):
            parsed(wrong)


def bytegap(command: str, home: Path) -> None:
    """Run it as a user would, placeholders replaced by what the study has."""
    specs = [path.parent / "spec.json" for path in sorted(home.glob("out/mine/runs/*/record.json"))]
    runs = {json.loads(spec.read_text())["objective"]: str(spec.parent) for spec in specs}
    run = runs.get("ar", "RUN")
    places = {"RUN": run, "out/STUDY/runs/ID": run, "MASKED": runs.get("mdm", "MASKED"), "FILE": "speech.txt"}
    words = [places.get(word, word).replace("DIR", "made") for word in shlex.split(command)[1:]]
    assert not [word for word in words if re.fullmatch(r"[A-Z]{2,}", word)], command
    done = subprocess.run(
        [sys.executable, "-m", "bytegap", *words], capture_output=True, cwd=home, check=False, timeout=900
    )
    assert done.returncode == 0, f"{command}\n{done.stderr[-2000:].decode(errors='replace')}"


@pytest.mark.slow
def test_the_readmes_commands_run(tmp_path):
    """On the tiny study, under the name that the README gives its own, which is loaded as it stands.

    Then those of the pages on trained models, with that study's runs; a harness's tasks need a hub (tests/harness).
    """
    shown = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "shown.toml").write_text(shown[0])
    assert study.load(tmp_path / "shown.toml").name == "mine"
    for more in shown[1:]:
        other = tomllib.loads(shown[0]) | tomllib.loads(more)
        study.Study.model_validate(study._with_plugins(other))
    write_text(tmp_path / "text")
    (tmp_path / "speech.txt").write_text((tmp_path / "text" / "000.txt").read_text()[:300])
    tiny = write_study(tmp_path, STUDY.replace('name = "tiny"', 'name = "mine"').replace("[1e10]", "[4e9]"))
    tiny.rename(tmp_path / "mine.toml")
    (tmp_path / "letter.txt").write_text("na\u00efve\n")
    for page in ("README.md", "docs/models.md", "docs/export.md"):
        for command in blocks(ROOT / page):
            bytegap(command, tmp_path)


@pytest.mark.slow
def test_the_tutorial_walks_from_text_to_report(tmp_path):
    """Its own study file, word for word but for the budgets, on text that is made for it."""
    [shown] = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)
    short = re.sub(r"budgets = \[[^]]*\]", "budgets = [5e9, 1e10]", shown)
    assert short.count("budgets = [5e9, 1e10]") == 2
    write_text(tmp_path / "texts", documents=200)
    (tmp_path / "mine.toml").write_text(short)
    for command in blocks(ROOT / "docs" / "tutorial.md"):
        bytegap(command, tmp_path)
    assert (tmp_path / "out" / "mine" / "report" / "index.html").is_file()
