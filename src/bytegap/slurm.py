"""Runs as Slurm job arrays, through submitit; where each job stands. Writes jobs.json and slurm/."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytegap.errors import BytegapError, StoreError
from bytegap.records import Job, Jobs
from bytegap.store import Folder, read_record, write_record
from bytegap.study import Launch

_SIGNAL_BEFORE_S = 60
"""A job is told so long before its time is up, and puts itself back into the queue."""
_MOST_TIMEOUTS = 1000


@dataclass(frozen=True)
class Standing:
    """Where a run's job is: `pending`, `running`, or `gone`, finished or not; why, in Slurm's words; what it wrote."""

    state: str
    reason: str
    log: Path


def submit(
    folder: Folder, launch: Launch, cpus: int, call: Callable[..., None], arguments: Mapping[str, Sequence[Any]]
) -> str:
    """An array with a job a run, its `arguments` by run id; the array's number. BytegapError where Slurm refuses."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError:
        message = "submitit is not installed, and --on slurm needs it: pip install 'bytegap[slurm]'"
        raise BytegapError(message) from None
    _tool("sbatch")
    executor = submitit.AutoExecutor(
        folder=folder.root.absolute() / "slurm", cluster="slurm", slurm_max_num_timeout=_MOST_TIMEOUTS
    )
    asked = {
        "name": f"bytegap-{folder.root.name}",
        "timeout_min": launch.minutes,
        "cpus_per_task": cpus,
        "gpus_per_node": launch.gpus or None,
        "mem_gb": launch.memory_gb,
        "slurm_partition": launch.partition,
        "slurm_account": launch.account,
        "slurm_array_parallelism": launch.parallel,
        "slurm_signal_delay_s": _SIGNAL_BEFORE_S,
        "slurm_additional_parameters": {"requeue": True},  # which a cluster may have switched off for who does not ask
    }
    executor.update_parameters(**{name: value for name, value in asked.items() if value is not None})
    try:
        jobs = executor.map_array(call, *zip(*arguments.values(), strict=True))
    except (FailedJobError, FailedSubmissionError) as error:
        message = f"Slurm did not take the jobs ({str(error).strip().splitlines()[-1]}): see [launch] of the study"
        raise BytegapError(message) from None
    made = {run: Job(job=job.job_id, log=str(job.paths.stderr)) for run, job in zip(arguments, jobs, strict=True)}
    write_record(folder.jobs, Jobs(jobs=_known(folder) | made))
    return jobs[0].job_id.partition("_")[0]


def standings(folder: Folder) -> dict[str, Standing]:
    """Of every run that was ever submitted; nothing where none was."""
    known = _known(folder)
    if not known:
        return {}
    told = subprocess.run(  # noqa: S603 - our own words
        [_tool("squeue"), "--noheader", "--array", "--format", "%i|%T|%r"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        message = f"squeue does not answer ({told.stderr.strip()}): is this a machine of the cluster?"
        raise BytegapError(message)
    lines = [line.split("|", 2) for line in told.stdout.splitlines()]
    queue = {job: (state.lower(), reason) for job, state, reason in lines}
    found: dict[str, Standing] = {}
    for run, job in known.items():
        state, reason = queue.get(job.job, ("gone", ""))
        found[run] = Standing(state, "" if reason == "None" else reason, Path(job.log))
    return found


def goes_on() -> bool:
    """Whether Slurm still counts the job that this process is among the running: not if it was cancelled."""
    import submitit

    told = subprocess.run(  # noqa: S603 - our own words
        [_tool("squeue"), "--noheader", "--jobs", submitit.JobEnvironment().job_id, "--format", "%T"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip() == "RUNNING"


def _known(folder: Folder) -> dict[str, Job]:
    try:
        return read_record(folder.jobs, Jobs, "train --on slurm").jobs
    except StoreError:
        if folder.jobs.exists():
            raise
        return {}


def _tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        message = f"'{name}' is not here: run this on a machine that submits to Slurm"
        raise BytegapError(message)
    return found
