"""The law of the number of masked tokens under which the gradient of masked diffusion has the least second moment.

    python bench/masked_counts.py out/quickstart

With G_k the mean square of the gradient of the summed cross-entropy of k masked tokens, that law is q_k proportional to
G_k^1/2 / k. Printed for the best run of each masked arm and budget: G_k^1/2 / k over k^-1/2, relative to k = 1.
"""

import argparse
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from bytegap.data.windows import read_windows
from bytegap.lm.language_model import LanguageModel, load_run
from bytegap.objectives.mdm import mask_tokens
from bytegap.study.directory import StudyDir

ROWS = 120


def mean_square(model: LanguageModel, rows: Tensor, k: int, rng: torch.Generator) -> float:
    """G_k, over rows."""
    total = 0.0
    for row in rows:
        masked = torch.rand((1, len(row)), generator=rng).argsort(1).argsort(1) < k
        batch = mask_tokens(row[None], masked, torch.ones(1), model.vocabulary)
        model.network.zero_grad()
        logits = model.network(batch.inputs_BP, batch.positions_M, batch.attention)
        torch.nn.functional.cross_entropy(logits, batch.targets_M, reduction="sum").backward()
        total += sum(float(weight.grad.square().sum()) for weight in model.network.parameters())
    return total / len(rows)


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study's folder, such as out/quickstart")
    study_dir = StudyDir(parser.parse_args().study)
    best: dict[tuple[str, float], tuple[float, str, str]] = {}
    for spec, bpb in study_dir.runs_with_validation_bpb(study_dir.plan().runs):
        if spec.objective == "mdm":
            cell = (spec.arm, spec.budget_flops)
            own = (bpb, spec.id, spec.tokenizer)
            best[cell] = min(own, best.get(cell, own))
    for (arm, flops), (_, run, tokenizer) in best.items():
        windows = read_windows(study_dir.windows_dir, study_dir.windows().splits["test"], tokenizer)
        tokens = np.split(windows.tokens.astype(np.int64), np.cumsum(windows.counts.astype(np.int64))[:-1])
        S = int(median(windows.counts.tolist()))
        rows = torch.from_numpy(np.stack([each[:S] for each in tokens if len(each) >= S][:ROWS]))
        model, rng = load_run(study_dir.run(run)), torch.Generator().manual_seed(0)
        roots = {k: mean_square(model, rows, k, rng) ** 0.5 for k in (1, 2, 4, 8, 16, S // 2, S)}
        shown = ", ".join(f"{k}: {root / k**0.5 / roots[1]:.2f}" for k, root in roots.items())
        print(f"{arm} at {flops:.3g}: {shown}", flush=True)


if __name__ == "__main__":
    main()
