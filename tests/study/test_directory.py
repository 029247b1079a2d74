"""The study folder: every file is declared once, and read as the record that it was written from."""

import logging
import pickle
from pathlib import Path

import pytest

from bytegap.errors import StudyDirError
from bytegap.io.arrays import write_array
from bytegap.schema import data, evaluate, fit, pilot, plan, probe, runs
from bytegap.schema.base import Record
from bytegap.schema.data import CorpusManifest
from bytegap.study import directory
from bytegap.study.directory import ARTIFACTS, CORPUS, PLAN, RECORD, RUNS, SPEC, TOKENIZER, RunDir, StudyDir
from tests.helpers.synthetic_runs import simulated_rows
from tests.runs.test_audit import run

MANIFEST = CorpusManifest(
    inputs_sha256="one", source="s", documents_read=1, duplicates_dropped=0, empty_dropped=0, splits={}
)


def test_every_kind_of_record_is_declared_once():
    kinds = {
        kind
        for module in (data, evaluate, fit, pilot, plan, probe, runs)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
    }
    assert {artifact.model for artifact in ARTIFACTS} == kinds
    assert len({artifact.pattern for artifact in ARTIFACTS}) == len(ARTIFACTS) == len(kinds)
    declared = {each for each in vars(directory).values() if isinstance(each, directory.ArtifactFile)}
    assert declared == set(ARTIFACTS)


def test_record_is_found_read_and_written(tmp_path):
    study_dir = StudyDir(tmp_path / "out" / "mine")
    assert study_dir.find(CORPUS) is None
    with pytest.raises(StudyDirError, match=r"corpus/manifest\.json is missing: run 'bytegap corpus' first"):
        study_dir.corpus()
    study_dir.write(CORPUS, MANIFEST)
    assert study_dir.corpus() == study_dir.find(CORPUS) == MANIFEST
    assert study_dir.path(CORPUS) == study_dir.corpus_dir / "manifest.json"
    assert pickle.loads(pickle.dumps(study_dir)).corpus() == MANIFEST


def test_table_is_read_as_written(tmp_path):
    rows = simulated_rows(sizes=4)
    StudyDir(tmp_path).write_rows(RUNS, rows)
    assert StudyDir(tmp_path).runs() == rows


def test_names_are_those_of_tokenizers_and_runs_that_have_the_file(tmp_path):
    study_dir = StudyDir(tmp_path)
    assert study_dir.names(PLAN) == study_dir.names(TOKENIZER) == study_dir.names(RECORD) == []
    for path in ("tokens/b/manifest.json", "tokens/a/manifest.json", "tokens/.a.x1/manifest.json", "plan.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{}")
    (tmp_path / "tokens/windows").mkdir()
    (tmp_path / "runs/0123456789ab").mkdir(parents=True)
    assert study_dir.names(TOKENIZER) == ["a", "b"]
    assert study_dir.names(PLAN) == [""]
    assert study_dir.names(RECORD) == []


def test_runs_folder_is_read_by_id_or_by_path(tmp_path):
    study_dir = StudyDir(tmp_path)
    spec, record = run()
    other, failed = run("bpe-ar", status="failed")
    unfinished, _ = run("bpe-mdm")
    specs = [spec, other, unfinished]
    assert study_dir.records(specs) == []
    study_dir.write(SPEC, spec, spec.id)
    study_dir.run(spec.id).write(RECORD, record)
    study_dir.write(RECORD, failed, other.id)
    assert RunDir(study_dir.runs_dir / spec.id).spec() == spec
    assert study_dir.run(spec.id).record() == record
    with pytest.raises(StudyDirError, match="is not in its study's folder, whose tokens/ it needs"):
        _ = study_dir.run(spec.id).study_dir
    study_dir.tokens_dir.mkdir()
    assert study_dir.run(spec.id).study_dir.root == tmp_path.resolve()
    assert study_dir.records(specs) == [(spec, record), (other, failed)]
    assert study_dir.unfinished(specs) == [unfinished]
    assert study_dir.run(unfinished.id).find_record() is study_dir.run(spec.id).find_timings() is None
    with pytest.raises(StudyDirError, match="is not a run's folder: name one of out/STUDY/runs/"):
        RunDir(tmp_path).spec()
    with pytest.raises(StudyDirError, match=r"spec\.json is missing, and the run has ended: delete its folder"):
        study_dir.run(other.id).spec()
    with pytest.raises(StudyDirError, match=r"copy is not in its study's folder.*: name it as out/STUDY/runs/ID"):
        _ = RunDir(tmp_path / "copy").study_dir


def test_runs_with_validation_bpb(tmp_path):
    study_dir = StudyDir(tmp_path)
    (spec, record), (other, failed) = run(), run("bpe-ar", status="failed")
    scored = record.model_copy(update={"validation": record.test})
    study_dir.write(RECORD, scored, spec.id)
    study_dir.write(RECORD, failed, other.id)
    assert study_dir.runs_with_validation_bpb([other, spec]) == [(spec, scored.validation.bpb)]


def test_current_record_is_loaded_and_a_stale_one_is_logged(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="bytegap")
    monkeypatch.setattr(logging.getLogger("bytegap"), "handlers", [caplog.handler])
    study_dir = StudyDir(tmp_path)
    assert study_dir.load_if_current(CORPUS, "one") is None
    assert caplog.messages == []
    study_dir.write(CORPUS, MANIFEST)
    assert study_dir.load_if_current(CORPUS, "one") == MANIFEST
    assert study_dir.load_if_current(CORPUS, "two") is None
    assert "manifest.json: an input changed; it is made again" in caplog.messages[-1]
    assert StudyDir(tmp_path, read_only=True).load_if_current(CORPUS, "two") is None
    assert "manifest.json: an input changed; it would be made again" in caplog.messages[-1]
    Path(study_dir.path(CORPUS)).write_text("{")
    assert study_dir.load_if_current(CORPUS, "one") is None
    assert "it is made again" in caplog.messages[-1]


def test_a_record_whose_arrays_are_gone_is_made_again_and_they_are_named(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="bytegap")
    monkeypatch.setattr(logging.getLogger("bytegap"), "handlers", [caplog.handler])
    study_dir = StudyDir(tmp_path)
    study_dir.corpus_dir.mkdir()
    text = write_array(study_dir.corpus_dir, "train.bin", "uint8", [b"ab"])
    ends = write_array(study_dir.corpus_dir, "train.ends", "uint8", [b"\x02"])
    split = {"text": text, "ends": ends, "documents": 1, "bytes": 2}
    manifest = CorpusManifest.model_validate(MANIFEST.model_dump() | {"splits": {"train": split}})
    study_dir.write(CORPUS, manifest)
    assert study_dir.load_if_current(CORPUS, "one") == manifest
    (study_dir.corpus_dir / "train.ends").write_bytes(b"")
    assert study_dir.load_if_current(CORPUS, "one") is None
    assert "train.ends has 0 bytes, 1 expected; it is made again" in caplog.messages[-1]
    (study_dir.corpus_dir / "train.bin").unlink()
    assert study_dir.load_if_current(CORPUS, "one") is None
    assert "train.bin is missing; it is made again" in caplog.messages[-1]
