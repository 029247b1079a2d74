"""A study's runs as a polars data frame. Reads runs.jsonl."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bytegap.errors import StoreError
from bytegap.records import RunRow
from bytegap.store import Folder, read_table

if TYPE_CHECKING:
    import polars as pl


def load_runs(path: str | Path) -> "pl.DataFrame":
    """The runs of a study, one a row, columns as `RunRow` has them.

    `path` is a study's folder, such as `out/mine` or `results/laptop`, or a `runs.jsonl`. StoreError where there is no
    such table, a line of it is damaged, or polars is not installed.
    """
    try:
        import polars as pl
    except ModuleNotFoundError:
        message = "load_runs makes a polars frame and polars is not installed: pip install 'bytegap[frame]'"
        raise StoreError(message) from None
    table = Path(path)
    rows = read_table(Folder(table).table if table.is_dir() else table, RunRow, "runs")
    types = {int: pl.Int64, float: pl.Float64}
    # Where no run was scored a column holds nothing but None: its type is RunRow's word.
    schema: dict[str, Any] = {
        name: types[kind]
        for name, field in RunRow.model_fields.items()
        for kind in (field.annotation, *get_args(field.annotation))
        if kind in types and not str(field.annotation).startswith("dict")
    }
    return pl.DataFrame([row.model_dump() for row in rows], schema_overrides=schema, infer_schema_length=None)
