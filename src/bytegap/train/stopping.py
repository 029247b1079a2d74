"""SIGTERM and Ctrl-C: a run in training ends after its step, with a checkpoint; anything else ends at once."""

import contextlib
import signal
from collections.abc import Generator
from types import FrameType


class Stopping:
    """Whether this process was asked to leave."""

    def __init__(self) -> None:
        self.asked = False
        self._waits = False

    def listen(self, *others: int) -> None:
        """Answer both signals, and others, from now on; of the main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT, *others):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked:  # it is leaving, and may be asking Slurm for another turn
            return
        self.asked = True
        if not self._waits:
            raise SystemExit(128 + number)

    @contextlib.contextmanager
    def after_a_step(self) -> Generator[None]:
        """Within, a signal is only noted: who trains looks at `asked` after every step."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
