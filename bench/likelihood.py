"""Variance of estimators of the masked-diffusion bound, at equal numbers of passes, on a trained run.

    python bench/likelihood.py out/quickstart RUN_ID [--passes 200]

Every estimator spends the same forward passes over the same test windows. Prints the table in docs/method.md.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bytegap.console import track
from bytegap.cost.bits import bits_per_byte
from bytegap.data.windows import read_windows
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import rng_for, stratified_times
from bytegap.objectives.base import Batch, Sequences
from bytegap.objectives.mdm import MaskedDiffusion, mask_tokens
from bytegap.study.directory import RunDir, StudyDir

BATCH = 64
"""Windows over which mdlm stratifies t, as it does over a batch."""
MIN_T = 1e-3
"""mdlm's smallest t."""

Times = Callable[[int, torch.Generator], Tensor]
"""(windows, rng) to the time of each."""
Masking = Callable[[Sequences], Batch]


def independent_times(windows: int, rng: torch.Generator) -> Tensor:
    """Independent uniform times."""
    return 1 - torch.rand(windows, generator=rng, dtype=torch.float64)


def stratified_in_batches(windows: int, rng: torch.Generator) -> Tensor:
    """One time in each stratum of each batch, jittered independently within it; windows are batched at random."""
    rank = torch.randperm(windows, generator=rng)
    start = (rank % BATCH).double()
    count = torch.clamp(windows - rank // BATCH * BATCH, max=BATCH)
    return 1 - (start + torch.rand(windows, generator=rng, dtype=torch.float64)) / count


def bernoulli(sequences: Sequences) -> Batch:
    """Each position masked with probability t, weight 1 / t."""
    t_B = sequences.t_B.clamp(min=MIN_T)
    masked_BS = torch.rand(sequences.tokens_BS.shape, generator=sequences.rng) < t_B[:, None]
    return mask_tokens(sequences.tokens_BS, masked_BS, 1 / t_B, sequences.vocabulary)


uniform_count: Masking = MaskedDiffusion(schedule="count").training_batch
"""k = ceil(t S) masked positions, weight S / k."""
importance: Masking = MaskedDiffusion().scoring_batch
"""As bytegap scores: few masked positions are drawn more often."""

ESTIMATORS: dict[str, tuple[Times, Masking]] = {
    "independent t, Bernoulli masks": (independent_times, bernoulli),
    f"t stratified over {BATCH} windows, Bernoulli masks (mdlm)": (stratified_in_batches, bernoulli),
    "independent t, uniform count": (independent_times, uniform_count),
    "t on a lattice, uniform count": (stratified_times, uniform_count),
    "t on a lattice, few masked positions more often (bytegap)": (stratified_times, importance),
}


class Bench:
    """A run's model and its test windows."""

    def __init__(self, study_dir: StudyDir, run_dir: RunDir) -> None:
        self.spec, self.model = run_dir.spec(), load_run(run_dir)
        split = study_dir.windows().splits["test"]
        self.unigram_bpb, self.bytes = split.tokenizers[self.spec.tokenizer].unigram_bpb, split.bytes
        windows = read_windows(study_dir.windows_dir, split, self.spec.tokenizer)
        self.n_windows = len(windows.counts)
        self.by_length = [(torch.from_numpy(i), torch.from_numpy(tokens)) for i, tokens in windows.by_length()]

    @torch.no_grad()
    def one_pass(self, times: Times, masking: Masking, rng: torch.Generator) -> float:
        """BPB of the split by one forward of every window."""
        t_W, nats = times(self.n_windows, rng), 0.0
        for indices, tokens in self.by_length:
            for some, own in zip(indices.split(BATCH), tokens.split(BATCH), strict=True):
                batch = masking(Sequences(own, t_W[some], rng, self.model.vocabulary))
                logits_MV = self.model(batch.inputs_BP, batch.positions_M, batch.attention).double()
                nats += float(self.model.objective.loss(logits_MV, batch).weighted_nats_B.sum())
        return bits_per_byte(nats, self.bytes)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study's folder, such as out/quickstart")
    parser.add_argument("run", help="the id of a masked-diffusion run of it")
    parser.add_argument("--passes", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    study_dir = StudyDir(options.study)
    bench = Bench(study_dir, study_dir.run(options.run))
    values: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    for number in track(range(options.passes), "passes"):
        for index, (name, (times, masking)) in enumerate(ESTIMATORS.items()):
            values[name].append(bench.one_pass(times, masking, rng_for(0, number, index)))
    ours = np.var(values[next(reversed(ESTIMATORS))], ddof=1)
    size = bench.spec.non_embedding_parameters
    print(f"{bench.spec.arm}, N = {size:,}, unigram {bench.unigram_bpb:.3f} BPB, {bench.bytes:,} bytes")
    print("| estimator | mean BPB | standard deviation of a pass | variance over bytegap's |\n|---|---|---|---|")
    for name, own in values.items():
        error = np.std(own, ddof=1) / len(own) ** 0.5
        variance = np.var(own, ddof=1)
        print(f"| {name} | {np.mean(own):.4f} +- {error:.4f} | {variance**0.5:.4f} | {variance / ours:.1f} |")


if __name__ == "__main__":
    main()
