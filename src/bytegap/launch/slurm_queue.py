"""Job arrays of Slurm, submitted through submitit, and the states of their jobs.

Reads and writes jobs.json; submitit writes its files to slurm/.
"""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bytegap.errors import BytegapError
from bytegap.schema.base import FrozenDict
from bytegap.schema.runs import Job, Jobs
from bytegap.study.config import Launch
from bytegap.study.directory import JOBS, StudyDir

_SIGNAL_BEFORE_S = 60  # the end of a job's time: Slurm signals it, and it puts itself back into the queue
_MAX_TIMEOUTS = 1000


@dataclass(frozen=True)
class Request:
    """What each job of an array asks for."""

    launch: Launch
    cpus: int


@dataclass(frozen=True)
class JobState:
    """The last job of a run."""

    state: str
    """As Slurm says it, in lower case, such as `pending` or `running`; `gone` once it is not in the queue."""
    reason: str
    """Why it is pending, in Slurm's words; may be empty."""
    log: Path
    """The file that its standard error goes to."""


def submit(
    study_dir: StudyDir, request: Request, job: Callable[..., None], arguments: Mapping[str, Sequence[object]]
) -> str:
    """Submit an array with one job a run, and record it in jobs.json; returns the array's number.

    `arguments` are the job's, by run id.
    BytegapError where submitit or Slurm is missing, or Slurm refuses the jobs.
    """
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError:
        raise BytegapError("submitit is not installed, and --on slurm needs it: pip install 'bytegap[slurm]'") from None
    _tool("sbatch")
    executor = submitit.AutoExecutor(
        folder=study_dir.root.absolute() / "slurm", cluster="slurm", slurm_max_num_timeout=_MAX_TIMEOUTS
    )
    parameters = _parameters(study_dir, request)
    executor.update_parameters(**{name: value for name, value in parameters.items() if value is not None})
    try:
        jobs = executor.map_array(job, *zip(*arguments.values(), strict=True))
    except (FailedJobError, FailedSubmissionError) as error:
        raise BytegapError(
            f"Slurm refused the jobs ({str(error).strip().splitlines()[-1]}): see [launch] of the study"
        ) from None
    submitted = {run: Job(job=job.job_id, log=str(job.paths.stderr)) for run, job in zip(arguments, jobs, strict=True)}
    study_dir.write(JOBS, Jobs(jobs=FrozenDict({**_read_jobs(study_dir), **submitted})))
    return jobs[0].job_id.partition("_")[0]


def _parameters(study_dir: StudyDir, request: Request) -> dict[str, object]:
    """Parameters of submitit's executor; None: Slurm's default."""
    launch = request.launch
    return {
        "name": f"bytegap-{study_dir.root.name}",
        "timeout_min": launch.minutes,
        "cpus_per_task": request.cpus,
        "gpus_per_node": launch.gpus or None,
        "mem_gb": launch.memory_gb,
        "slurm_partition": launch.partition,
        "slurm_account": launch.account,
        "slurm_array_parallelism": launch.parallel,
        "slurm_signal_delay_s": _SIGNAL_BEFORE_S,
        "slurm_additional_parameters": {"requeue": True},  # a cluster's default may be not to requeue
    }


def job_states(study_dir: StudyDir) -> dict[str, JobState]:
    """The state of each run's last job, by run id; empty where none was ever submitted."""
    jobs = _read_jobs(study_dir)
    if not jobs:
        return {}
    result = subprocess.run(  # noqa: S603 - fixed arguments
        [_tool("squeue"), "--noheader", "--array", "--format", "%i|%T|%r"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise BytegapError(f"squeue failed ({result.stderr.strip()}): run this on a machine of the cluster")
    lines = [line.split("|", 2) for line in result.stdout.splitlines()]
    queue = {job: (state.lower(), reason) for job, state, reason in lines}
    states: dict[str, JobState] = {}
    for run, job in jobs.items():
        state, reason = queue.get(job.job, ("gone", ""))
        states[run] = JobState(state, "" if reason == "None" else reason, Path(job.log))
    return states


def is_running() -> bool:
    """Whether Slurm counts the job of this process as running; a cancelled job is not."""
    import submitit

    result = subprocess.run(  # noqa: S603 - fixed arguments
        [_tool("squeue"), "--noheader", "--jobs", submitit.JobEnvironment().job_id, "--format", "%T"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return result.stdout.strip() == "RUNNING"


def _read_jobs(study_dir: StudyDir) -> Mapping[str, Job]:
    found = study_dir.find(JOBS)
    return found.jobs if found else {}


def _tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise BytegapError(f"the command '{name}' is not installed: run this on a machine that submits to Slurm")
    return found
