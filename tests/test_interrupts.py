"""A signal that arrives where Python drops exceptions still ends the process, in silence."""

import signal
import subprocess
import sys

import pytest

ARRIVES = """
import os, signal, time, weakref
class Thing: pass
def arrives(reference):
    os.kill(os.getpid(), {number})
    for _ in range(1000): pass  # the handler runs here
thing = Thing()
reference = weakref.ref(thing, arrives)
del thing
time.sleep(20)
"""

OF_THE_COMMAND_LINE = """
from bytegap.cli import main
import sys
def verb(options): exec({arrives!r}, {{}})
main._run = verb
sys.exit(main.main(["flops", "x"]))
"""

OF_A_WORKER = """
from bytegap.train.signals import StopSignal
StopSignal().listen(12)
exec({arrives!r})
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_line_ends(number):
    check(OF_THE_COMMAND_LINE, number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_worker_ends(number):
    check(OF_A_WORKER, number)


def test_other_exceptions_are_shown():
    program = OF_A_WORKER.format(arrives="class T:\n    def __del__(self): raise ValueError('shown')\nT()")
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"shown" in done.stderr


def check(program: str, number: int) -> None:
    program = program.format(arrives=ARRIVES.format(number=int(number)))
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, timeout=60)
    assert done.returncode == 128 + number
    assert b"Traceback" not in done.stderr
