"""TOML files as tables; every failure is a StudyError of one sentence."""

import tomllib
from pathlib import Path
from typing import cast

from bytegap.errors import StudyError


def read_toml(path: Path, missing: str) -> dict[str, object]:
    """The top-level table of a TOML file; `missing` completes the message where there is no such file."""
    try:
        return cast("dict[str, object]", tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        raise StudyError(f"{path}: {missing}") from None
    except IsADirectoryError:
        raise StudyError(f"{path} is a folder: name a file in it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StudyError(f"{path} is not valid TOML: {error}") from None
