"""Fits that several tests look at."""

import pytest

from bytegap.fit.stage import fit_rows
from bytegap.records import Fit
from tests.studies import simulated_rows


@pytest.fixture(scope="session")
def exact() -> Fit:
    """The study without noise: its answers are the laws' own."""
    return fit_rows(simulated_rows(noise=0.0), bootstraps=50)


@pytest.fixture(scope="session")
def noisy() -> Fit:
    """The study with half a per cent of noise."""
    return fit_rows(simulated_rows(), bootstraps=400)
