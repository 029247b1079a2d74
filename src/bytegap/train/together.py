"""Each run on all devices that torchrun started, one run after another: for models that one device is too slow for.

`torchrun --nproc-per-node 8 -m bytegap train STUDY.toml`; with `--shard` no device holds a whole model.
"""

from filelock import FileLock, Timeout

from bytegap.console import say
from bytegap.records import Plan, RunSpec
from bytegap.store import Folder, read_record
from bytegap.study import Track
from bytegap.train import devices
from bytegap.train import track as tracking
from bytegap.train.devices import Devices
from bytegap.train.run import train_run
from bytegap.train.stage import check_shards, finished
from bytegap.train.stopping import Stopping


def run(folder: Folder, *, sharded: bool, rows_at_once: int, track: Track | None = None) -> None:
    """Bring every planned run to its record; what others have claimed is left to them."""
    tracking.check(track)
    stopping = Stopping()
    stopping.listen()
    here = devices.joined(sharded=sharded, rows_at_once=rows_at_once)
    plan = read_record(folder.plan, Plan, "plan")
    check_shards(folder, plan.specs)
    for spec in sorted(plan.specs, key=lambda spec: -spec.flops):
        _train(spec, folder, here, stopping, track)
    if here.is_first:
        done = sum(finished(folder, spec) for spec in plan.specs)
        say("train", f"{done} of {len(plan.specs)} runs have their records; {here.world} devices a run")
    devices.part()


def _train(spec: RunSpec, folder: Folder, here: Devices, stopping: Stopping, track: Track | None) -> None:
    """One run, which the first device claims for all."""
    home = folder.run(spec.id)
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "lock", timeout=0)
    try:
        if here.agreed(here.is_first and _claimed(lock) and not finished(folder, spec)):
            here.check(spec.rows_per_batch)
            record = train_run(spec, folder, lambda *_: None, stopping, here, track)
            if here.is_first:
                reason = f": {record.reason}" if record.reason else ""
                say("train", f"{spec.id} {spec.arm} {record.status}{reason}")
    finally:
        lock.release()


def _claimed(lock: FileLock) -> bool:
    try:
        lock.acquire()
    except Timeout:
        return False
    return True
