"""Hypothesis without deadlines: a loaded machine is no bug."""

from hypothesis import settings

settings.register_profile("bytegap", deadline=None, derandomize=True)
settings.load_profile("bytegap")
