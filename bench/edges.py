"""What is left of the windows' edges: test BPB under three edges, and of second halves given first halves.

    python bench/edges.py out/quickstart

A window is halved at the boundary of all tokenizers that is nearest to its middle, so that every arm scores the same
bytes given the same bytes; windows without such a boundary are left out.
Prints a line for each arm's run of lowest validation BPB, then for each objective ln(BPB of bytes / BPB of another
tokenizer): an edge that charges one of them shows as a difference between columns.
A pair's second line is the change of that ratio from the study's own edge as a change of ln k: over the exponent g of
the byte arm's power law L = A C^-g, where the study has a fit.
"""

import argparse
from functools import reduce
from itertools import combinations
from math import log
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bytegap.cost.bits import bits_per_byte
from bytegap.data.windows import read_windows
from bytegap.io.arrays import read_array
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import window_nats
from bytegap.schema.data import ScoringSplit
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import FIT, StudyDir

SECOND_HALVES = "second half"


def boundaries(study_dir: StudyDir, split: ScoringSplit, tokenizer: str) -> list[NDArray[np.int64]]:
    """Of each window, the byte offsets in it at which a token ends, its own end left out."""
    windows, manifest = read_windows(study_dir.windows_dir, split, tokenizer), study_dir.tokenizer(tokenizer)
    lengths = np.append(read_array(study_dir.tokenizer_dir(tokenizer), manifest.lengths), 0).astype(np.int64)
    tokens = np.split(windows.tokens.astype(np.int64), np.cumsum(windows.counts.astype(np.int64))[:-1])
    found = [np.cumsum(lengths[each]) for each in tokens]
    return [ends[ends < ends[-1]] for ends in found]


def middles(study_dir: StudyDir, split: ScoringSplit) -> NDArray[np.int64]:
    """(W,), the common boundary nearest to each window's middle; 0 where it has none inside."""
    common = [
        reduce(np.intersect1d, each)
        for each in zip(*(boundaries(study_dir, split, name) for name in split.tokenizers), strict=True)
    ]
    starts, ends = (read_array(study_dir.windows_dir, array).astype(np.int64) for array in (split.starts, split.ends))
    return np.array(
        [
            inside[np.abs(inside - size / 2).argmin()] if len(inside) else 0
            for inside, size in zip(common, ends - starts, strict=True)
        ]
    )


def second_halves(study_dir: StudyDir, spec: RunSpec) -> float:
    """BPB of the test windows beyond their middles, given what is before."""
    split = study_dir.windows().splits["test"]
    middle_W = middles(study_dir, split)
    ends = boundaries(study_dir, split, spec.tokenizer)
    prefix_W = [int(np.searchsorted(own, middle, "right")) for own, middle in zip(ends, middle_W, strict=True)]
    windows = read_windows(study_dir.windows_dir, split, spec.tokenizer)
    nats, _ = window_nats(load_run(study_dir.run(spec.id)), windows, torch.tensor(prefix_W))
    starts, stops = (read_array(study_dir.windows_dir, array).astype(np.int64) for array in (split.starts, split.ends))
    halved_W = middle_W > 0
    return bits_per_byte(
        float(nats.mean(0)[torch.from_numpy(halved_W)].sum()), int((stops - starts - middle_W)[halved_W].sum())
    )


def best_runs(study_dir: StudyDir) -> list[RunSpec]:
    """The run of lowest validation BPB of each arm."""
    best: dict[str, tuple[float, RunSpec]] = {}
    for spec, bpb in study_dir.runs_with_validation_bpb(study_dir.plan().runs):
        best[spec.arm] = min((bpb, spec), best.get(spec.arm, (bpb, spec)), key=lambda each: each[0])
    return [spec for _, spec in best.values()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study's folder, such as out/quickstart")
    study_dir = StudyDir(parser.parse_args().study)
    edges = [study_dir.windows().edge, *study_dir.windows().other_edges]
    print(f"| | {' | '.join([*edges, SECOND_HALVES])} |\n|---|{'---|' * (len(edges) + 1)}")
    bpb: dict[tuple[str, str], list[float]] = {}
    arms: dict[tuple[str, str], str] = {}
    fit = study_dir.find(FIT)
    frontiers = fit.frontiers if fit else ()
    exponents = {each.arm: each.exponent.value for each in frontiers if each.form == "power law"}
    for spec in best_runs(study_dir):
        record = study_dir.run(spec.id).record()
        scores = [record.test, *(record.test_by_edge[edge] for edge in edges[1:])]
        own = [*(score.bpb for score in scores if score), second_halves(study_dir, spec)]
        bpb[spec.objective, spec.tokenizer], arms[spec.objective, spec.tokenizer] = own, spec.arm
        print(f"| {spec.arm}, BPB | {' | '.join(f'{value:.4f}' for value in own)} |")
    kinds = {name: study_dir.tokenizer(name).kind for name in study_dir.windows().seq_len}
    for one, other in combinations(bpb, 2):
        byte, token = sorted((one, other), key=lambda key: kinds[key[1]] != "bytes")
        if byte[0] == token[0] and kinds[byte[1]] == "bytes" != kinds[token[1]]:
            ratios = [log(a / b) for a, b in zip(bpb[byte], bpb[token], strict=True)]
            print(f"| ln {byte[1]} / {token[1]}, {byte[0]} | {' | '.join(f'{value:.4f}' for value in ratios)} |")
            if (exponent := exponents.get(arms[byte])) is not None:
                changes = [(value - ratios[0]) / exponent for value in ratios]
                print(f"| change of ln k, {byte[0]} | {' | '.join(f'{value:+.3f}' for value in changes)} |")


if __name__ == "__main__":
    main()
