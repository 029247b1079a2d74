"""The stage: runs.jsonl in, fit.json out; equal rows give equal fits; rows that are not comparable are refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bytegap.errors import FitError, StudyDirError
from bytegap.fit import stage
from bytegap.fit.stage import NO_OPTIONS, fit_rows
from bytegap.schema.fit import Fit
from bytegap.schema.plan import Plan
from bytegap.study.directory import FIT, PLAN, RUNS, StudyDir
from tests.helpers.synthetic_runs import BIGRAM_BPB, UNIGRAM_BPB, simulated_rows
from tests.runs.test_audit import run

if TYPE_CHECKING:
    from bytegap.study.config import Study

STUDY = cast("Study", SimpleNamespace(seed=3, fit=NO_OPTIONS))


def test_stage_fits_once_and_again_when_rows_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(stage.console, "say", lambda _stage, text: said.append(text))
    monkeypatch.setattr(stage, "BOOTSTRAPS", 50)
    study_dir = StudyDir(tmp_path)
    with pytest.raises(StudyDirError, match="bytegap collect"):
        stage.run(STUDY, study_dir)
    rows = simulated_rows()
    study_dir.write_rows(RUNS, rows)
    made = stage.run(STUDY, study_dir)
    assert tuple(said[-3:]) == made.verdict
    assert study_dir.fit() == made
    before = study_dir.path(FIT).stat().st_mtime_ns
    assert stage.run(STUDY, study_dir) == made
    assert said[-1] == "up to date"
    assert study_dir.path(FIT).stat().st_mtime_ns == before
    study_dir.write_rows(RUNS, rows[:-1])
    assert stage.run(STUDY, study_dir).inputs_sha256 != made.inputs_sha256


def test_planned_runs_without_a_row_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "fit_rows", lambda *_: (_ for _ in ()).throw(FitError("not fitted")))
    study_dir = StudyDir(tmp_path)
    specs = [run(arm)[0] for arm in ("byte-ar", "bpe-ar", "bpe-mdm")]
    rows = simulated_rows(sizes=4)
    own = [rows[0].model_copy(update={"run": spec.id}) for spec in specs]
    study_dir.write(PLAN, Plan(inputs_sha256="", study="s", workers=1, rounds=0, runs=tuple(specs)))
    for kept, warned in ((own[1:], True), (own, False)):
        study_dir.write_rows(RUNS, kept)
        with pytest.raises(FitError, match="not fitted"):
            stage.run(STUDY, study_dir)
        assert ("2 of 3 planned runs are in" in " ".join(capsys.readouterr().err.split())) == warned


def test_fit_does_not_depend_on_the_order_of_rows() -> None:
    rows = simulated_rows()
    made = fit_rows(rows, bootstraps=50)
    assert fit_rows(rows[::-1], bootstraps=50) == made
    assert fit_rows(rows, bootstraps=50, seed=1) != made


def test_ngram_baselines_are_those_of_the_rows(noisy: Fit) -> None:
    assert {baseline.tokenizer: baseline.unigram_bpb for baseline in noisy.ngram_baselines} == UNIGRAM_BPB
    assert {baseline.tokenizer: baseline.bigram_bpb for baseline in noisy.ngram_baselines} == BIGRAM_BPB
