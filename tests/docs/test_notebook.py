"""docs/notebook.ipynb: its cells run as they stand, draw what the page shows, and agree with the committed fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bytegap.records import Fit
from bytegap.store import read_record

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())


@pytest.mark.slow
def test_the_notebook_redoes_the_main_figure(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "results" / "laptop", tmp_path / "results" / "laptop")
    monkeypatch.chdir(tmp_path / "docs")
    scope = {}
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), scope)
    fit = read_record(ROOT / "results" / "laptop" / "fit.json", Fit, "fit")
    ours = {(row["arm"], row["budget"]): row["bpb"] for row in scope["minima"].iter_rows(named=True)}
    theirs = {(cell.arm, cell.budget_flops): cell.optimum_bpb.value for cell in fit.cells if cell.in_frontier}
    shared = ours.keys() & theirs.keys()
    assert len(shared) >= len(theirs) - 1
    assert [ours[cell] for cell in sorted(shared)] == pytest.approx([theirs[cell] for cell in sorted(shared)], rel=0.01)
    exponents = {each.arm: each.exponent.value for each in fit.frontiers if each.form == "no floor"}
    assert {arm: -slope for arm, (slope, _) in scope["frontier"].items()} == pytest.approx(exponents, rel=0.06)
    made, shown = (tmp_path / "docs" / "notebook.png").stat(), (ROOT / "docs" / "notebook.png").stat()
    assert made.st_size == pytest.approx(shown.st_size, rel=0.2), "the picture beside the page is of these cells"


def test_the_notebook_is_one_that_opens_and_holds_no_output():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["metadata"]["kernelspec"]["name"]) == (4, "python3")
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    assert np.sum([len(cell["source"]) for cell in code]) < 50
