"""Small tokenizers of every kind, trained on one text, and the command run as a user runs it."""

import base64
import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import decoders, models, pre_tokenizers, trainers

from bytegap.cli.main import main
from tests.data.tokenizers.conftest import TEXT

WORDS = " ".join(TEXT)
RAW = f"{WORDS} A naïve Ωmega, x of 日本 and a ½.\nThe end 🐕 of it."
"""What is audited: words of the training text, then characters that have no token of their own."""

Audit = Callable[..., tuple[int, dict]]


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> dict[str, Path]:
    """byte_level.json, bpe.model, no_space.model (which has no piece for U+2581), base.tiktoken, raw.txt."""
    folder = tmp_path_factory.mktemp("audit")
    byte_level = tokenizers.Tokenizer(models.BPE())
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    byte_level.train_from_iterator(TEXT, trainer)
    byte_level.save(str(folder / "byte_level.json"))
    (folder / "words.txt").write_text(WORDS)
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "words.txt"),
        model_prefix=str(folder / "bpe"),
        vocab_size=320,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((folder / "bpe.model").read_bytes())
    [space] = [piece for piece in model.pieces if piece.piece == "\u2581"]
    space.piece = "zqzqzq"
    (folder / "no_space.model").write_bytes(model.SerializeToString())
    pieces = [bytes([byte]) for byte in range(256)] + [b" the", b" of", "日".encode()[:2]]
    lines = [f"{base64.b64encode(piece).decode()} {rank}\n" for rank, piece in enumerate(pieces)]
    (folder / "base.tiktoken").write_text("".join(lines))
    (folder / "raw.txt").write_text(RAW)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def audit() -> Audit:
    """Run `bytegap audit ... --json`: (exit code, what it printed)."""

    def run(*arguments: object) -> tuple[int, dict]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = main(["audit", *map(str, arguments), "--json"])
        return code, json.loads(output.getvalue()) if code < 2 else {}

    return run
