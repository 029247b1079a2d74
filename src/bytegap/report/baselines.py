"""Compressors on the test windows: a table of all, and the few that the frontiers are drawn with."""

from bytegap.records import Compressed
from bytegap.report import text
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, number, words

_DRAWN = ("gzip", "xz", "PPMd")
"""Of each the best level or order, every window by itself and primed: what a model is given, too."""
_HEADINGS = {
    ("windows", False): ("windows", "each window alone"),
    ("windows", True): ("windows_primed", "each window, primed"),
    ("text", False): ("text", "whole text alone"),
    ("text", True): ("text_primed", "whole text, primed"),
}


def lines(inputs: Inputs) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """(Name, BPB) of those to draw, and of those left out: above all that is drawn they would only squash it."""
    if inputs.baselines is None:
        return [], []
    primed = [each for each in inputs.baselines.compressed if each.of == "windows" and each.prime_bytes]
    best = [
        min((each for each in primed if each.compressor.startswith(family)), key=lambda each: each.bpb)
        for family in _DRAWN
        if any(each.compressor.startswith(family) for each in primed)
    ]
    named = [(f"{each.compressor}, primed", each.bpb) for each in best]
    highest = max(
        [floor.unigram_bpb for floor in inputs.fit.floors]
        + [cell.optimum_bpb.value for cell in inputs.cells if cell.optimum_bpb.value]
    )
    return [line for line in named if line[1] <= highest], [line for line in named if line[1] > highest]


def caption(inputs: Inputs) -> str:
    """What the lines are."""
    drawn, above = lines(inputs)
    said = (
        "Grey, named at the left: compressors on each test window by itself, after the training text." if drawn else ""
    )
    if above:
        left_out = ", ".join(f"{name}, {bpb:.2f}" for name, bpb in above)
        said += f" Above the plot: {left_out}."
    return said.strip()


def table(inputs: Inputs) -> Table | None:
    """A row a compressor; None where there are none."""
    made = inputs.baselines
    if made is None:
        return None
    return Table(
        name="baselines",
        title="Compressors",
        caption=(
            f"Bits per byte of the test text, {text.whole(made.bytes)} bytes in {text.whole(made.windows)} windows. A "
            "model's score is to be held against each window, primed: packed by itself, after training text that both "
            "sides have. Alone, a window is as short as the format allows. The whole text alone is one file as the "
            "tools write it: what people quote, but each byte follows more text than a model is given. Sizes are in "
            "whole bytes."
        ),
        source="../baselines.json",
        columns=(
            Column("compressor", "compressor", numeric=False),
            *(Column(f"{name}_bpb", title) for name, title in _HEADINGS.values()),
            Column("prime_bytes", "primed with, bytes"),
            *(Column(f"{name}_bytes", f"{title}, bytes") for name, title in _HEADINGS.values()),
        ),
        rows=tuple(
            _entry(name, [each for each in made.compressed if each.compressor == name])
            for name in dict.fromkeys(each.compressor for each in made.compressed)
        ),
    )


def _entry(name: str, own: list[Compressed]) -> tuple[Item, ...]:
    by = {(each.of, each.prime_bytes > 0): each for each in own}
    found = [by.get(key) for key in _HEADINGS]
    prime_bytes = max(each.prime_bytes for each in own)
    return (
        words(name),
        *(number(each.bpb if each else None, text.bpb) for each in found),
        number(prime_bytes or None, text.whole),
        *(number(each.bytes if each else None, text.whole) for each in found),
    )
