"""The corpus stage writes whole or not at all, and again only where its input changed."""

import json
from pathlib import Path

import pytest

from bytegap.corpus import stage
from bytegap.errors import CorpusError
from bytegap.records import CorpusManifest
from bytegap.shards import documents_of, verify
from bytegap.store import Folder, read_record
from bytegap.study import Arm, Context, Corpus, Plugin, Study

ARMS = {"byte-ar": Arm(tokens="byte", objective=Plugin(name="ar"), budgets=(1e12,))}


def study_of(source: Plugin, validation: float = 0.2) -> Study:
    return Study(
        name="study",
        corpus=Corpus(source=source, validation=validation, test=0.2),
        context=Context(bytes=64),
        tokens={"byte": Plugin(name="bytes")},
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
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "out" / "study")


def test_the_manifest_describes_the_files(text: Path, folder: Folder) -> None:
    manifest = stage.run(files(text), folder)
    assert (manifest.documents_read, manifest.duplicates_dropped, manifest.empty_dropped) == (121, 20, 1)
    assert sum(part.documents for part in manifest.splits.values()) == 100
    for part in manifest.splits.values():
        verify(folder.corpus, part.text)
        verify(folder.corpus, part.ends)
        assert len(list(documents_of(folder.corpus, part))) == part.documents
    assert read_record(folder.corpus_manifest, CorpusManifest, "corpus") == manifest
    names = {f"{split}.{ending}" for split in manifest.splits for ending in ("bin", "ends")}
    assert {path.name for path in folder.corpus.iterdir()} == names | {"manifest.json"}


def test_it_stands_until_its_input_changes(text: Path, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    study = files(text)
    first = stage.run(study, folder)
    written = folder.corpus_manifest.stat().st_mtime_ns
    assert stage.run(study, folder) == first
    assert "up to date" in " ".join(capsys.readouterr().err.split())
    assert folder.corpus_manifest.stat().st_mtime_ns == written
    text.write_text(text.read_text() + json.dumps({"text": "one more"}) + "\n")
    assert stage.run(study, folder).documents_read == 122
    other = study_of(study.corpus.source, validation=0.25)
    assert stage.inputs(other) != stage.inputs(study)


def test_an_error_leaves_nothing_behind(text: Path, folder: Folder) -> None:
    text.write_text(text.read_text() + "{oops\n")
    with pytest.raises(CorpusError, match="line 122"):
        stage.run(files(text), folder)
    assert not folder.corpus.exists()
    assert not list(folder.root.iterdir())


def test_a_corpus_of_empty_documents_is_an_error(text: Path, folder: Folder) -> None:
    text.write_text('{"text": ""}\n')
    with pytest.raises(CorpusError, match="'files' gave no text"):
        stage.run(files(text), folder)
    assert not folder.corpus.exists()
