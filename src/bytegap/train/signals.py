"""SIGTERM and Ctrl-C: within training the run ends after its current step, with a checkpoint; elsewhere at once."""

import contextlib
import signal
from collections.abc import Generator
from types import FrameType

from bytegap.interrupts import send_dropped_again


class StopSignal:
    """Whether this process received a signal to stop."""

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def listen(self, *others: int) -> None:
        """Handle both signals, and `others`, from now on; only in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT, *others):
            signal.signal(number, self._handle)
        send_dropped_again(before=self._forget)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested:  # already stopping, perhaps while it asks Slurm to requeue the job
            return
        self.requested = True
        if not self._deferred:
            raise SystemExit(128 + number)

    def _forget(self) -> None:
        self.requested = False

    @contextlib.contextmanager
    def deferred(self) -> Generator[None]:
        """Within, a signal only sets `requested`, which the training loop reads after every step."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
