"""Records cannot be changed at any level, and come back from JSON, pickle and copy as they were."""

import copy
import pickle

import pytest
from pydantic import ValidationError

from bytegap.schema.base import FrozenDict, FrozenJson, FrozenModel
from bytegap.schema.plan import RunSpec
from tests.runs.test_audit import run


class Options(FrozenModel):
    options: FrozenDict[str, FrozenJson] = FrozenDict()


def test_a_spec_cannot_be_changed_in_its_fields_values():
    spec, _ = run()
    before = spec.id
    for change in (
        lambda: spec.model_shape.update(d_model=9),
        lambda: spec.model_shape.__setitem__("d_model", 9),
        lambda: spec.model_shape.pop("d_model"),
        lambda: spec.model_shape.setdefault("new", 9),
        lambda: spec.model_shape.__ior__({"d_model": 9}),
        spec.flops_by_convention.clear,
        lambda: spec.objective_options.__delitem__("x"),
        spec.model_shape.popitem,
    ):
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    with pytest.raises(ValidationError, match="frozen"):
        spec.arm = "other"
    assert spec.id == before


def test_a_frozen_dict_is_a_dict_to_all_who_read_it():
    given = {"a": 1, "b": (1, 2)}
    frozen = FrozenDict(given)
    assert frozen == given
    assert {**frozen} == frozen | {} == given
    assert hash(frozen) == hash(FrozenDict(reversed(given.items())))
    for again in (pickle.loads(pickle.dumps(frozen)), copy.copy(frozen), copy.deepcopy(frozen)):
        assert again == frozen
        assert isinstance(again, FrozenDict)


def test_nested_options_are_frozen_and_keep_their_types():
    given = {
        "text": "a",
        "flag": True,
        "count": 4,
        "share": 0.3,
        "paths": ["a", "b"],
        "more": {"deep": [1]},
        "no": None,
    }
    made = Options.model_validate({"options": given})
    assert made.options["paths"] == ("a", "b")
    assert made.options["flag"] is True
    assert type(made.options["count"]) is int
    assert type(made.options["share"]) is float
    assert isinstance(made.options["more"], FrozenDict)
    assert made.options["more"]["deep"] == (1,)
    assert made.model_dump(mode="json") == {"options": given}
    assert Options.model_validate_json(made.model_dump_json()) == made
    hash(made)


def test_a_spec_comes_back_from_its_json_with_the_same_id():
    spec, _ = run()
    assert RunSpec.model_validate_json(spec.model_dump_json()).id == spec.id
    assert pickle.loads(pickle.dumps(spec)) == spec
