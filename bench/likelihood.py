"""How much an estimator of the masked-diffusion bound varies, pass for pass, on a trained run.

    python bench/likelihood.py out/quickstart RUN_ID [--passes 200]

Every row spends the same forward passes over the same test windows; the table in docs/method.md is what this prints.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bytegap import plugins
from bytegap.accounting.bits import bits_per_byte
from bytegap.console import track
from bytegap.likelihood import lattice, stream
from bytegap.objectives import mdm
from bytegap.objectives._base import Question, Vocabulary
from bytegap.records import RunSpec, WindowsManifest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record
from bytegap.tensors import read_tensors
from bytegap.windows import Windows

BATCH = 64
"""Windows over which mdlm stratifies t, as it does over a batch."""
LEAST_T = 1e-3
"""mdlm's smallest t."""

Draw = Callable[[Tensor, Tensor, torch.Generator, Vocabulary], Question]


def iid(windows: int, generator: torch.Generator) -> Tensor:
    """Independent times."""
    return 1 - torch.rand(windows, generator=generator, dtype=torch.float64)


def stratified(windows: int, generator: torch.Generator) -> Tensor:
    """One time a stratum of each batch, jittered independently within it; batches are of windows at random."""
    place = torch.randperm(windows, generator=generator)
    start = (place % BATCH).double()
    count = torch.clamp(windows - place // BATCH * BATCH, max=BATCH)
    return 1 - (start + torch.rand(windows, generator=generator, dtype=torch.float64)) / count


def bernoulli(symbols_BS: Tensor, t_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary) -> Question:
    """Every position masked with probability t, weight 1 / t."""
    t_B = t_B.clamp(min=LEAST_T)
    hidden_BS = torch.rand(symbols_BS.shape, generator=generator) < t_B[:, None]
    return mdm.masked(symbols_BS, hidden_BS, 1 / t_B, vocabulary)


def uniform_count(symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary) -> Question:
    """Masks k = ceil(u S) positions, weight S / k."""
    return mdm.ask(symbols_BS, u_B, generator, vocabulary, mdm.Options())


def scored(symbols_BS: Tensor, u_B: Tensor, generator: torch.Generator, vocabulary: Vocabulary) -> Question:
    """As bytegap scores: few masked positions drawn more often."""
    return mdm.score(symbols_BS, u_B, generator, vocabulary, mdm.Options())


METHODS: dict[str, tuple[Callable[[int, torch.Generator], Tensor], Draw]] = {
    "t iid, each position by itself": (iid, bernoulli),
    f"t stratified over {BATCH} windows (mdlm)": (stratified, bernoulli),
    "count iid": (iid, uniform_count),
    "count on the lattice": (lattice, uniform_count),
    "count on the lattice, few masked drawn more often (bytegap)": (lattice, scored),
}


class Bench:
    """A run's model and its test windows."""

    def __init__(self, root: Path, run: str) -> None:
        folder = Folder(root)
        self.spec = read_record(folder.run(run) / "spec.json", RunSpec, "train")
        module = plugins.load("models", self.spec.model)
        self.model = module.build(module.Shape(**self.spec.shape))
        self.model.load_state_dict(read_tensors(folder.run(run) / "weights.safetensors")[0])
        self.vocabulary = Vocabulary(self.spec.shape["vocabulary"] - 3)
        split = read_record(folder.windows_manifest, WindowsManifest, "tokens").splits["test"]
        own = split.tokens[self.spec.tokens]
        self.unigram_bpb, self.bytes = own.unigram_bpb, split.bytes
        self.windows = Windows(
            symbols=read_array(folder.tokens / "windows", own.symbols),
            counts=read_array(folder.tokens / "windows", own.counts),
            bytes=split.bytes,
            sha256=split.sha256,
        )
        self.by_length = [(torch.from_numpy(w), torch.from_numpy(s)) for w, s in self.windows.by_length()]

    @torch.no_grad()
    def one_pass(
        self, times: Callable[[int, torch.Generator], Tensor], draw: Draw, generator: torch.Generator
    ) -> float:
        """BPB of the whole split by one forward of every window."""
        u_W, nats = times(len(self.windows.counts), generator), 0.0
        for which, symbols in self.by_length:
            for some, own in zip(which.split(BATCH), symbols.split(BATCH), strict=True):
                question = draw(own, u_W[some], generator, self.vocabulary)
                logits_MV = self.model(question.inputs_BP, question.positions_M, question.sight).double()
                nats += float(mdm.loss(logits_MV, question).weighted_nats_B.sum())
        return float(bits_per_byte(nats, self.bytes))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study folder, such as out/quickstart")
    parser.add_argument("run", help="a masked-diffusion run of it")
    parser.add_argument("--passes", type=int, default=200)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(chosen.study, chosen.run)
    values: dict[str, list[float]] = {name: [] for name in METHODS}
    for number in track(range(chosen.passes), "passes"):
        for place, (name, (times, draw)) in enumerate(METHODS.items()):
            values[name].append(bench.one_pass(times, draw, stream(0, number, place)))
    ours = np.var(values[next(reversed(METHODS))], ddof=1)
    size = bench.spec.non_embedding_parameters
    print(f"{bench.spec.arm}, N = {size:,}, unigram {bench.unigram_bpb:.3f} BPB, {bench.bytes:,} bytes")
    print("| estimator | mean BPB | deviation of a pass | variance over bytegap's |\n|---|---|---|---|")
    for name, own in values.items():
        error = np.std(own, ddof=1) / len(own) ** 0.5
        variance = np.var(own, ddof=1)
        print(f"| {name} | {np.mean(own):.4f} +- {error:.4f} | {variance**0.5:.4f} | {variance / ours:.1f} |")


if __name__ == "__main__":
    main()
