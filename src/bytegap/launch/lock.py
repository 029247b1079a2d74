"""The lock on a run's folder, by which one process at a time has the run. Needs no torch.

The lock of a process that died is free. Reads and writes runs/ID/, where the lock is the file `lock`.
"""

from collections.abc import Generator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from bytegap.study.directory import RunDir


def is_claimed(run_dir: RunDir) -> bool:
    """Whether a living process holds the run; the lock file alone does not mean that."""
    if not run_dir.lock_path.exists():
        return False
    with hold_lock(run_dir) as locked:
        return not locked


@contextmanager
def hold_lock(run_dir: RunDir, *, enabled: bool = True) -> Generator[bool]:
    """Hold the lock of a run's folder; yields whether this process has it."""
    if not enabled:
        yield False
        return
    run_dir.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir.lock_path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
