"""The table of baselines.json: compressors on the test windows and on the test text as one file."""

from collections.abc import Callable

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Table
from bytegap.schema.evaluate import Compressed

# (what is compressed, whether primed): stem of the columns, heading
_CASES = {
    ("windows", False): ("windows", "each window"),
    ("windows", True): ("windows_primed", "each window, primed"),
    ("text", False): ("text", "full text"),
    ("text", True): ("text_primed", "full text, primed"),
}
_Results = dict[tuple[str, bool], Compressed]
"""The results of one compressor, by a key of _CASES."""


def table(inputs: Inputs) -> Table | None:
    """One row per compressor; None without baselines.json."""
    found = inputs.baselines
    if found is None:
        return None
    about = About(
        name="baselines",
        title="Compressors",
        caption=(
            f"Bits per byte of the test text, {fmt.integer(found.bytes)} bytes in {fmt.integer(found.windows)} "
            "windows. Compare a model's BPB with each window, primed: every window is compressed by itself after "
            "training text that encoder and decoder both have. Without priming, a window is as short as the format "
            "allows. The full text is one file as the tools write it, the number usually quoted, but each byte there "
            "follows more text than a model is given. Sizes are in whole bytes."
        ),
        source="../baselines.json",
    )
    by_compressor: dict[str, _Results] = {}
    for each in found.compressed:
        by_compressor.setdefault(each.compressor, {})[each.scope, each.prime_bytes > 0] = each
    columns: tuple[Column[_Results], ...] = (
        Column("compressor", "compressor", lambda row: next(iter(row.values())).compressor),
        *(
            Column(f"{name}_bpb", heading, _of(case, lambda each: each.bpb), fmt.bpb)
            for case, (name, heading) in _CASES.items()
        ),
        Column(
            "prime_bytes",
            "primed with, bytes",
            lambda row: max(each.prime_bytes for each in row.values()) or None,
            fmt.integer,
        ),
        *(
            Column(f"{name}_bytes", f"{heading}, bytes", _of(case, lambda each: each.bytes), fmt.integer)
            for case, (name, heading) in _CASES.items()
        ),
    )
    return Table.of(about, by_compressor.values(), columns)


def _of(case: tuple[str, bool], value: Callable[[Compressed], float | None]) -> Callable[[_Results], float | None]:
    """A value of one case, if it was measured."""
    return lambda row: value(row[case]) if case in row else None
