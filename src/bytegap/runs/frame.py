"""A study's runs as a polars data frame. Reads runs.jsonl."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from bytegap.extras import require
from bytegap.schema.runs import RunRow
from bytegap.study.directory import RUNS, StudyDir

if TYPE_CHECKING:
    import polars as pl

_JSON_COLUMNS = (
    "objective_options",
    "permutation_options",
    "model_options",
    "bpb_by_edge",
    "document_nats_by_edge",
    "likelihoods",
    "length_mass",
)


def load_runs(path: str | Path) -> "pl.DataFrame":
    """The runs of a study, one per row; the columns are the fields of `RunRow`, nested ones as JSON text.

    `path` is a study's folder, such as `out/mine` or `results/laptop`, or a `runs.jsonl`. StudyDirError where there is
    no such table, or a line of it is damaged; MissingExtraError where polars is not installed.
    """
    require("load_runs", "frame")
    import polars as pl

    table = Path(path)
    rows = RUNS.read(StudyDir(table).path(RUNS) if table.is_dir() else table)
    numbers: dict[Any, Any] = {int: pl.Int64, float: pl.Float64}  # from type expressions to polars' types
    # A column in which no run has a value holds only None: its type is that of the field.
    types = {
        name: pl.List(numbers[kind]) if get_origin(field.annotation) is tuple else numbers[kind]
        for name, field in RunRow.model_fields.items()
        for kind in (field.annotation, *get_args(field.annotation))
        if kind in numbers and name not in ("flops_by_convention", *_JSON_COLUMNS)
    }
    cells = [row.model_dump(mode="json") for row in rows]
    for row in cells:
        row |= {name: json.dumps(row[name], sort_keys=True) for name in _JSON_COLUMNS}
    return pl.DataFrame(cells, schema_overrides=types, infer_schema_length=None)
