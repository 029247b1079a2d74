"""Committed fits are reproduced from the committed runs."""

from pathlib import Path

import pytest

from bytegap.fit.stage import BOOTSTRAPS, fit_rows
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "results").glob("*/runs.jsonl"))


def assert_equal(one, other, key="fit"):
    """Equal; numbers to a part in 10,000 or 1e-7, since an optimizer's last digits depend on the machine."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), key
        for name in one:
            assert_equal(one[name], other[name], f"{key}.{name}")
    elif isinstance(one, list):
        assert len(one) == len(other), key
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{key}[{number}]")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-7), key
    else:
        assert one == other, key


@pytest.mark.parametrize("runs", RESULTS, ids=lambda path: path.parent.name)
def test_a_committed_fit_is_reproduced(runs):
    study_dir = StudyDir(runs.parent)
    named = load_study(ROOT / "studies" / f"{runs.parent.name}.toml")
    rows = study_dir.runs()
    made = fit_rows(rows, BOOTSTRAPS, named.seed, named.fit)
    kept = study_dir.fit()
    assert_equal(kept.model_dump(mode="json"), made.model_dump(mode="json"))
