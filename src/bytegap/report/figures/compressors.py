"""Which compressors of baselines.json are drawn as lines in the frontier figure."""

from typing import NamedTuple

from bytegap.report.inputs import Inputs

_FAMILIES = ("gzip", "xz", "PPMd")
"""Drawn: the best level or order of each, packing every window by itself, primed with training text.

That is the closest to what a model is given.
"""


class BpbLines(NamedTuple):
    """Pairs (name, BPB) of compressors."""

    drawn: list[tuple[str, float]]
    above_plot: list[tuple[str, float]]
    """Left out of the figure: above everything else in it, they would only compress its scale."""


def bpb_lines(inputs: Inputs) -> BpbLines:
    """The compressors to draw and to leave out; both empty without baselines.json."""
    if inputs.baselines is None:
        return BpbLines([], [])
    primed = [each for each in inputs.baselines.compressed if each.scope == "windows" and each.prime_bytes]
    best = [
        min((each for each in primed if each.compressor.startswith(family)), key=lambda each: each.bpb)
        for family in _FAMILIES
        if any(each.compressor.startswith(family) for each in primed)
    ]
    named = [(f"{each.compressor}, primed", each.bpb) for each in best]
    highest = max(
        [baseline.unigram_bpb for baseline in inputs.fit.ngram_baselines]
        + [cell.optimum_bpb.value for cell in inputs.cells if cell.optimum_bpb.value]
    )
    return BpbLines([line for line in named if line[1] <= highest], [line for line in named if line[1] > highest])


def caption(inputs: Inputs) -> str:
    """Sentences that explain the lines; empty if there are none."""
    drawn, above_plot = bpb_lines(inputs)
    sentences: list[str] = []
    if drawn:
        sentences.append(
            "Other grey lines are compressors applied to each test window by itself, primed with training text."
        )
    if above_plot:
        sentences.append(f"Above the plot: {', '.join(f'{name}, {bpb:.2f}' for name, bpb in above_plot)}.")
    return " ".join(sentences)
