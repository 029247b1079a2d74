"""How bfloat16 and compilation change a run's losses and BPB: the same runs with five seeds in each execution.

    python bench/precision.py STUDY_DIR [STEPS]

STUDY_DIR is a study's folder with tokens and a plan, such as `out/quickstart`.
The second smallest models of the byte arms train for STEPS steps, 400 by default.
Compared with float32 without compilation: the first 200 losses, and bits per byte at the end.
Writes bench/results/precision.json.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bytegap.io.arrays import read_array
from bytegap.plan import hyperparameters
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import StudyDir
from bytegap.train.run import train_run
from bytegap.train.trainer import Trainer
from results import Row, write

SEEDS, COMPARED_STEPS = 5, 200
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 400
REFERENCE: dict[str, str | bool] = {"dtype": "float32", "compile": False}
EXECUTIONS: dict[str, dict[str, str | bool]] = {
    "bfloat16": {"dtype": "bfloat16", "compile": False},
    "compiled": {"dtype": "float32", "compile": True},
    "bfloat16, compiled": {"dtype": "bfloat16", "compile": True},
}


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    losses: list[float]
    """Of the first steps, nats per token."""
    test_bpb: float


def main() -> None:
    """Measure, and write bench/results/precision.json."""
    study_dir = StudyDir(Path(sys.argv[1]))
    plan = study_dir.plan()
    rows: list[Row] = []
    for arm in ("byte-ar", "byte-mdm"):
        own = [run for run in plan.runs if run.arm == arm]
        spec = sorted((run for run in own if run.budget_flops == own[0].budget_flops), key=lambda run: run.tokens)[-2]
        reference = [train(study_dir, spec, seed, REFERENCE) for seed in range(SEEDS)]
        for name, execution in EXECUTIONS.items():
            found = [train(study_dir, spec, seed, execution) for seed in range(SEEDS)]
            rows.append(compare(f"{arm}, {spec.non_embedding_parameters:,} parameters, {name}", reference, found))
            print(rows[-1], flush=True)
    write("precision", "bfloat16 and compilation against float32", rows)


def compare(what: str, reference: list[Result], found: list[Result]) -> Row:
    """Differences of losses and BPB over all seeds."""
    differences = [
        abs(a - b)
        for one, other in zip(reference, found, strict=True)
        for a, b in zip(one.losses, other.losses, strict=True)
    ]
    reference_bpb, bpb = (fmean(run.test_bpb for run in runs) for runs in (reference, found))
    return {
        "what": what,
        f"largest difference of {COMPARED_STEPS} losses, nats": max(differences),
        "mean difference, nats": fmean(differences),
        "BPB in float32": reference_bpb,
        "BPB": bpb,
        "difference in BPB": bpb - reference_bpb,
    }


def train(study_dir: StudyDir, run: RunSpec, seed: int, execution: dict[str, str | bool]) -> Result:
    """Train the run for STEPS steps with a seed and an execution."""
    spec = run.model_copy(
        update={
            "steps": STEPS,
            "seed": seed,
            "tokens": STEPS * run.batch_size * run.seq_len,
            "optimizer": hyperparameters.optimizer(run.non_embedding_parameters, STEPS),
            "execution": run.execution.model_copy(update=execution),
        }
    )
    stream = read_array(study_dir.tokenizer_dir(spec.tokenizer), study_dir.tokenizer(spec.tokenizer).stream)
    trainer = Trainer(spec, stream)
    for step in trainer.steps():
        if step == COMPARED_STEPS:
            break
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "tokens").symlink_to(study_dir.tokens_dir.resolve())
        record = train_run(spec, StudyDir(Path(temporary)))
    assert record.test is not None
    return Result(trainer.metrics.losses, record.test.bpb)


if __name__ == "__main__":
    main()
