"""The registry finds parts in this package and, through entry points, in others."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest
from pydantic.dataclasses import dataclass

from bytegap.data.permutations.base import permutation
from bytegap.data.permutations.reverse import Reverse
from bytegap.errors import StudyError
from bytegap.objectives.ar import Autoregressive
from bytegap.objectives.base import objective
from bytegap.study import registry


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("corpus source", {"sotu", "files", "hub"}),
        ("tokenizer", {"bytes", "bpe", "unigram", "huggingface", "sentencepiece", "tiktoken"}),
        (
            "objective",
            {"ar", "mdm", "block_diffusion", "span_mdm", "whole_word_mdm", "mlm", "any_order", "patch", "streams"},
        ),
        ("permutation", {"identity", "within_window", "block_shuffle", "fixed", "reverse"}),
        ("model", {"transformer"}),
    ],
)
def test_names_lists_every_part_of_a_kind_and_nothing_else(kind, expected):
    assert registry.names(kind) == expected
    for name in expected:
        assert registry.part_class(kind, name).kind == kind


@pytest.mark.parametrize("kind", registry.PACKAGES)
def test_the_docstring_of_a_part_says_what_it_is(kind):
    """Not what its options are, nor which methods it has."""
    for name in registry.names(kind):
        first = registry.part_class(kind, name).__doc__.split()[0]
        assert first not in {"Which", "How", "No", "Attention,"}, name


@dataclass(frozen=True)
class Elsewhere(Autoregressive):
    """An objective of another package."""


@pytest.fixture(params=["elsewhere_objective", "elsewhere_objective:Elsewhere"])
def entry_point(request, monkeypatch):
    module = ModuleType("elsewhere_objective")
    module.Elsewhere = Elsewhere
    monkeypatch.setattr(Elsewhere, "__module__", "elsewhere_objective")
    monkeypatch.setitem(sys.modules, "elsewhere_objective", module)
    entry = EntryPoint("elsewhere", request.param, "bytegap.objectives")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry] if group == "bytegap.objectives" else [])
    for cached in (registry.names, registry.part_class):
        cached.cache_clear()
    yield
    for cached in (registry.names, registry.part_class):
        cached.cache_clear()


@pytest.mark.usefixtures("entry_point")
def test_a_part_of_another_package_is_found_by_its_entry_point():
    assert "elsewhere" in registry.names("objective")
    assert objective("elsewhere", {"dropped": 0.5}) == Elsewhere(dropped=0.5)


def test_options_become_fields_and_unknown_ones_are_refused():
    assert permutation("reverse") == Reverse()
    with pytest.raises(StudyError, match="permutation 'reverse' has no option 'k'"):
        permutation("reverse", {"k": 1})
    with pytest.raises(StudyError, match=r"objective 'block_diffusion' has no option 'sise': did you mean 'size'\?"):
        objective("block_diffusion", {"sise": 1})


def test_a_value_out_of_range_names_the_part_and_the_option():
    with pytest.raises(StudyError, match="objective 'mlm', option 'rate'"):
        objective("mlm", {"rate": 2.0})


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(StudyError, match=r"no objective is called 'mdn': did you mean 'mdm'\?"):
        objective("mdn")
    with pytest.raises(StudyError, match="no objective is called"):
        registry.check("objective", "mdn", {})


def test_parts_are_frozen():
    part = objective("mlm", {"rate": 0.5})
    with pytest.raises(AttributeError):
        part.rate = 0.1
