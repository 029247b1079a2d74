"""Exported tokenizers: the same tokens as in the study, whatever the given tokenizer.json adds to a text."""

import json

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from bytegap.data.tokenizers.base import load_tokenizer
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import ModelError, TokenizerError
from bytegap.export import tokenizer

TEXTS = ["The States  of 1790, Gru\u00df", "<|eos|><pad>[x]", " leading", "e\u0301\u6c34\n"]


def trained_bpe(special=()):
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["The United States and the people of the United States."] * 20, trainer)
    return made


def byte_level(path):
    """Adds what a text should not get: a space before it, template tokens, truncation; has an `<|eos|>` of its own."""
    made = trained_bpe(("<|eos|>", "<pad>"))
    made.add_tokens([AddedToken("[x]", normalized=False)])
    made.post_processor = processors.TemplateProcessing(single="$A <|eos|>", special_tokens=[("<|eos|>", 0)])
    made.enable_truncation(5)
    made.save(str(path))


def fallback(path):
    """As Llama 2's: U+2581 for a space, one before the text, byte tokens for what has no token."""
    pieces = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *"\u2581TheSatsof",
        "\u2581T",
        "\u2581Th",
        "\u2581The",
    ]
    merges = [("\u2581", "T"), ("\u2581T", "h"), ("\u2581Th", "e")]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    made = tokenizers.Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.save(str(path))


def write(folder, kind, vocabulary, out):
    out.mkdir()
    for name, value in tokenizer.files(folder, kind, vocabulary, 100).items():
        (out / name).write_text(json.dumps(value), encoding="utf-8")
    return AutoTokenizer.from_pretrained(out)


@pytest.mark.parametrize("given", [byte_level, fallback])
def test_an_exported_tokenizer_gives_the_same_tokens(given, tmp_path):
    given(tmp_path / "tokenizer.json")
    ours = load_tokenizer("huggingface", tmp_path)
    vocabulary = Vocabulary(len(ours.token_bytes))
    theirs = write(tmp_path, "huggingface", vocabulary, tmp_path / "out")
    for text in TEXTS:
        tokens = ours.encode_batch([text.encode()])[0].tolist()
        assert theirs(text)["input_ids"] == [vocabulary.bos, *tokens]
        assert theirs.decode(tokens) == text
    assert (theirs.eos_token_id, theirs.mask_token_id) == (vocabulary.eos, vocabulary.mask)


def test_a_tokenizer_with_unused_ids_is_refused(tmp_path):
    table = json.loads(trained_bpe().to_str())
    last = max(table["model"]["vocab"], key=table["model"]["vocab"].get)
    table["model"]["vocab"][last] += 7
    (tmp_path / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(ModelError, match="ids are missing among its tokens, so that EOS would not be 307"):
        tokenizer.files(tmp_path, "huggingface", Vocabulary(307), 100)


@pytest.mark.parametrize("kind", ["sentencepiece", "tiktoken"])
def test_a_kind_without_a_tokenizer_json_is_refused(kind, tmp_path):
    with pytest.raises(TokenizerError, match=r"cannot be written as tokenizer\.json"):
        tokenizer.files(tmp_path, kind, Vocabulary(300), 100)
