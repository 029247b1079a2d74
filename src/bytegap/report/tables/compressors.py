"""The table of baselines.json: compressors on the test windows and on the test text as one file."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import Column, Entry, Table, number, text
from bytegap.schema.evaluate import Compressed

# (what is compressed, whether primed): stem of the columns, heading
_COLUMNS = {
    ("windows", False): ("windows", "each window"),
    ("windows", True): ("windows_primed", "each window, primed"),
    ("text", False): ("text", "full text"),
    ("text", True): ("text_primed", "full text, primed"),
}


def table(inputs: Inputs) -> Table | None:
    """One row per compressor; None without baselines.json."""
    found = inputs.baselines
    if found is None:
        return None
    return Table(
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
        columns=(
            Column("compressor", "compressor", numeric=False),
            *(Column(f"{name}_bpb", heading) for name, heading in _COLUMNS.values()),
            Column("prime_bytes", "primed with, bytes"),
            *(Column(f"{name}_bytes", f"{heading}, bytes") for name, heading in _COLUMNS.values()),
        ),
        rows=tuple(
            _row(name, [each for each in found.compressed if each.compressor == name])
            for name in dict.fromkeys(each.compressor for each in found.compressed)
        ),
    )


def _row(compressor: str, results: list[Compressed]) -> tuple[Entry, ...]:
    by_column = {(each.scope, each.prime_bytes > 0): each for each in results}
    found = [by_column.get(key) for key in _COLUMNS]
    prime_bytes = max(each.prime_bytes for each in results)
    return (
        text(compressor),
        *(number(each.bpb if each else None, fmt.bpb) for each in found),
        number(prime_bytes or None, fmt.integer),
        *(number(each.bytes if each else None, fmt.integer) for each in found),
    )
