"""The training stream is the corpus, symbol for symbol; it is written whole, and again only where something changed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bytegap.corpus import stage as corpus_stage
from bytegap.errors import StoreError, TokensError
from bytegap.records import TokensManifest
from bytegap.shards import documents_of, read_array, verify
from bytegap.store import Folder, read_record
from bytegap.study import Arm, Context, Corpus, Plugin, Study
from bytegap.symbols import reopen
from bytegap.tokens import stage

BPE = Plugin(name="bpe", options={"vocabulary": 280})


def study_of(text: Path, **tokens: Plugin) -> Study:
    return Study(
        name="study",
        corpus=Corpus(source=Plugin(name="files", options={"paths": [str(text)]}), validation=0.2, test=0.2),
        context=Context(bytes=256),
        tokens=tokens,
        arms={"a": Arm(tokens="byte", objective=Plugin(name="ar"), budgets=(1e12,))},
    )


def run(study: Study, folder: Folder) -> dict[str, TokensManifest]:
    """The stage's manifests, from disk."""
    stage.run(study, folder)
    places = {name: folder.tokens_of(name) / "manifest.json" for name in study.tokens}
    return {name: read_record(place, TokensManifest, "tokens") for name, place in places.items()}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    folder = tmp_path / "text"
    folder.mkdir()
    for i in range(40):
        words = f"the people of the United States in {i} " * (1 + i)
        (folder / f"{i}.bin").write_bytes(words.encode() + bytes([i, 0xFF]))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "out" / "study")


def test_the_stream_is_the_training_text(text: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pieces and batches smaller than a document, so that their borders are met.
    monkeypatch.setattr(stage, "_PIECE_BYTES", 100)
    monkeypatch.setattr(stage, "_BATCH_BYTES", 300)
    study = study_of(text, byte=Plugin(name="bytes"), bpe=BPE)
    train = corpus_stage.run(study, folder).splits["train"]
    manifests = run(study, folder)
    documents = list(documents_of(folder.corpus, train))
    for name, manifest in manifests.items():
        place = folder.tokens_of(name)
        verify(place, manifest.stream)
        verify(place, manifest.lengths)
        eos = manifest.vocabulary
        symbols = read_array(place, manifest.stream).astype(np.int64)
        lengths = np.append(read_array(place, manifest.lengths), 0)
        assert lengths[symbols].sum() == manifest.bytes == train.bytes
        symbol_bytes = reopen(folder, stage.symbols_of(name, study, folder)).symbol_bytes
        assert len(symbol_bytes) == manifest.vocabulary
        decoded = b"".join([*symbol_bytes, b"<EOS>"][i] for i in symbols)
        assert decoded == b"".join(document + b"<EOS>" for document in documents)
        assert (symbols == eos).sum() == train.documents
        assert len(symbols) == manifest.symbols
    assert manifests["byte"].escaped_bytes == 0
    assert manifests["bpe"].escaped_bytes == train.documents, "the 0xFF of each"
    assert manifests["bpe"].bytes_per_symbol > 2


def test_a_long_document_without_spaces_is_cut_between_code_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_PIECE_BYTES", 10)
    for document in ("水" * 50).encode(), b"\x80" * 50, b"a b " * 20, b"":
        pieces = list(stage._pieces(document))
        assert b"".join(piece for piece, _ in pieces) == document
        assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True]
        assert all(0 < len(piece) <= 10 for piece, _ in pieces) or not document
    [first, *_] = stage._pieces(("水" * 50).encode())
    assert first[0].decode() == "水水水"


def test_learning_is_deterministic_and_reads_the_training_split_alone(text: Path, tmp_path: Path) -> None:
    study = study_of(text, bpe=BPE)
    kept: list[bytes] = []
    for name in ("one", "two", "three"):
        folder = Folder(tmp_path / name)
        splits = corpus_stage.run(study, folder).splits
        if name == "three":
            held_out = folder.corpus / splits["test"].text.file
            held_out.write_bytes(b"q" * splits["test"].bytes)
        stage.run(study, folder)
        kept.append((folder.tokens_of("bpe") / "tokenizer.json").read_bytes())
    assert kept[0] == kept[1] == kept[2]


_LEARN = """
import random
import sys
from pathlib import Path
from bytegap.tokens import unigram
draw = random.Random(0)
words = ["".join(draw.choices("aeinorst", k=draw.randint(2, 8))) for _ in range(200)]
text = [" ".join(draw.choices(words, [1 / (i + 1) for i in range(200)], k=100)).encode() for _ in range(60)]
learned = unigram.prepare(unigram.Options(vocabulary=320), text, Path(sys.argv[1]))
assert sum(map(len, learned.encode_batch(text))) < sum(map(len, text))
"""


def test_unigram_pieces_are_the_same_in_every_process(tmp_path: Path) -> None:
    kept: list[bytes] = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", _LEARN, str(tmp_path / name)], check=True)
        kept.append((tmp_path / name / "tokenizer.json").read_bytes())
    assert kept[0] == kept[1] == kept[2]


def test_it_stands_until_something_changes(text: Path, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of(text, byte=Plugin(name="bytes"), bpe=BPE)
    corpus_stage.run(study, folder)
    first = run(study, folder)
    capsys.readouterr()
    assert run(study, folder) == first
    assert " ".join(capsys.readouterr().err.split()).count("(up to date)") == 2
    larger = study_of(text, byte=Plugin(name="bytes"), bpe=Plugin(name="bpe", options={"vocabulary": 281}))
    second = run(larger, folder)
    assert second["byte"] == first["byte"]
    assert second["bpe"].vocabulary == 281
    (text / "new.bin").write_bytes(b"the people, and more of them")
    for i in range(10):  # enough that some fall to the training split
        (text / f"new{i}.bin").write_bytes(b"more text %d" % i)
    corpus_stage.run(larger, folder)
    assert run(larger, folder)["byte"] != first["byte"]


def test_a_given_vocabulary_is_kept_and_watched(text: Path, folder: Folder, vocabularies: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.tiktoken"
    lines = (vocabularies / "small.tiktoken").read_bytes().splitlines(keepends=True)
    given.write_bytes(b"".join(lines))
    kind = Plugin(name="tiktoken", options={"file": str(given), "pattern": "r50k"})
    study = study_of(text, byte=kind)
    corpus_stage.run(study, folder)
    manifest = run(study, folder)["byte"]
    assert manifest.vocabulary == len(lines)
    given.write_bytes(b"".join(lines[:-1]))
    assert len(reopen(folder, manifest).symbol_bytes) == len(lines), "the study's own copy"
    assert run(study, folder)["byte"].vocabulary == len(lines) - 1


def test_bpe_learns_no_space_in_front(text: Path, folder: Folder) -> None:
    study = study_of(text, bpe=BPE)
    corpus_stage.run(study, folder)
    run(study, folder)
    table = json.loads((folder.tokens_of("bpe") / "tokenizer.json").read_text())
    assert table["pre_tokenizer"]["add_prefix_space"] is False
    assert table["added_tokens"] == []


def test_an_error_leaves_nothing_behind(text: Path, folder: Folder) -> None:
    study = study_of(text, bpe=Plugin(name="bpe", options={"vocabulary": 5000}))
    with pytest.raises(StoreError, match="bytegap corpus"):
        stage.run(study, folder)
    corpus_stage.run(study, folder)
    with pytest.raises(TokensError, match="lower vocabulary = 5000"):
        stage.run(study, folder)
    assert not folder.tokens_of("bpe").exists()
    assert not list(folder.tokens.iterdir())
