"""Messages, docstrings and help name only verbs that exist."""

import re
from pathlib import Path

import pytest

from bytegap.cli.main import GROUPS

ROOT = Path(__file__).parents[2]
VERBS = {verb.name for _, group in GROUPS for verb in group}
NAMED = re.compile(r"['`]bytegap ([a-z][a-z-]*)")


@pytest.mark.parametrize("folder", ["src", "bench", "corpora", "studies"])
def test_every_verb_that_is_named_exists(folder):
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".toml", ".j2", ".js"}]
    assert files
    named = {
        (str(path.relative_to(ROOT)), verb)
        for path in files
        for verb in NAMED.findall(" ".join(path.read_text(encoding="utf-8").split()))
    }
    assert not {(path, verb) for path, verb in named if verb not in VERBS}
