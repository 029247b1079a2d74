"""A given tokenizer.json exported: the same symbols, whatever it would add to a text of its own; what is refused."""

import json

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from bytegap import plugins
from bytegap.errors import ModelError
from bytegap.export import tokenizer
from bytegap.objectives._base import Vocabulary

TEXTS = ["The States  of 1790, Gru\u00df", "<|eos|><pad>[x]", " leading", "e\u0301\u6c34\n"]


def trained(special=()):
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
    """With what a text should not get: a space before it, template tokens, truncation, a `<|eos|>` of its own."""
    made = trained(("<|eos|>", "<pad>"))
    made.add_tokens([AddedToken("[x]", normalized=False)])
    made.post_processor = processors.TemplateProcessing(single="$A <|eos|>", special_tokens=[("<|eos|>", 0)])
    made.enable_truncation(5)
    made.save(str(path))


def fallback(path):
    """As Llama 2's: U+2581 for a space, one before the text, bytes of what has no symbol."""
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
def test_a_given_vocabulary_gives_the_same_symbols(given, tmp_path):
    given(tmp_path / "tokenizer.json")
    ours = plugins.load("tokens", "huggingface").reopen(tmp_path)
    vocabulary = Vocabulary(len(ours.symbol_bytes))
    theirs = write(tmp_path, "huggingface", vocabulary, tmp_path / "out")
    for text in TEXTS:
        symbols = ours.encode_batch([text.encode()])[0].tolist()
        assert theirs(text)["input_ids"] == [vocabulary.bos, *symbols]
        assert theirs.decode(symbols) == text
    assert (theirs.eos_token_id, theirs.mask_token_id) == (vocabulary.eos, vocabulary.mask)


def test_a_vocabulary_with_holes_among_its_ids_is_refused(tmp_path):
    table = json.loads(trained().to_str())
    last = max(table["model"]["vocab"], key=table["model"]["vocab"].get)
    table["model"]["vocab"][last] += 7
    (tmp_path / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(ModelError, match="ids are missing among its symbols, so that EOS would not be 307"):
        tokenizer.files(tmp_path, "huggingface", Vocabulary(307), 100)


@pytest.mark.parametrize("kind", ["sentencepiece", "tiktoken"])
def test_kinds_without_an_exact_file_are_refused(kind, tmp_path):
    with pytest.raises(ModelError, match=f"symbols of kind '{kind}' have no tokenizer.json with the same ids"):
        tokenizer.files(tmp_path, kind, Vocabulary(300), 100)
