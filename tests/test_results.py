"""Results that are committed come out again from their runs."""

from pathlib import Path

import pytest

from bytegap import study
from bytegap.fit.stage import BOOTSTRAPS, fit_rows
from bytegap.records import Fit, RunRow
from bytegap.store import Folder, read_record, read_table

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "results").glob("*/runs.jsonl"))


def same(one, other, place="fit"):
    """Equal, numbers to a part in 10,000: an optimiser's last digits are the machine's."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            same(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            same(a, b, f"{place}[{number}]")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4), place
    else:
        assert one == other, place


@pytest.mark.parametrize("runs", RESULTS, ids=lambda path: path.parent.name)
def test_a_committed_fit_comes_out_again(runs):
    folder = Folder(runs.parent)
    named = study.load(ROOT / "studies" / f"{runs.parent.name}.toml")
    rows = read_table(folder.table, RunRow, "runs")
    made = fit_rows(rows, BOOTSTRAPS, named.seed, named.fit)
    kept = read_record(folder.fit, Fit, "fit")
    same(kept.model_dump(mode="json"), made.model_dump(mode="json"))
