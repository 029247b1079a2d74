"""A study on a real Slurm of one node: submitted as an array, cancelled in mid-run, resubmitted, the same to the bit.

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
from bytegap.records import Plan, RunRecord
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
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
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
    yield
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


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_a_cancelled_job_resumes_when_it_is_submitted_again(tmp_path, capsys):
    folder = ready(tmp_path, STUDY.replace("budgets = [1e10]", "budgets = [1e11]"))
    plan = read_record(folder.plan, Plan, "plan")
    (spec,) = [max((spec for spec in plan.runs if spec.arm == "byte-ar"), key=lambda spec: spec.steps)]
    write_record(folder.plan, plan.model_copy(update={"runs": [spec]}))
    cluster.run(folder, Launch())
    job = slurm.standings(folder)[spec.id]
    until(lambda: job.log.exists() and f"{spec.id} byte-ar" in _told(job.log), "it trains")
    subprocess.run(["scancel", "--me"], check=True)
    until(lambda: states(folder) == {"gone"}, "it is gone")
    assert (folder.run(spec.id) / "checkpoint.safetensors").exists()
    assert not (folder.run(spec.id) / "record.json").exists()
    capsys.readouterr()
    with pytest.raises(BytegapError, match="no run has finished yet"):
        runs.run(folder)
    told = capsys.readouterr().err.replace("\n", " ")
    assert f"{spec.id} byte-ar: failed: its job ended without a record" in told
    cluster.run(folder, Launch())
    until((folder.run(spec.id) / "record.json").exists, "it ends")
    resumed = weights(folder)
    shutil.rmtree(folder.run(spec.id))
    train_run(spec, folder, lambda *_: None)
    assert weights(folder) == resumed


def _told(log: Path) -> str:
    return "".join(path.read_text() for path in log.parent.glob(f"{log.name.rpartition('_log')[0]}_log.*"))


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
