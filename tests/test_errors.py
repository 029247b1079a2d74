"""Failed validations as sentences."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from bytegap.errors import sentence


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1


class File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    part: Part | None = None
    parts: dict[str, Part] = {}
    rows: tuple[Part, ...] = ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "'name' is missing"),
        ({"nam": "a"}, "unknown key 'nam': did you mean 'name'?"),
        ({"name": 3}, "'name': it should be a valid string, not 3"),
        ({"name": "a", "part": {"sise": 2}}, "unknown key 'part.sise': did you mean 'size'?"),
        ({"name": "a", "parts": {"x": {"sise": 2}}}, "unknown key 'parts.x.sise': did you mean 'size'?"),
        ({"name": "a", "rows": [{}, {"sise": 2}]}, "unknown key 'rows.1.sise': did you mean 'size'?"),
        ([], "it should be a valid dictionary or instance of File, not []"),
    ],
)
def test_a_failed_validation_is_one_sentence(given, words):
    with pytest.raises(ValidationError) as caught:
        File.model_validate(given)
    assert sentence(caught.value, File) == words
