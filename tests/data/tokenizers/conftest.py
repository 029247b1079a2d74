"""Small vocabularies of every kind, learned or written by the test run itself."""

import base64
import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from bytegap.data.tokenizers.base import Tokenizer, load_tokenizer, tokenizer_spec

TEXT = ["The United States and the people of the United States.", "Gruß, 水 and Été: it's 1790 again."] * 40

Make = Callable[[str, dict[str, object]], Tokenizer]


@pytest.fixture(scope="session")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `byte_level.json`, `fallback.model`, `plain.model` and `small.tiktoken`."""
    folder = tmp_path_factory.mktemp("vocabularies")
    byte_level = tokenizers.Tokenizer(models.BPE())
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    byte_level.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<|endoftext|>", "<pad>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    byte_level.save(str(folder / "byte_level.json"))
    for name, fallback in (("fallback", True), ("plain", False)):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXT),
            model_writer=model,
            vocab_size=330 if fallback else 50,
            model_type="bpe",
            byte_fallback=fallback,
            character_coverage=1.0,
            minloglevel=2,
        )
        (folder / f"{name}.model").write_bytes(model.getvalue())
    pieces = [*(bytes([byte]) for byte in range(256)), b"th", b"the", b" the", b"\xc3\x9f"]
    lines = [b"%s %d\n" % (base64.b64encode(piece), rank) for rank, piece in enumerate(pieces)]
    (folder / "small.tiktoken").write_bytes(b"".join(lines))
    return folder


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Prepare a tokenizer by kind and options; returns it as loaded again."""

    # A piece of a unigram model is found only where several words share it.
    draw = random.Random(0)
    words = [
        "the people",
        "peoples",
        "them",
        *("".join(draw.choices("aeinorst", k=draw.randint(2, 8))) for _ in range(200)),
    ]
    varied = [*TEXT, *(" ".join(draw.choices(words, [1 / (i + 1) for i in range(203)], k=100)) for _ in range(60))]

    def prepared(kind: str, options: dict[str, object]) -> Tokenizer:
        folder = tmp_path_factory.mktemp(kind)
        texts = [text.encode() for text in (varied if kind == "unigram" else TEXT)]
        first = tokenizer_spec(kind, options).prepare(texts, folder)
        loaded = load_tokenizer(kind, folder)
        assert loaded.token_bytes == first.token_bytes
        return loaded

    return prepared


@pytest.fixture(scope="session")
def tokenizers_by_name(make: Make, vocabularies: Path) -> dict[str, Tokenizer]:
    """One of every kind, each able to represent any bytes."""
    return {
        "bytes": make("bytes", {}),
        "bpe": make("bpe", {"vocab_size": 300}),
        "unigram": make("unigram", {"vocab_size": 320}),
        "huggingface": make("huggingface", {"file": str(vocabularies / "byte_level.json")}),
        "sentencepiece": make("sentencepiece", {"file": str(vocabularies / "fallback.model")}),
        "tiktoken": make("tiktoken", {"file": str(vocabularies / "small.tiktoken"), "pattern": "cl100k"}),
    }
