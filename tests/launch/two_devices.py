"""Started twice by torchrun: some steps of one run, from a run folder's checkpoint to another's; losses as JSON."""

import json
import sys
from itertools import islice
from pathlib import Path

from bytegap.io.arrays import read_array
from bytegap.study.directory import RunDir, StudyDir
from bytegap.train import checkpoint
from bytegap.train.parallel import destroy_process_group, init_process_group
from bytegap.train.trainer import RunOptions, Trainer


def train(root: str, arm: str, steps: int, before: str, after: str, options: RunOptions) -> list[float]:
    """The losses of all steps so far."""
    study_dir = StudyDir(Path(root))
    spec = next(spec for spec in study_dir.plan().runs if spec.arm == arm)
    stream = read_array(study_dir.tokenizer_dir(spec.tokenizer), study_dir.tokenizer(spec.tokenizer).stream)
    trainer = Trainer(spec, stream, options)
    checkpoint.resume(RunDir(Path(before)), trainer)
    list(islice(trainer.steps(), steps))
    checkpoint.write(RunDir(Path(after)), trainer)
    return trainer.metrics.losses


if __name__ == "__main__":
    root, arm, steps, before, after, kind, micro_batch_size, out = sys.argv[1:]
    devices = init_process_group(sharded=kind == "sharded")
    options = RunOptions(micro_batch_size=int(micro_batch_size), devices=devices)
    losses = train(root, arm, int(steps), before, after, options)
    if devices.is_first:
        Path(out).write_text(json.dumps(losses))
    destroy_process_group()
