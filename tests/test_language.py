"""The code base uses the field's words: identifiers and prose are checked against a list of words to avoid."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IDENTIFIERS = {
    "told": "options, conditioning, last_logged or result",
    "tell": "log, report or print",
    "asked": "requested, or the noun: batch, model, options",
    "ask": "training_batch, or a verb that says what is done",
    "asking": "a noun for what is returned",
    "place": "path, position_id, token_index, setting, index or rank",
    "places": "paths, position_ids, token_indices, settings or indices",
    "sight": "attention",
    "beside": "alongside, workers, or the noun",
    "way": "execution, sampler, corruption or method",
    "ways": "executions, samplers, corruptions or methods",
    "settle": "bind, fix or choose",
    "lay": "shard or place",
    "laid": "to_device or placed",
    "reckon": "count or estimate",
    "standing": "current, or JobState",
    "stands": "is_current",
    "mend": "fix or suggestion",
    "rung": "size",
    "rungs": "sizes",
    "ladder": "sizes",
    "symbol": "token",
    "symbols": "tokens",
    "doctor": "check",
    "oddities": "diagnostics",
    "misfit": "goodness_of_fit or lack_of_fit",
    "reckoned": "counted",
    "spoilt": "corrupted",
    "bend": "curvature",
    "valley": "minimum",
    "freedom": "dof",
}
"""Words that may not be part of an identifier, and what to write instead."""

NAMES = {
    "whole": "atomic_path, full_tensor, all_finished or integer",
    "answer": "loss_sums or estimate",
    "answers": "targets, estimates or fingerprint",
    "question": "batch",
    "floor": "irreducible_loss, or ngram_baseline",
    "told": "options, conditioning, last_logged or result",
}
"""Words that may not be a name of their own."""

PROSE = {
    "told": "given, informed or conditioned on",
    "anew": "again, or another for each",
    "beside": "next to, with, besides, or relative to",
    "sight": "attention",
    "reckon": "count or estimate",
    "reckoned": "counted or estimated",
    "lest": "so that ... not",
    "mend": "fix or correct",
    "mends": "fixes",
    "settle": "fix or choose",
    "whoever": "the caller, or a plain noun",
    "thereof": "of it",
    "hereby": "so",
    "symbols": "tokens",
    "symbol": "token",
    "rung": "size",
    "ladder": "sizes",
}
"""Words that may not be in docstrings, comments and messages of the library, nor in its documentation."""

ALLOWED = {("byte_classes.py", "symbol")}
"""(file, word): Unicode's general category S is called Symbol."""

SOURCES = sorted((ROOT / "src").rglob("*.py"))
PYTHON = [*SOURCES, *(path for part in ("tests", "bench", "docs") for path in sorted((ROOT / part).rglob("*.py")))]
HISTORY = {"log.md", "CHANGELOG.md"}
PAGES = [
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name not in HISTORY and path.parent.name != "decisions"
]


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of every definition, argument and assigned name in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname


def words_of(name: str) -> list[str]:
    """The words of an identifier: `training_batch`, `TrainingBatch`; a shape suffix such as `_BS` is none."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word.lower() for word in spaced.split("_") if word and not re.fullmatch(r"[A-Z0-9]{1,4}", word)]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment and string in a Python file, but for lines that name what had another name."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} and "is now called" not in token.line:
            for number, line in enumerate(token.string.splitlines()):
                yield token.start[0] + number, line


def where(path: Path, line: int) -> str:
    """File and line as editors show them."""
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_identifiers_are_the_fields_words(path):
    found = []
    for line, name in identifiers(path):
        if name in NAMES:
            found.append(f"{where(path, line)}: '{name}': use {NAMES[name]}")
        found += [
            f"{where(path, line)}: '{word}' in '{name}': use {IDENTIFIERS[word]}"
            for word in words_of(name)
            if word in IDENTIFIERS
        ]
    assert not found, "\n".join(found)


def complaints(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    """Words to avoid in some lines of prose."""
    return [
        f"{where(path, number)}: '{word}': use {PROSE[word]}"
        for number, line in lines
        for word in re.findall(r"[a-z]+", line.lower())
        if word in PROSE and (path.name, word) not in ALLOWED
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_comments_and_messages_are_plain(path):
    found = complaints(path, prose(path))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_plain(path):
    found = complaints(path, iter(enumerate(path.read_text().splitlines(), start=1)))
    assert not found, "\n".join(found)


def test_words_to_avoid_are_found():
    assert words_of("told_of_BS") == ["told", "of"]
    assert words_of("TrainingBatch") == ["training", "batch"]
    assert complaints(ROOT / "x", iter([(1, "what it was told")]))
    assert not complaints(ROOT / "x", iter([(1, "what it was given")]))
