"""The corpus stage writes whole or not at all, and again only where its input changed."""

import json
from pathlib import Path

import pytest

from bytegap.data import prepare as stage
from bytegap.errors import CorpusError
from bytegap.io.arrays import documents_of, verify
from bytegap.study.config import Arm, Context, Corpus, Plugin, Study
from bytegap.study.directory import CORPUS, StudyDir

ARMS = {"byte-ar": Arm(tokenizer="byte", objective=Plugin(name="ar"), budgets=(1e12,))}


def study_of(source: Plugin, validation: float = 0.2) -> Study:
    return Study(
        name="study",
        corpus=Corpus(source=source, validation=validation, test=0.2),
        context=Context(bytes=64),
        tokenizers={"byte": Plugin(name="bytes")},
        arms=ARMS,
    )


def files(*paths: Path) -> Study:
    return study_of(Plugin(name="files", options={"paths": [str(path) for path in paths]}))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    texts = [*(f"document {i % 100}" for i in range(120)), ""]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture
def study_dir(tmp_path: Path) -> StudyDir:
    return StudyDir(tmp_path / "out" / "study")


def test_the_manifest_describes_the_files(text: Path, study_dir: StudyDir) -> None:
    manifest = stage.run(files(text), study_dir)
    assert (manifest.documents_read, manifest.duplicates_dropped, manifest.empty_dropped) == (121, 20, 1)
    assert sum(part.documents for part in manifest.splits.values()) == 100
    for part in manifest.splits.values():
        verify(study_dir.corpus_dir, part.text)
        verify(study_dir.corpus_dir, part.ends)
        assert len(list(documents_of(study_dir.corpus_dir, part))) == part.documents
    assert study_dir.corpus() == manifest
    names = {f"{split}.{ending}" for split in manifest.splits for ending in ("bin", "ends")}
    assert {path.name for path in study_dir.corpus_dir.iterdir()} == names | {"manifest.json"}


def test_a_corpus_is_current_until_its_input_changes(
    text: Path, study_dir: StudyDir, capsys: pytest.CaptureFixture[str]
) -> None:
    study = files(text)
    first = stage.run(study, study_dir)
    written = study_dir.path(CORPUS).stat().st_mtime_ns
    assert stage.run(study, study_dir) == first
    assert "up to date" in " ".join(capsys.readouterr().err.split())
    assert study_dir.path(CORPUS).stat().st_mtime_ns == written
    text.write_text(text.read_text() + json.dumps({"text": "one more"}) + "\n")
    assert stage.run(study, study_dir).documents_read == 122
    other = study_of(study.corpus.source, validation=0.25)
    assert stage.run(other, study_dir).inputs_sha256 != first.inputs_sha256


def test_an_error_leaves_nothing_behind(text: Path, study_dir: StudyDir) -> None:
    text.write_text(text.read_text() + "{oops\n")
    with pytest.raises(CorpusError, match="line 122"):
        stage.run(files(text), study_dir)
    assert not study_dir.corpus_dir.exists()
    assert not list(study_dir.root.iterdir())


def test_a_corpus_of_empty_documents_is_an_error(text: Path, study_dir: StudyDir) -> None:
    text.write_text('{"text": ""}\n')
    with pytest.raises(CorpusError, match="'files' gave no text"):
        stage.run(files(text), study_dir)
    assert not study_dir.corpus_dir.exists()
