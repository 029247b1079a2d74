"""Signals to stop that would be lost, because Python drops the exception that their handler raises.

Python prints and drops an exception that leaves a weakref callback, as every import has, or a `__del__`.
"""

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

_SEND_AGAIN_AFTER_S = 0.05


def send_dropped_again(before: Callable[[], None] = lambda: None) -> None:
    """From now on, send a signal again when the SystemExit or KeyboardInterrupt of its handler has been dropped.

    The exit code of SystemExit is 128 plus the signal's number. `before` is called first, in the thread of the handler.
    A second call takes the place of the first.
    """
    other = sys.unraisablehook
    sys.unraisablehook = _Hook(other.other if isinstance(other, _Hook) else other, before)


@dataclass(frozen=True)
class _Hook:
    """What Python calls with an exception that it drops; `other` takes those that no signal raised."""

    other: Callable[["sys.UnraisableHookArgs"], object]
    before: Callable[[], None]

    def __call__(self, dropped: "sys.UnraisableHookArgs") -> None:
        number = _number(dropped.exc_value)
        if number is None:
            self.other(dropped)
            return
        self.before()
        thread = threading.main_thread().ident
        timer = threading.Timer(_SEND_AGAIN_AFTER_S, signal.pthread_kill, (thread, number))
        timer.daemon = True
        timer.start()


def _number(exception: BaseException | None) -> int | None:
    """The signal whose handler raised this, or None where no signal did."""
    if isinstance(exception, KeyboardInterrupt):
        return signal.SIGINT
    if isinstance(exception, SystemExit) and isinstance(exception.code, int):
        number = exception.code - 128
        return number if number in signal.valid_signals() else None
    return None
