"""JSON as types, for documents whose form is other people's."""

from typing import TypeAlias, cast

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"


def as_object(value: object) -> JsonObject:
    """The value as a JSON object; ValueError if it is not one."""
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object is expected, not {value!r:.40}")  # noqa: TRY004 - wrong data, not a wrong type
    return cast("JsonObject", value)
