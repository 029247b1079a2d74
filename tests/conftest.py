"""Hypothesis without deadlines: a loaded machine is no bug. One thread a process, unless a test sets more."""

import os

from hypothesis import settings

# Before torch is loaded: with two test processes on two cores, threads of theirs mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("bytegap", deadline=None, derandomize=True)
settings.load_profile("bytegap")
