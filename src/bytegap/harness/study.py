"""The file that `bytegap harness` reads: which models, which tasks, how.

name = "downstream"                             # results go to out/downstream/harness.json
models = ["out/laptop/runs/ID", "hf:models/llada"]
tasks = ["arc_easy", "hellaswag"]               # by the harness's names; groups and tags too

What else it may say are the fields of `Downstream`.
"""

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from bytegap.errors import StudyError
from bytegap.records import PLAIN_NAME
from bytegap.study import Table, explain


class Downstream(Table):
    """One file; what is left out is the harness's default, or the model's."""

    name: str = Field(pattern=PLAIN_NAME)
    models: tuple[str, ...] = Field(min_length=1)
    """Runs' folders, or `hf:PATH`."""
    tasks: tuple[str, ...] = Field(min_length=1)
    folder: Path | None = None
    """Tasks of one's own, in YAML as the harness has them."""
    shots: int | None = Field(default=None, ge=0)
    """Examples before each question."""
    limit: int | None = Field(default=None, ge=1)
    """Questions of each task, the first ones."""
    context: int | None = Field(default=None, ge=2)
    """Symbols a row, of `hf:` models."""
    passes: int | None = Field(default=None, ge=2)
    """Independent ones of an estimated likelihood, from which its error is known."""
    points: int = Field(default=16, ge=1)
    """Times that each pass asks about a continuation at."""
    steps: int | None = Field(default=None, ge=1)
    """Of masked models' drawing, a row or a block; one a symbol if left out."""
    run_code: bool = False
    """Whether tasks may run what a model writes, as HumanEval and MBPP do."""


def load(path: Path) -> Downstream:
    """Read the file; StudyError names the key and the mend."""
    try:
        return Downstream.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        message = f"{path}: no such file; studies/downstream.toml is the one to copy"
        raise StudyError(message) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError, RecursionError) as error:
        message = f"{path}: not TOML: {error}"
        raise StudyError(message) from None
    except ValidationError as error:
        message = f"{path}: {explain(error, lambda _: set(Downstream.model_fields))}"
        raise StudyError(message) from None
