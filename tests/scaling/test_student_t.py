"""Quantiles of Student's t distribution against scipy's."""

import pytest
from scipy import stats

from bytegap.scaling.student_t import t_quantile


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 7, 10, 29, 399, 1000])
@pytest.mark.parametrize("probability", [0.5, 0.8, 0.95, 0.975, 0.999])
def test_quantiles_are_those_of_scipy(probability, dof):
    assert t_quantile(probability, dof) == pytest.approx(stats.t.ppf(probability, dof), rel=1e-9, abs=1e-12)
