"""Hypothesis without deadlines: a loaded machine is no bug. One thread a process, unless a test sets more."""

import os

import pytest
from hypothesis import settings

# Before torch is loaded: with two test processes on two cores, threads of theirs mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("bytegap", deadline=None, derandomize=True)
settings.load_profile("bytegap")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny study, planned; tests train runs of it under seeds or steps of their own."""
    from tests.helpers.trainers import planned

    return planned(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tokenized(tmp_path_factory):
    """(home, study, study_dir) of the tiny study, tokenized and not planned."""
    from bytegap.data import prepare, tokenize
    from tests.helpers.tiny_study import opened

    home = tmp_path_factory.mktemp("tokenized")
    study, study_dir = opened(home)
    prepare.run(study, study_dir)
    tokenize.run(study, study_dir)
    return home, study, study_dir


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory):
    """(study folder, {arm: folder of a finished run}) of all `ARMS`; tests must not change them."""
    from tests.helpers.finished_runs import finish

    return finish(tmp_path_factory.mktemp("finished"))
