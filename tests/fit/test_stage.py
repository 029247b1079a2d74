"""The stage: files in, file out; the same rows give the same fit; rows that do not compare are refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bytegap.errors import FitError, StoreError
from bytegap.fit import stage
from bytegap.fit.stage import NOTHING, fit_rows
from bytegap.records import Fit
from bytegap.store import Folder, read_record, write_table
from tests.studies import BIGRAM_BPB, UNIGRAM_BPB, simulated_rows

if TYPE_CHECKING:
    from bytegap.study import Study

STUDY = cast("Study", SimpleNamespace(seed=3, fit=NOTHING))


def test_runs_become_a_fit_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(stage.console, "say", lambda _stage, text: said.append(text))
    monkeypatch.setattr(stage, "BOOTSTRAPS", 50)
    folder = Folder(tmp_path)
    with pytest.raises(StoreError, match="bytegap runs"):
        stage.run(STUDY, folder)
    rows = simulated_rows()
    write_table(folder.table, rows)
    made = stage.run(STUDY, folder)
    assert said[-3:] == made.verdict
    assert read_record(folder.fit, Fit, "fit") == made
    before = folder.fit.stat().st_mtime_ns
    assert stage.run(STUDY, folder) == made
    assert said[-1] == "up to date"
    assert folder.fit.stat().st_mtime_ns == before
    write_table(folder.table, rows[:-1])
    assert stage.run(STUDY, folder).inputs != made.inputs


def test_a_fit_depends_on_rows_and_seed_alone_not_on_their_order() -> None:
    rows = simulated_rows()
    made = fit_rows(rows, bootstraps=50)
    assert fit_rows(rows[::-1], bootstraps=50) == made
    assert fit_rows(rows, bootstraps=50, seed=1) != made


def test_floors_are_the_rows_own(noisy: Fit) -> None:
    assert {floor.tokens: floor.unigram_bpb for floor in noisy.floors} == UNIGRAM_BPB
    assert {floor.tokens: floor.bigram_bpb for floor in noisy.floors} == BIGRAM_BPB


def test_rows_that_do_not_compare_are_refused() -> None:
    rows = simulated_rows()
    with pytest.raises(FitError, match="no runs"):
        fit_rows([])
    with pytest.raises(FitError, match="twice"):
        fit_rows([*rows, rows[7]])
    other = rows[3].model_copy(update={"windows_sha256": "6" * 64})
    with pytest.raises(FitError, match="different test windows"):
        fit_rows([*rows[:3], other, *rows[4:]])
