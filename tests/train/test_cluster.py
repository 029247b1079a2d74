"""A study on a real Slurm of one node: cancelled, evicted, out of time, and in the end the same to the bit.

Needs root and Debian's slurm-wlm and munge; `.ci/run` installs them.
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock

from bytegap import slurm
from bytegap.corpus import stage as corpus
from bytegap.errors import BytegapError
from bytegap.plan import stage as plan_stage
from bytegap.records import Jobs, Plan, RunRecord
from bytegap.runs import stage as runs
from bytegap.store import Folder, read_record, write_record
from bytegap.study import Launch, load
from bytegap.tokens import stage as tokens
from bytegap.train import cluster
from bytegap.train import stage as train_stage
from bytegap.train.run import train_run
from tests.tiny import STUDY, write_study

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
SchedulerParameters=sched_interval=1
JobRequeue=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=30
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldDebug=debug
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=graceful Nodes={host} GraceTime=60 State=UP
PartitionName=urgent Nodes={host} PriorityTier=2 State=UP
"""
"""A requeued job waits as long as a credential lasts; five seconds are the least."""
PATIENCE_S = 240


def until(true, what: str) -> None:
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < PATIENCE_S, what
        time.sleep(0.2)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One node and its controller, gone at the end."""
    if not shutil.which("slurmctld") or os.geteuid() != 0:
        pytest.skip("needs root, slurm-wlm and munge")
    with FileLock(Path(tempfile.gettempdir()) / "bytegap-slurm.lock"):  # its ports are the machine's
        yield from started(tmp_path_factory)


def started(tmp_path_factory):
    home, host = tmp_path_factory.mktemp("slurm"), socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (home / name).mkdir()
    (home / "slurm.conf").write_text(CONFIG.format(home=home, host=host))
    for folder in ("/run/munge", "/var/log/munge", "/var/lib/munge", "/etc/munge"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        shutil.chown(folder, "munge", "munge")
    key = Path("/etc/munge/munge.key")
    if not key.exists():
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        shutil.chown(key, "munge", "munge")
    if subprocess.run(["pgrep", "munged"], stdout=subprocess.DEVNULL, check=False).returncode:
        subprocess.run(["runuser", "-u", "munge", "--", "/usr/sbin/munged"], check=True)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(home / "slurm.conf")
    daemons = [
        subprocess.Popen([f"/usr/sbin/{name}", "-D"], stderr=subprocess.DEVNULL) for name in ("slurmctld", "slurmd")
    ]
    until(lambda: b"idle" in subprocess.run(["sinfo"], capture_output=True, check=False).stdout, "the node is up")
    yield home
    for daemon in daemons:
        daemon.terminate()
        daemon.wait()
    os.environ.pop("SLURM_CONF")
    if before:
        os.environ["SLURM_CONF"] = before


def ready(home: Path, text: str = STUDY) -> Folder:
    study, folder = load(write_study(home, text)), Folder(home / "out")
    corpus.run(study, folder)
    tokens.run(study, folder)
    plan_stage.run(study, folder)
    return folder


def weights(folder: Folder) -> dict[str, str]:
    specs = read_record(folder.plan, Plan, "plan").specs
    return {
        spec.id: read_record(folder.run(spec.id) / "record.json", RunRecord, "train").weights_sha256 for spec in specs
    }


def states(folder: Folder) -> set[str]:
    return {each.state for each in slurm.standings(folder).values()}


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_an_array_trains_what_workers_train(tmp_path, capsys):
    folder = ready(tmp_path, STUDY.replace("budgets = [1e10]", "budgets = [2e9]"))
    cluster.run(folder, Launch(minutes=5))
    assert re.search(r"8 runs submitted as job array \d+", capsys.readouterr().err.replace("\n", " "))
    cluster.run(folder, Launch())
    assert "nothing to submit: 0 runs are trained, 8 have their jobs" in capsys.readouterr().err.replace("\n", " ")
    until(lambda: states(folder) & {"running"}, "jobs run")
    assert states(folder) <= {"pending", "running", "completing", "gone"}
    until(lambda: states(folder) == {"gone"}, "all jobs end")
    on_slurm = weights(folder)
    shutil.rmtree(folder.runs)
    train_stage.run(folder)
    assert weights(folder) == on_slurm


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A plan of one run that takes a while, and the weights it ends with."""
    folder = ready(tmp_path_factory.mktemp("unbroken"), STUDY.replace("budgets = [1e10]", "budgets = [1e11]"))
    plan = read_record(folder.plan, Plan, "plan")
    spec = max((spec for spec in plan.runs if spec.arm == "byte-ar"), key=lambda spec: spec.steps)
    write_record(folder.plan, plan.model_copy(update={"runs": [spec]}))
    train_run(spec, folder, lambda *_: None)
    expected = weights(folder)
    shutil.rmtree(folder.runs)
    return folder, spec.id, expected


@pytest.fixture
def training(node, unbroken, tmp_path, request):  # noqa: ARG001
    """The run of that plan, in mid-training on Slurm; its folder, its id, its job."""
    planned, run, _ = unbroken
    shutil.copytree(planned.root, tmp_path / "out")
    folder = Folder(tmp_path / "out")
    cluster.run(folder, Launch(minutes=10, partition=getattr(request, "param", "main")))
    job = slurm.standings(folder)[run]
    until(lambda: steps_told(job.log), "it trains")
    return folder, run, read_record(folder.jobs, Jobs, "train").jobs[run].job


def told(log: Path) -> str:
    return "".join(path.read_text() for path in log.parent.glob(f"{log.name.rpartition('_log')[0]}_log.*"))


def steps_told(log: Path) -> list[int]:
    return [int(step) for step in re.findall(r" byte-ar (\d+)/", told(log))]


def tool(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ends_as(expected: dict[str, str], folder: Folder, run: str) -> None:
    """Within one submission, from where it stood, with the same weights."""
    log = slurm.standings(folder)[run].log
    until((folder.run(run) / "record.json").exists, "it ends")
    until(lambda: states(folder) == {"gone"}, "its job ends")
    steps = steps_told(log)
    assert steps == sorted(set(steps))  # none was taken twice
    assert weights(folder) == expected


@pytest.mark.slow
def test_a_cancelled_job_resumes_when_it_is_submitted_again(training, unbroken, capsys):
    folder, run, _ = training
    tool("scancel", "--me")
    until(lambda: states(folder) == {"gone"}, "it is gone")
    assert (folder.run(run) / "checkpoint.safetensors").exists()
    assert not (folder.run(run) / "record.json").exists()
    capsys.readouterr()
    with pytest.raises(BytegapError, match="no run has finished yet"):
        runs.run(folder)
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"{run} byte-ar: failed: its job ended without a record" in said
    cluster.run(folder, Launch())
    ends_as(unbroken[2], folder, run)


@pytest.mark.slow
@pytest.mark.parametrize("training", ["main", "graceful"], indirect=True)
def test_an_evicted_job_goes_back_into_the_queue(training, unbroken):
    """Of a partition without grace Slurm ends a job and requeues it; of one with, the job is told, and must itself."""
    folder, run, _ = training
    tool("sbatch", "--wait", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap", "sleep 3")
    assert (folder.run(run) / "checkpoint.safetensors").exists()
    assert not (folder.run(run) / "record.json").exists()
    ends_as(unbroken[2], folder, run)


@pytest.mark.slow
def test_a_job_whose_time_is_nearly_up_goes_back_into_the_queue(training, unbroken, node):
    """Its time is cut to a minute, of which Slurm warns within half of one; stopped till then, it cannot end before."""
    folder, run, job = training
    tool("scancel", "--signal=STOP", job)
    tool("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    until(lambda: "arning signal" in (node / "slurmctld.log").read_text(), "it is warned")
    tool("scontrol", "update", f"JobId={job}", "TimeLimit=10")  # or its second life is warned as it begins
    until(lambda: f"Requeued job {job}" in told(slurm.standings(folder)[run].log), "it is told")
    assert (folder.run(run) / "checkpoint.safetensors").exists()
    ends_as(unbroken[2], folder, run)


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_a_partition_that_is_not_there_is_one_sentence(tmp_path):
    folder = ready(tmp_path, STUDY.replace("budgets = [1e10]", "budgets = [2e9]"))
    with pytest.raises(BytegapError, match=r"Slurm did not take the jobs .*partition.*: see \[launch\]"):
        cluster.run(folder, Launch(partition="nowhere"))
    assert not folder.jobs.exists()


def test_without_slurm_the_mend_is_named(tmp_path, monkeypatch):
    folder = ready(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BytegapError, match="'sbatch' is not here: run this on a machine that submits to Slurm"):
        cluster.run(folder, Launch())
