"""docs/notebook.ipynb: its cells run, draw the figure of the page, and agree with the committed fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bytegap.study.directory import StudyDir

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())


@pytest.mark.slow
def test_the_notebook_draws_the_main_figure(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "results" / "laptop", tmp_path / "results" / "laptop")
    monkeypatch.chdir(tmp_path / "docs")
    scope = {}
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), scope)
    fit = StudyDir(ROOT / "results" / "laptop").fit()
    drawn = {(row["arm"], row["budget"]): row["bpb"] for row in scope["minima"].iter_rows(named=True)}
    fitted = {(cell.arm, cell.budget_flops): cell.optimum_bpb.value for cell in fit.cells if cell.in_frontier}
    shared = sorted(drawn.keys() & fitted.keys())
    assert len(shared) >= len(fitted) - 1
    assert [drawn[cell] for cell in shared] == pytest.approx([fitted[cell] for cell in shared], rel=0.015)
    exponents = {each.arm: each.exponent.value for each in fit.frontiers if each.form == "power law"}
    assert {arm: -slope for arm, (slope, _) in scope["frontier"].items()} == pytest.approx(exponents, rel=0.06)
    made, shown = (tmp_path / "docs" / "notebook.png").stat(), (ROOT / "docs" / "notebook.png").stat()
    assert made.st_size == pytest.approx(shown.st_size, rel=0.2), "docs/notebook.png was not drawn by these cells"


def test_the_notebook_is_valid_and_stores_no_output():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["metadata"]["kernelspec"]["name"]) == (4, "python3")
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    assert np.sum([len(cell["source"]) for cell in code]) < 50
