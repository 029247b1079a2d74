"""Fits of synthetic studies that several tests share."""

import pytest

from bytegap.fit.stage import fit_rows
from bytegap.schema.fit import Fit
from tests.helpers.synthetic_runs import simulated_rows


@pytest.fixture(scope="session")
def exact() -> Fit:
    """The study without noise: its estimates should be those of the laws."""
    return fit_rows(simulated_rows(noise=0.0), bootstraps=50)


@pytest.fixture(scope="session")
def noisy() -> Fit:
    """The study with 0.5 % noise."""
    return fit_rows(simulated_rows(), bootstraps=400)
