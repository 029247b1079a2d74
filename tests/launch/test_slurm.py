"""Jobs on a real Slurm of one node: cancelled, preempted or out of time, runs end bit-identical to local ones.

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

from bytegap.errors import BytegapError
from bytegap.launch import local, slurm, slurm_queue
from bytegap.runs import collect
from bytegap.study.config import Launch
from bytegap.study.directory import JOBS, PLAN, StudyDir
from bytegap.train.run import train_run
from tests.helpers import trainers
from tests.helpers.tiny_study import STUDY

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
"""A requeued job waits for as long as a credential lasts: five seconds at least."""
PATIENCE_S = 240


def wait_until(true, what: str) -> None:
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < PATIENCE_S, what
        time.sleep(0.2)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One node and its controller, stopped at the end; its folder."""
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
    wait_until(lambda: b"idle" in subprocess.run(["sinfo"], capture_output=True, check=False).stdout, "the node is up")
    yield home
    for daemon in daemons:
        daemon.terminate()
        daemon.wait()
    os.environ.pop("SLURM_CONF")
    if before:
        os.environ["SLURM_CONF"] = before


def planned(home: Path, budget: str) -> StudyDir:
    """Every second run of the tiny study: two of each arm."""
    study_dir = trainers.planned(home, STUDY.replace("budgets = [1e10]", f"budgets = [{budget}]")).study_dir
    plan = study_dir.plan()
    study_dir.write(PLAN, plan.model_copy(update={"runs": plan.runs[::2]}))
    return study_dir


def weights(study_dir: StudyDir) -> dict[str, str]:
    return {spec.id: study_dir.run(spec.id).record().weights_sha256 for spec in study_dir.plan().specs}


def states(study_dir: StudyDir) -> set[str]:
    return {job.state for job in slurm_queue.job_states(study_dir).values()}


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_a_job_array_trains_what_local_workers_train(tmp_path, capsys):
    study_dir = planned(tmp_path, "2e9")
    slurm.run(study_dir, Launch(minutes=5))
    assert re.search(r"4 runs submitted as job array \d+", capsys.readouterr().err.replace("\n", " "))
    slurm.run(study_dir, Launch())
    assert "nothing to submit: 0 runs are trained, 4 have their jobs" in capsys.readouterr().err.replace("\n", " ")
    wait_until(lambda: states(study_dir) & {"running"}, "jobs run")
    assert states(study_dir) <= {"pending", "running", "completing", "gone"}
    wait_until(lambda: states(study_dir) == {"gone"}, "all jobs end")
    on_slurm = weights(study_dir)
    shutil.rmtree(study_dir.runs_dir)
    local.run(study_dir)
    assert weights(study_dir) == on_slurm


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A plan of one run that takes a while, its id, and the weights that it ends with."""
    study_dir = planned(tmp_path_factory.mktemp("unbroken"), "5e10")
    plan = study_dir.plan()
    spec = max((spec for spec in plan.runs if spec.arm == "byte-ar"), key=lambda spec: spec.steps)
    study_dir.write(PLAN, plan.model_copy(update={"runs": [spec]}))
    train_run(spec, study_dir)
    expected = weights(study_dir)
    shutil.rmtree(study_dir.runs_dir)
    return study_dir, spec.id, expected


@pytest.fixture
def training(node, unbroken, tmp_path, request):  # noqa: ARG001
    """The run of that plan while it trains on Slurm: its study folder, its id, its job."""
    plan, run, _ = unbroken
    shutil.copytree(plan.root, tmp_path / "out")
    study_dir = StudyDir(tmp_path / "out")
    slurm.run(study_dir, Launch(minutes=10, partition=getattr(request, "param", "main")))
    job = slurm_queue.job_states(study_dir)[run]
    wait_until(lambda: logged_steps(job.log), "it trains")
    return study_dir, run, study_dir.read(JOBS).jobs[run].job


def log_text(log: Path) -> str:
    return "".join(path.read_text() for path in log.parent.glob(f"{log.name.rpartition('_log')[0]}_log.*"))


def logged_steps(log: Path) -> list[int]:
    return [int(step) for step in re.findall(r" byte-ar (\d+)/", log_text(log))]


def command(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def assert_ends(study_dir: StudyDir, run: str, expected: dict[str, str]) -> None:
    """Within one submission, resumed from its checkpoint, with the same weights."""
    log = slurm_queue.job_states(study_dir)[run].log
    wait_until(lambda: study_dir.run(run).has_record, "it ends")
    wait_until(lambda: states(study_dir) == {"gone"}, "its job ends")
    steps = logged_steps(log)
    assert steps == sorted(set(steps))  # none was taken twice
    assert weights(study_dir) == expected


@pytest.mark.slow
def test_a_cancelled_job_resumes_when_it_is_submitted_again(training, unbroken, capsys):
    study_dir, run, _ = training
    command("scancel", "--me")
    wait_until(lambda: states(study_dir) == {"gone"}, "it is gone")
    assert study_dir.run(run).checkpoint_path.exists()
    assert not study_dir.run(run).has_record
    capsys.readouterr()
    with pytest.raises(BytegapError, match="no run has finished yet"):
        collect.run(study_dir)
    printed = capsys.readouterr().err.replace("\n", " ")
    assert f"{run} byte-ar: failed: its job ended without a record" in printed
    slurm.run(study_dir, Launch())
    assert_ends(study_dir, run, unbroken[2])


@pytest.mark.slow
@pytest.mark.parametrize("training", ["main", "graceful"], indirect=True)
def test_a_preempted_job_goes_back_into_the_queue(training, unbroken):
    """In a partition without grace time Slurm ends and requeues the job; with grace time the job requeues itself."""
    study_dir, run, _ = training
    command("sbatch", "--wait", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap", "sleep 3")
    assert study_dir.run(run).checkpoint_path.exists()
    assert not study_dir.run(run).has_record
    assert_ends(study_dir, run, unbroken[2])


@pytest.mark.slow
def test_a_job_whose_time_is_nearly_up_goes_back_into_the_queue(training, unbroken, node):
    """Its time is cut to 45 to 105 seconds more, and Slurm warns at 90; until then it is stopped and cannot end."""
    study_dir, run, job = training
    command("scancel", "--signal=STOP", job)
    shown = re.search(r"RunTime=(\d+):(\d+):(\d+)", command("scontrol", "show", "job", job))
    assert shown
    hours, minutes, seconds = map(int, shown.groups())
    limit = -(-(3600 * hours + 60 * minutes + seconds + 45) // 60)  # Slurm's limits are minutes of the job's run time
    command("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")
    wait_until(lambda: "arning signal" in (node / "slurmctld.log").read_text(), "it is warned")
    command("scontrol", "update", f"JobId={job}", "TimeLimit=10")  # or its second life is warned as it begins
    log = slurm_queue.job_states(study_dir)[run].log
    wait_until(lambda: f"Requeued job {job}" in log_text(log), "it is requeued")
    assert study_dir.run(run).checkpoint_path.exists()
    assert_ends(study_dir, run, unbroken[2])


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_a_partition_that_does_not_exist_is_one_sentence(tmp_path):
    study_dir = planned(tmp_path, "2e9")
    with pytest.raises(BytegapError, match=r"Slurm refused the jobs .*partition.*: see \[launch\]"):
        slurm.run(study_dir, Launch(partition="nowhere"))
    assert not study_dir.path(JOBS).exists()


def test_a_machine_without_slurm_is_named(tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny.study_dir.root, tmp_path / "tiny", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BytegapError, match="'sbatch' is not installed: run this on a machine that submits to Slurm"):
        slurm.run(StudyDir(tmp_path / "tiny"), Launch())
