"""The file that `bytegap lm-eval` reads: which models, which tasks, and how.

name = "downstream"                             # results go to out/downstream/lm-eval.json
models = ["out/laptop/runs/ID", "hf:models/llada"]
tasks = ["arc_easy", "hellaswag"]               # names of lm-evaluation-harness; groups and tags too

The fields of `TaskFile` are all of its keys.
"""

from pathlib import Path

from pydantic import Field, ValidationError

from bytegap.errors import StudyError, sentence
from bytegap.io.toml import read_toml
from bytegap.schema.base import PLAIN_NAME
from bytegap.study.config import Table


class TaskFile(Table):
    """A task file; for a key that is left out the harness's default, or the model's, is used."""

    name: str = Field(pattern=PLAIN_NAME)
    """Names the results' folder."""
    models: tuple[str, ...] = Field(min_length=1)
    """Folders of runs, or `hf:PATH`."""
    tasks: tuple[str, ...] = Field(min_length=1)
    folder: Path | None = None
    """A folder with tasks of your own, in the harness's YAML format."""
    shots: int | None = Field(default=None, ge=0)
    """Few-shot examples."""
    limit: int | None = Field(default=None, ge=1)
    """Only so many examples of each task, the first ones."""
    context: int | None = Field(default=None, ge=2)
    """Sequence length of `hf:` models, tokens."""
    mc_passes: int | None = Field(default=None, ge=2)
    """Independent Monte Carlo passes of an estimated likelihood; its standard error comes from them."""
    points: int = Field(default=16, ge=1)
    """Times (noise levels) at which each pass scores a continuation."""
    steps: int | None = Field(default=None, ge=1)
    """Denoising steps of masked models, per sequence or per block; one a token if left out."""
    run_code: bool = False
    """Whether tasks may run generated code, as HumanEval and MBPP do."""


def load(path: Path) -> TaskFile:
    """Read a task file; StudyError names the key that is wrong and how to correct it."""
    raw = read_toml(path, "no such file; 'studies/downstream.toml' is an example")
    if "passes" in raw:
        raise StudyError(f"{path}: passes is now called mc_passes: rename it")
    try:
        return TaskFile.model_validate(raw)
    except ValidationError as error:
        raise StudyError(f"{path}: {sentence(error, TaskFile)}") from None
