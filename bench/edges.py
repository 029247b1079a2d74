"""What is left of the windows' edges: test BPB under three edges, and of second halves given first halves.

    python bench/edges.py out/quickstart

A window is halved at the boundary of all tokenizers that is nearest to its middle, so that every arm scores the same
bytes given the same bytes; windows without such a boundary are left out.
Prints a line for each arm's run of lowest validation BPB, then for each objective ln(BPB of bytes / BPB of another
tokenizer): an edge that charges one of them shows as a difference between columns.
A pair's second line is the change of that ratio from the study's own edge as a change of ln k: over the exponent g of
the byte arm's power law L = A C^-g, where the study has a fit.
The second halves' change is from the whole of the same windows, its error from a bootstrap of documents.
"""

import argparse
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from math import log
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bytegap.data.windows import read_windows
from bytegap.io.arrays import read_array
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import window_nats
from bytegap.schema.data import ScoringSplit
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import FIT, StudyDir

SECOND_HALVES = "second half"
BOOTSTRAPS = 1000


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


@dataclass(frozen=True)
class Halves:
    """Nats and bytes of the test windows that can be halved, by document: whole, and of second halves given first."""

    nats_2H: NDArray[np.float64]
    bytes_2H: NDArray[np.float64]

    def ln_bpb(self, count_BH: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2, B), of resamples that count each document."""
        return np.log((self.nats_2H @ count_BH.T) / (self.bytes_2H @ count_BH.T) / log(2))


def halves(study_dir: StudyDir, spec: RunSpec) -> Halves:
    """Scores of one run."""
    split = study_dir.windows().splits["test"]
    middle_W = middles(study_dir, split)
    ends = boundaries(study_dir, split, spec.tokenizer)
    prefix_W = [int(np.searchsorted(own, middle, "right")) for own, middle in zip(ends, middle_W, strict=True)]
    windows = read_windows(study_dir.windows_dir, split, spec.tokenizer)
    model = load_run(study_dir.run(spec.id))
    starts, stops = (read_array(study_dir.windows_dir, array).astype(np.int64) for array in (split.starts, split.ends))
    halved_W = middle_W > 0
    document_W = read_array(study_dir.windows_dir, split.documents).astype(np.int64)

    def by_document(values_W: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(document_W[halved_W], values_W[halved_W], minlength=split.n_documents)

    prefixes = (torch.zeros(len(middle_W), dtype=torch.int64), torch.tensor(prefix_W))
    nats = [window_nats(model, windows, prefix)[0].mean(0).double().numpy() for prefix in prefixes]
    return Halves(
        np.stack([by_document(each) for each in nats]),
        np.stack([by_document(stops - starts - middle) for middle in (np.zeros_like(middle_W), middle_W)]),
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
    halved: dict[tuple[str, str], Halves] = {}
    arms: dict[tuple[str, str], str] = {}
    fit = study_dir.find(FIT)
    frontiers = fit.frontiers if fit else ()
    exponents = {each.arm: each.exponent.value for each in frontiers if each.form == "power law"}
    for spec in best_runs(study_dir):
        record = study_dir.run(spec.id).record()
        scores = [record.test, *(record.test_by_edge[edge] for edge in edges[1:])]
        halved[spec.objective, spec.tokenizer] = own_halves = halves(study_dir, spec)
        second = float(np.exp(own_halves.ln_bpb(np.ones((1, own_halves.nats_2H.shape[1])))[1, 0]))
        own = [*(score.bpb for score in scores if score), second]
        bpb[spec.objective, spec.tokenizer], arms[spec.objective, spec.tokenizer] = own, spec.arm
        print(f"| {spec.arm}, BPB | {' | '.join(f'{value:.4f}' for value in own)} |")
    rng = np.random.default_rng(0)
    kinds = {name: study_dir.tokenizer(name).kind for name in study_dir.windows().seq_len}
    for one, other in combinations(bpb, 2):
        byte, token = sorted((one, other), key=lambda key: kinds[key[1]] != "bytes")
        if byte[0] == token[0] and kinds[byte[1]] == "bytes" != kinds[token[1]]:
            ratios = [log(a / b) for a, b in zip(bpb[byte], bpb[token], strict=True)]
            print(f"| ln {byte[1]} / {token[1]}, {byte[0]} | {' | '.join(f'{value:.4f}' for value in ratios)} |")
            if (exponent := exponents.get(arms[byte])) is not None:
                changes = [(value - ratios[0]) / exponent for value in ratios[:-1]]
                documents = halved[byte].nats_2H.shape[1]
                count_BH = rng.multinomial(documents, np.full(documents, 1 / documents), size=BOOTSTRAPS).astype(float)
                count_BH[0] = 1  # the point: all documents
                whole_B, second_B = halved[byte].ln_bpb(count_BH) - halved[token].ln_bpb(count_BH)
                change_B = (second_B - whole_B) / exponent
                shown = [*(f"{value:+.3f}" for value in changes), f"{change_B[0]:+.3f} +- {change_B[1:].std():.3f}"]
                print(f"| change of ln k, {byte[0]} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
