"""Compute-matched scaling studies of {byte, BPE} x {autoregressive, masked diffusion} language models.

The public interface. Each function imports what it needs when it is called: `import bytegap` loads neither numpy nor
torch. What belongs to an extra is named in the function's docstring.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from bytegap.evaluate.score import TextScore
    from bytegap.fit.table_schema import ArmsFit, TableFit
    from bytegap.lm.language_model import LanguageModel
    from bytegap.study.config import Study

    __version__: str

__all__ = ["__version__", "fit_table", "load_runs", "load_study", "open_model", "score_text"]


def load_study(path: str | Path) -> "Study":
    """Read and check a study file; StudyError says which key is wrong and how to correct it."""
    from bytegap.study import load

    return load.load_study(Path(path))


def load_runs(path: str | Path) -> "pl.DataFrame":
    """The runs of a study as a polars data frame, one run a row (docs/runs.md). Needs the extra `frame`.

    `path` is the study's folder or its `runs.jsonl`. StudyDirError if there is no such table.
    """
    from bytegap.runs import frame

    return frame.load_runs(path)


def fit_table(  # noqa: PLR0913 - keyword arguments of a public function
    table: "str | Path | Sequence[Mapping[str, float | str | None]]",
    *,
    columns: "Mapping[str, str] | None" = None,
    convention: str | None = None,
    drop_worst: int = 0,
    bootstraps: int = 4000,
    seed: int = 0,
    pairs: "Sequence[tuple[str, str]]" = (),
) -> "TableFit | ArmsFit":
    """Fit scaling laws to a table of runs, as `bytegap fit-table` does; FitError says what is wrong with the table.

    `table` is the path of a CSV file, or a list of rows, each a mapping of column names to values. `columns` maps
    bytegap's column names to the table's; `convention = "6nd"` computes a missing one of flops, params and tokens by
    C = 6 N D; `drop_worst` rows of largest residual are left out of a second fit; intervals come from `bootstraps`
    resamples drawn with `seed`. Of a column `arm`, each of `pairs`, an arm of bytes and the one that it is compared
    with, gets its overhead, gap, slope and parity, and every two pairs their interaction.
    """
    from bytegap.fit import fit_table as fit
    from bytegap.fit import read_table

    if isinstance(table, str | Path):
        rows = read_table.read(Path(table), columns or {}, convention)
    else:
        rows = read_table.read_records(table, columns or {}, convention)
    return fit.fit_table(rows, bootstraps, seed, drop_worst, pairs).fit


def open_model(name: str | Path, context: int | None = None) -> "LanguageModel":
    """Open a finished run's folder, or `hf:PATH`, a local folder in safetensors. Needs the extra `train`.

    `context` is the sequence length of an `hf:` model in tokens; the model's own, at most 2048, if left out. ModelError
    or EvaluateError says why a model cannot be opened.
    """
    from bytegap.lm import open_model as opener

    return opener.open_model(str(name), context)


def score_text(model: "LanguageModel | str | Path", text: str | bytes, *, mc_passes: int | None = None) -> "TextScore":
    """Score one document, a string as UTF-8: its `bits_per_byte` with standard error `se`. Needs the extra `train`.

    `model` is what `open_model` returns, or a name that it opens. `mc_passes` is the number of Monte Carlo passes of an
    estimated likelihood, the model's own if left out; an exact likelihood needs one and takes one. EvaluateError if the
    text is empty.
    """
    from bytegap.evaluate import score

    opened = open_model(model) if isinstance(model, str | Path) else model
    return score.score_text(opened, text, mc_passes=mc_passes)


def __getattr__(name: str) -> str:
    """`__version__`, that of the installed package: looked up only when it is read."""
    if name == "__version__":
        from importlib.metadata import version

        return version("bytegap")
    raise AttributeError(f"module 'bytegap' has no attribute '{name}'")
