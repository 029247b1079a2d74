"""Runs on a cluster: one job a run, each claimed as a local worker claims it. The engine is Slurm."""

import signal
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from bytegap import slurm
from bytegap.console import say
from bytegap.records import Plan, RunSpec
from bytegap.store import Folder, read_record
from bytegap.study import Launch, Track
from bytegap.train import track as tracking
from bytegap.train.devices import Devices
from bytegap.train.run import train_run
from bytegap.train.stage import check_shards, finished
from bytegap.train.stopping import Stopping


def run(folder: Folder, launch: Launch, rows_at_once: int = 0, track: Track | None = None) -> None:
    """Submit every run that has no record and no job; says under which number."""
    plan = read_record(folder.plan, Plan, "plan")
    queued = {name for name, each in slurm.standings(folder).items() if each.state != "gone"}
    left = [spec for spec in plan.specs if not finished(folder, spec)]
    new = sorted((spec for spec in left if spec.id not in queued), key=lambda spec: -spec.flops)
    if not new:
        say("train", f"nothing to submit: {len(plan.specs) - len(left)} runs are trained, {len(left)} have their jobs")
        return
    tracking.check(track)
    check_shards(folder, new)
    threads = new[0].numerics.threads
    arguments = {spec.id: (str(folder.root.absolute()), spec.id) for spec in new}
    number = slurm.submit(folder, launch, threads, Trained(rows_at_once, track), arguments)
    say("train", f"{len(new)} runs submitted as job array {number}; 'bytegap runs' shows where they stand")


@dataclass(frozen=True)
class Trained:
    """A job: train one run of a folder, unless it is trained. After its time is up it goes back into the queue."""

    rows_at_once: int
    track: Track | None

    def __call__(self, root: str, name: str) -> None:
        """Within Slurm; SIGUSR2, sent when time is short, leaves a checkpoint, and so does SIGTERM.

        That is sent by `scancel`, and to a job that another will soon evict: only the second goes back into the queue.
        """
        folder, stopping = Folder(Path(root)), Stopping()
        requeue = signal.getsignal(signal.SIGUSR2)  # submitit's, which would not wait for the step under way
        stopping.listen(signal.SIGUSR2)
        try:
            self._train(folder, name, stopping)
        except SystemExit:
            if callable(requeue) and slurm.goes_on():
                requeue(signal.SIGUSR2, None)
            raise

    def _train(self, folder: Folder, name: str, stopping: Stopping) -> None:
        spec = next(spec for spec in read_record(folder.plan, Plan, "plan").specs if spec.id == name)
        home = folder.run(spec.id)
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "lock"):
            if not finished(folder, spec):
                train_run(spec, folder, _tell(spec), stopping, Devices(rows_at_once=self.rows_at_once), self.track)

    def checkpoint(self, root: str, name: str) -> object:
        """What submitit requeues when the job's time is up or it is preempted: the same, from its last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, root, name)


def _tell(spec: RunSpec):  # noqa: ANN202 - a `Report`
    told = -1  # hundredths of the run

    def report(name: str, step: int, loss: float, speed: float) -> None:
        nonlocal told
        if (now := 100 * step // spec.steps) > told:
            told = now
            say("train", f"{name} {spec.arm} {step}/{spec.steps} {loss:.3f} nats/symbol {speed:,.0f} symbols/s")

    return report
