"""The training stream is the corpus, token for token; it is written whole, and again only where something changed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bytegap.data import prepare as corpus_stage
from bytegap.data import tokenize as stage
from bytegap.data.tokenizers.base import load_prepared, load_tokenizer
from bytegap.data.windows import read_windows
from bytegap.errors import StudyDirError, TokenizerError
from bytegap.io.arrays import documents_of, read_array, verify
from bytegap.schema.data import TokenizerManifest
from bytegap.study.config import Arm, Context, Corpus, Plugin, Study
from bytegap.study.directory import StudyDir

BPE = Plugin(name="bpe", options={"vocab_size": 280})


def study_of(text: Path, **tokenizers: Plugin) -> Study:
    return Study(
        name="study",
        corpus=Corpus(
            source=Plugin(name="files", options={"paths": [str(text)], "format": "bytes"}), validation=0.2, test=0.2
        ),
        context=Context(bytes=256),
        tokenizers=tokenizers,
        arms={"a": Arm(tokenizer="byte", objective=Plugin(name="ar"), budgets=(1e12,))},
    )


def run(study: Study, study_dir: StudyDir) -> dict[str, TokenizerManifest]:
    """Run the stage and read its manifests."""
    stage.run(study, study_dir)
    return {name: study_dir.tokenizer(name) for name in study.tokenizers}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    study_dir = tmp_path / "text"
    study_dir.mkdir()
    for i in range(40):
        words = f"the people of the United States in {i} " * (1 + i)
        (study_dir / f"{i}.bin").write_bytes(words.encode() + bytes([i, 0xFF]))
    return study_dir


@pytest.fixture
def study_dir(tmp_path: Path) -> StudyDir:
    return StudyDir(tmp_path / "out" / "study")


def test_the_stream_is_the_training_text(text: Path, study_dir: StudyDir, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pieces and batches smaller than a document, so that their borders are met.
    monkeypatch.setattr(stage, "_PIECE_BYTES", 100)
    monkeypatch.setattr(stage, "_BATCH_BYTES", 300)
    study = study_of(text, byte=Plugin(name="bytes"), bpe=BPE)
    train = corpus_stage.run(study, study_dir).splits["train"]
    manifests = run(study, study_dir)
    documents = list(documents_of(study_dir.corpus_dir, train))
    for name, manifest in manifests.items():
        folder = study_dir.tokenizer_dir(name)
        verify(folder, manifest.stream)
        verify(folder, manifest.lengths)
        eos = manifest.vocab_size
        tokens = read_array(folder, manifest.stream).astype(np.int64)
        lengths = np.append(read_array(folder, manifest.lengths), 0)
        assert lengths[tokens].sum() == manifest.bytes == train.bytes
        token_bytes = load_tokenizer(
            stage.tokenize_with(name, study, study_dir).kind, study_dir.tokenizer_dir(name)
        ).token_bytes
        assert len(token_bytes) == manifest.vocab_size
        decoded = b"".join([*token_bytes, b"<EOS>"][i] for i in tokens)
        assert decoded == b"".join(document + b"<EOS>" for document in documents)
        assert (tokens == eos).sum() == train.documents
        assert len(tokens) == manifest.tokens
    assert manifests["byte"].escaped_bytes == 0
    assert manifests["bpe"].escaped_bytes == train.documents, "the 0xFF of each"
    assert manifests["bpe"].bytes_per_token > 2


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
        study_dir = StudyDir(tmp_path / name)
        splits = corpus_stage.run(study, study_dir).splits
        if name == "three":
            held_out = study_dir.corpus_dir / splits["test"].text.file
            held_out.write_bytes(b"q" * splits["test"].bytes)
        stage.tokenize_with("bpe", study, study_dir)
        kept.append((study_dir.tokenizer_dir("bpe") / "tokenizer.json").read_bytes())
    assert kept[0] == kept[1] == kept[2]


def test_a_tokenizer_and_windows_that_were_altered_are_refused(text: Path, tmp_path: Path) -> None:
    study, study_dir = study_of(text, bpe=BPE), StudyDir(tmp_path / "out")
    corpus_stage.run(study, study_dir)
    split = stage.run(study, study_dir).splits["test"]
    manifest, folder = study_dir.tokenizer("bpe"), study_dir.tokenizer_dir("bpe")
    assert [file.file for file in manifest.kept] == ["tokenizer.json"]
    load_prepared(manifest, folder)
    path = folder / "tokenizer.json"
    table = path.read_text().replace('"a":', '"_":').replace('"b":', '"a":').replace('"_":', '"b":')
    assert table != path.read_text()
    path.write_text(table)
    with pytest.raises(StudyDirError, match=f"checksum differs.*delete {folder} and run 'bytegap tokenize' again"):
        load_prepared(manifest, folder)
    with pytest.raises(StudyDirError, match=r"tokenizer.json: checksum differs"):
        stage.run(study, study_dir)
    older = manifest.model_copy(update={"kept": ()})
    load_prepared(older, folder)
    assert older.content_sha256 == manifest.content_sha256, "runs that were trained before stay current"
    path.unlink()
    stage.run(study, study_dir)
    load_prepared(manifest, folder)
    path = study_dir.windows_dir / split.tokenizers["bpe"].tokens.file
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(StudyDirError, match=f"checksum differs.*delete {study_dir.windows_dir} and run 'bytegap tok"):
        read_windows(study_dir.windows_dir, split, "bpe")


_LEARN = """
import random
import sys
from pathlib import Path
from bytegap.data.tokenizers import unigram
draw = random.Random(0)
words = ["".join(draw.choices("aeinorst", k=draw.randint(2, 8))) for _ in range(200)]
text = [" ".join(draw.choices(words, [1 / (i + 1) for i in range(200)], k=100)).encode() for _ in range(60)]
learned = unigram.UnigramLM(vocab_size=320).prepare(text, Path(sys.argv[1]))
assert sum(map(len, learned.encode_batch(text))) < sum(map(len, text))
"""


def test_unigram_pieces_are_the_same_in_every_process(tmp_path: Path) -> None:
    kept: list[bytes] = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", _LEARN, str(tmp_path / name)], check=True)
        kept.append((tmp_path / name / "tokenizer.json").read_bytes())
    assert kept[0] == kept[1] == kept[2]


def test_tokens_are_current_until_something_changes(
    text: Path, study_dir: StudyDir, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_of(text, byte=Plugin(name="bytes"), bpe=BPE)
    corpus_stage.run(study, study_dir)
    first = run(study, study_dir)
    capsys.readouterr()
    assert run(study, study_dir) == first
    assert " ".join(capsys.readouterr().err.split()).count("(up to date)") == 2
    larger = study_of(text, byte=Plugin(name="bytes"), bpe=Plugin(name="bpe", options={"vocab_size": 281}))
    second = run(larger, study_dir)
    assert second["byte"] == first["byte"]
    assert second["bpe"].vocab_size == 281
    (text / "new.bin").write_bytes(b"the people, and more of them")
    for i in range(10):  # enough that some fall to the training split
        (text / f"new{i}.bin").write_bytes(b"more text %d" % i)
    corpus_stage.run(larger, study_dir)
    assert run(larger, study_dir)["byte"] != first["byte"]


def test_a_given_vocabulary_is_kept_and_watched(
    text: Path, study_dir: StudyDir, vocabularies: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given.tiktoken"
    lines = (vocabularies / "small.tiktoken").read_bytes().splitlines(keepends=True)
    given.write_bytes(b"".join(lines))
    kind = Plugin(name="tiktoken", options={"file": str(given), "pattern": "r50k"})
    study = study_of(text, byte=kind)
    corpus_stage.run(study, study_dir)
    manifest = run(study, study_dir)["byte"]
    assert manifest.vocab_size == len(lines)
    given.write_bytes(b"".join(lines[:-1]))
    assert len(load_tokenizer(manifest.kind, study_dir.tokenizer_dir(manifest.name)).token_bytes) == len(lines), (
        "the study's own copy"
    )
    assert run(study, study_dir)["byte"].vocab_size == len(lines) - 1


def test_bpe_learns_no_space_in_front(text: Path, study_dir: StudyDir) -> None:
    study = study_of(text, bpe=BPE)
    corpus_stage.run(study, study_dir)
    run(study, study_dir)
    table = json.loads((study_dir.tokenizer_dir("bpe") / "tokenizer.json").read_text())
    assert table["pre_tokenizer"]["add_prefix_space"] is False
    assert table["added_tokens"] == []


def test_an_error_leaves_nothing_behind(text: Path, study_dir: StudyDir) -> None:
    study = study_of(text, bpe=Plugin(name="bpe", options={"vocab_size": 5000}))
    with pytest.raises(StudyDirError, match="bytegap corpus"):
        stage.run(study, study_dir)
    corpus_stage.run(study, study_dir)
    with pytest.raises(TokenizerError, match="lower vocab_size = 5000"):
        stage.run(study, study_dir)
    assert not study_dir.tokenizer_dir("bpe").exists()
    assert not list(study_dir.tokens_dir.iterdir())
