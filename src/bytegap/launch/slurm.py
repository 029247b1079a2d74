"""Train runs as Slurm jobs, one job a run, each claimed as a local worker claims it."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bytegap.console import say, set_verbosity
from bytegap.launch import slurm_queue
from bytegap.launch.claim import check_token_files, claim_and_train, runs_to_train
from bytegap.schema.plan import RunSpec
from bytegap.study.config import Launch
from bytegap.study.directory import StudyDir
from bytegap.train import loggers
from bytegap.train.run import Report, StepReport
from bytegap.train.signals import StopSignal
from bytegap.train.trainer import DEFAULT_OPTIONS, RunOptions

_RETRY_S = 1.0


def run(study_dir: StudyDir, launch: Launch, options: RunOptions = DEFAULT_OPTIONS) -> None:
    """Submit a job for every run that has no record and no job; says the number of the job array."""
    plan = study_dir.plan()
    queued = {name for name, job in slurm_queue.job_states(study_dir).items() if job.state != "gone"}
    left = runs_to_train(study_dir, plan.specs)
    new = sorted((spec for spec in left if spec.id not in queued), key=lambda spec: -spec.flops)
    if not new:
        say("train", f"nothing to submit: {len(plan.specs) - len(left)} runs are trained, {len(left)} have their jobs")
        return
    loggers.check(options.logging)
    check_token_files(study_dir, new)
    arguments = {spec.id: (str(study_dir.root.absolute()), spec.id) for spec in new}
    request = slurm_queue.Request(launch, cpus=new[0].execution.threads)
    number = slurm_queue.submit(study_dir, request, TrainJob(options), arguments)
    say("train", f"{len(new)} runs submitted as job array {number}; 'bytegap collect' shows their states")


@dataclass(frozen=True)
class TrainJob:
    """A job that trains one run unless it has a record; when its time is up it goes back into the queue."""

    options: RunOptions

    def __call__(self, root: str, name: str) -> None:
        """The job, in a process that Slurm started: `root` is the study's folder, `name` the run's id.

        SIGUSR2, which submitit has Slurm send when the time is nearly up, ends it with a checkpoint, as SIGTERM does.
        SIGTERM comes from `scancel`, or because another job is about to preempt this one; only in the second case
        does the job go back into the queue.
        """
        set_verbosity("normal")
        study_dir, stop = StudyDir(Path(root)), StopSignal()
        requeue = signal.getsignal(signal.SIGUSR2)  # submitit's handler, which does not wait for the current step
        stop.listen(signal.SIGUSR2)
        try:
            self._train(study_dir, name, stop)
        except SystemExit:
            if callable(requeue) and slurm_queue.is_running():
                requeue(signal.SIGUSR2, None)
            raise

    def _train(self, study_dir: StudyDir, name: str, stop: StopSignal) -> None:
        spec = next(spec for spec in study_dir.plan().specs if spec.id == name)
        while claim_and_train(spec, study_dir, self.options, _report_percent(spec), stop).claimed_elsewhere:
            time.sleep(_RETRY_S)

    def checkpoint(self, root: str, name: str) -> object:
        """What submitit requeues: the same job, which resumes from its last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, root, name)


def _report_percent(spec: RunSpec) -> Report:
    """A line in the job's log for each percent of the run."""
    last_percent = -1

    def report(step: StepReport) -> None:
        nonlocal last_percent
        if (percent := 100 * step.step // spec.steps) > last_percent:
            last_percent = percent
            say(
                "train",
                f"{step.run} {spec.arm} {step.step}/{spec.steps} {step.loss_nats:.3f} nats/token "
                f"{step.tokens_per_s:,.0f} tokens/s",
            )

    return report
