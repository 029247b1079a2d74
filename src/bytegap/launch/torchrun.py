"""Train each run on all devices that torchrun started, one run after another: for large models.

`torchrun --nproc-per-node 8 -m bytegap train STUDY.toml`; with `--shard` no device holds all weights of a model.
Reads plan.json and tokens/; writes runs/ID/.
"""

from dataclasses import replace

from bytegap.console import say
from bytegap.launch.claim import check_token_files, claim_and_train, has_record, runs_to_train
from bytegap.launch.display import LinePrinter, Progress
from bytegap.study.directory import StudyDir
from bytegap.train import loggers
from bytegap.train.parallel import destroy_process_group, init_process_group
from bytegap.train.run import StepReport
from bytegap.train.signals import StopSignal
from bytegap.train.trainer import RunOptions


def run(study_dir: StudyDir, options: RunOptions, *, sharded: bool) -> None:
    """Train every planned run that has no record; runs that other processes have claimed are left to them."""
    loggers.check(options.logging)
    stop = StopSignal()
    stop.listen()
    devices = init_process_group(sharded=sharded)
    plan = study_dir.plan()
    check_token_files(study_dir, plan.specs)
    kept = study_dir.rows_without_folder(plan.specs)  # the same on every device: training adds none
    progress = Progress(runs_to_train(study_dir, plan.specs) if devices.is_first else [], len(plan.specs))
    print_line = LinePrinter(progress.line)

    def report(step: StepReport) -> None:
        if devices.is_first:
            progress.step(0, step)
            print_line()

    for spec in sorted((spec for spec in plan.specs if spec.id not in kept), key=lambda spec: -spec.flops):
        record = claim_and_train(spec, study_dir, replace(options, devices=devices), report, stop).trained
        if record and devices.is_first:
            progress.end(0, spec.id)
            reason = f": {record.reason}" if record.reason else ""
            say("train", f"{spec.id} {spec.arm} {record.status}{reason}")
    if devices.is_first:
        done = len(kept) + sum(has_record(study_dir, spec) for spec in plan.specs)
        say("train", f"{done} of {len(plan.specs)} runs have their records; {devices.world} devices per run")
    destroy_process_group()
