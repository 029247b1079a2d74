"""Which compressors of baselines.json are drawn as lines in the frontier figure."""

from bytegap.report.inputs import Inputs

_FAMILIES = ("gzip", "xz", "PPMd")
"""Drawn: the best level or order of each, packing every window by itself, primed with training text.

That is the closest to what a model is given.
"""


def bpb_lines(inputs: Inputs) -> list[tuple[str, float]]:
    """Pairs (name, BPB) of these compressors; empty without baselines.json."""
    if inputs.baselines is None:
        return []
    primed = [each for each in inputs.baselines.compressed if each.scope == "windows" and each.prime_bytes]
    best = [
        min((each for each in primed if each.compressor.startswith(family)), key=lambda each: each.bpb)
        for family in _FAMILIES
        if any(each.compressor.startswith(family) for each in primed)
    ]
    return [(f"{each.compressor}, primed", each.bpb) for each in best]
