"""The lock on a run's folder, by which one process at a time has the run. Needs no torch.

The lock of a process that died is free. Reads and writes runs/ID/, where the lock is the file `lock`.
"""

import errno
import fcntl
from collections.abc import Generator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from bytegap.errors import FileError
from bytegap.study.directory import RunDir

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def is_claimed(run_dir: RunDir) -> bool:
    """Whether a living process holds the run; the lock file alone does not mean that."""
    try:
        with run_dir.lock_path.open("rb") as file:  # a lock needs no permission to write
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, or a file system that has no locks, on which no process can hold one
        return False
    return False


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
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        raise FileError(
            f"{run_dir.lock_path}: its file system has no locks ({error}), and two workers could train one run: "
            "use --out on another one, or mount it with locks"
        ) from None
    try:
        yield True
    finally:
        lock.release()
