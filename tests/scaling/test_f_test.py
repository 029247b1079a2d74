"""Tail of the F distribution against scipy."""

import pytest
from scipy.stats import f

from bytegap.scaling.f_test import f_survival


@pytest.mark.parametrize("dof", [1, 2, 3, 8, 30])
@pytest.mark.parametrize("dof_below", [1, 2, 5, 20, 400])
def test_f_survival_matches_scipy(dof: int, dof_below: int) -> None:
    for ratio in (0.0, 1e-9, 0.3, 1.0, 2.5, 10.0, 80.0, 1e6):
        assert f_survival(ratio, dof, dof_below) == pytest.approx(f.sf(ratio, dof, dof_below), rel=1e-6, abs=1e-12)


def test_a_ratio_that_rounding_makes_negative_is_one() -> None:
    assert f_survival(-1e-9, 1, 5) == pytest.approx(1)
