"""Failed validations as sentences."""

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bytegap.errors import sentence
from bytegap.schema.base import PLAIN_NAME

PLAIN = "use letters, digits, dots, dashes and underscores, and begin with a letter or a digit"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1


class File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    part: Part | None = None
    parts: dict[str, Part] = {}
    rows: tuple[Part, ...] = ()
    label: str = Field("a", pattern=PLAIN_NAME)
    budgets: tuple[float, ...] = Field((1.0,), min_length=1, max_length=2)
    words: list[str] | None = None
    share: float = Field(0.5, gt=0, le=1, allow_inf_nan=False)
    deep: bool = False
    to: Literal["a", "b"] = "a"

    @model_validator(mode="after")
    def _check(self):
        if self.deep and self.to == "b":
            raise ValueError("give either deep or to")
        return self


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "'name' is missing"),
        ({"nam": "a"}, "unknown key 'nam': did you mean 'name'?"),
        ({"name": 3}, "'name': it should be text, not 3"),
        ({"name": "a", "part": {"sise": 2}}, "unknown key 'part.sise': did you mean 'size'?"),
        ({"name": "a", "parts": {"x": {"sise": 2}}}, "unknown key 'parts.x.sise': did you mean 'size'?"),
        ({"name": "a", "rows": [{}, {"sise": 2}]}, "unknown key 'rows.1.sise': did you mean 'size'?"),
        ([], "it should be a table of keys and values, not []"),
        ({"name": "a", "part": 3}, "'part': it should be a table of keys and values, not 3"),
        ({"name": "a", "label": "a b"}, f"'label': 'a b' is not a name: {PLAIN}"),
        ({"name": "a", "budgets": []}, "'budgets': give at least 1 value"),
        ({"name": "a", "budgets": [1, 2, 3]}, "'budgets': give at most 2 values"),
        (
            {"name": "a", "budgets": "1e10"},
            "'budgets': it should be a list of numbers such as [1e10, 3e10], not '1e10'",
        ),
        ({"name": "a", "words": 1}, '\'words\': it should be a list of texts such as ["a", "b"], not 1'),
        ({"name": "a", "rows": 1}, "'rows': it should be a list of values, in square brackets, not 1"),
        ({"name": "a", "budgets": ["x"]}, "'budgets.0': it should be a number, not 'x'"),
        ({"name": "a", "share": 0}, "'share': it should be above 0, not 0"),
        ({"name": "a", "share": 2}, "'share': it should be at most 1, not 2"),
        ({"name": "a", "share": float("nan")}, "'share': it should be a finite number, not nan"),
        ({"name": "a", "deep": "?"}, "'deep': it should be true or false, not '?'"),
        ({"name": "a", "to": "c"}, "'to': it should be 'a' or 'b', not 'c'"),
        ({"name": "a", "part": {"size": 1.5}}, "'part.size': it should be a whole number, not 1.5"),
        ({"name": "a", "deep": True, "to": "b"}, "give either deep or to"),
    ],
)
def test_a_failed_validation_is_one_sentence(given, words):
    with pytest.raises(ValidationError) as caught:
        File.model_validate(given)
    assert sentence(caught.value, File) == words
