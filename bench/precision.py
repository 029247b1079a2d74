"""What lower precision and compilation do to a run's numbers: the same runs, five seeds, each way.

    python bench/precision.py FOLDER [STEPS]

FOLDER is a study's, such as `out/quickstart`, with its tokens and its plan. The byte arms' second smallest models train
for 400 steps, or as many as you say: how far losses are from those in float32, uncompiled, in the first 200, and bits
per byte at the end.
"""

import sys
import tempfile
from pathlib import Path
from statistics import fmean

from bytegap.plan import rules
from bytegap.records import Plan, RunSpec, TokensManifest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record
from bytegap.train.loop import Training
from bytegap.train.run import train_run
from results import Row, write

SEEDS, FIRST = 5, 200
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 400
PLAIN = {"dtype": "float32", "compile": False}
WAYS = {
    "bfloat16": {"dtype": "bfloat16", "compile": False},
    "compiled": {"dtype": "float32", "compile": True},
    "bfloat16, compiled": {"dtype": "bfloat16", "compile": True},
}


def main() -> None:
    """Measure, and write bench/results/precision.json."""
    folder = Folder(Path(sys.argv[1]))
    plan = read_record(folder.plan, Plan, "plan")
    rows: list[Row] = []
    for arm in ("byte-ar", "byte-mdm"):
        own = [run for run in plan.runs if run.arm == arm]
        spec = sorted((run for run in own if run.budget_flops == own[0].budget_flops), key=lambda run: run.symbols)[-2]
        plain = [measured(folder, spec, seed, PLAIN) for seed in range(SEEDS)]
        for name, way in WAYS.items():
            found = [measured(folder, spec, seed, way) for seed in range(SEEDS)]
            apart = [
                abs(a - b)
                for (one, _), (two, _) in zip(plain, found, strict=True)
                for a, b in zip(one, two, strict=True)
            ]
            rows.append(
                {
                    "what": f"{arm}, {spec.non_embedding_parameters:,} parameters, {name}",
                    f"largest difference of {FIRST} losses, nats": max(apart),
                    "mean difference, nats": fmean(apart),
                    "BPB in float32": fmean(bpb for _, bpb in plain),
                    "BPB so": fmean(bpb for _, bpb in found),
                    "apart, BPB": fmean(bpb for _, bpb in found) - fmean(bpb for _, bpb in plain),
                }
            )
            print(rows[-1], flush=True)
    write("precision", "bfloat16 and compilation against float32", rows)


def measured(folder: Folder, like: RunSpec, seed: int, way: dict) -> tuple[list[float], float]:
    """Losses of the first steps, and test BPB at the end."""
    spec = like.model_copy(
        update={
            "steps": STEPS,
            "seed": seed,
            "symbols": STEPS * like.rows_per_batch * like.row_symbols,
            "optimiser": rules.optimiser(like.non_embedding_parameters, STEPS),
            "numerics": like.numerics.model_copy(update=way),
        }
    )
    manifest = read_record(folder.tokens_of(spec.tokens) / "manifest.json", TokensManifest, "tokens")
    training = Training(spec, read_array(folder.tokens_of(spec.tokens), manifest.stream))
    for step in training.steps():
        if step == FIRST:
            break
    with tempfile.TemporaryDirectory() as aside:
        (Path(aside) / "tokens").symlink_to(folder.tokens.resolve())
        record = train_run(spec, Folder(Path(aside)), lambda *_: None)
    assert record.test is not None
    return training.ledger.losses, record.test.bpb


if __name__ == "__main__":
    main()
