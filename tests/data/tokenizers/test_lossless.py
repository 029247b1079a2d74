"""Any bytes through every kind of tokens come back exactly, and the lengths of their tokens add up."""

import json
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, trainers

from bytegap.data.lossless import Lossless
from bytegap.data.tokenizers.base import Tokenizer
from bytegap.data.tokenizers.huggingface import load_tokenizer_json
from bytegap.errors import TokenizerError
from tests.data.tokenizers.conftest import TEXT, Make

KINDS = ["bytes", "bpe", "unigram", "huggingface", "sentencepiece", "tiktoken"]

HARD = [
    b"",
    b" ",
    b"   two  spaces\n\n\ttab \r\n ",
    "\u2581 and \u2581\u2581the \u2581".encode(),
    b"nul \x00 \x00\x00",
    b"\xff\xfe the \xc3(\xe2\x96 people\x80",
    b"\xed\xa0\x80 a surrogate in UTF-8",
    b"<|endoftext|> <pad> <s></s> <unk> <0x0A> </s>",
    "ﬁ ligature, e\u0301 combining, ½, \u00a0nbsp, \u3000, Ⅷ".encode(),
    "no token: Ωж".encode(),
]


def check(tokenizer: Tokenizer, texts: list[bytes]) -> None:
    for text, tokens in zip(texts, tokenizer.encode_batch(texts), strict=True):
        pieces = [tokenizer.token_bytes[token] for token in tokens]
        assert b"".join(pieces) == text
        assert all(pieces), "a token that stands for no text was produced"


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), max_size=4))
def test_any_bytes_come_back(tokenizers_by_name: dict[str, Tokenizer], kind: str, texts: list[bytes]) -> None:
    check(tokenizers_by_name[kind], texts)


@pytest.mark.parametrize("kind", KINDS)
def test_hard_texts_come_back(tokenizers_by_name: dict[str, Tokenizer], kind: str) -> None:
    check(tokenizers_by_name[kind], HARD)
    check(tokenizers_by_name[kind], [b" ".join(HARD)])


@pytest.mark.parametrize("kind", KINDS[1:])
def test_text_gets_the_vocabulary_s_own_tokens(tokenizers_by_name: dict[str, Tokenizer], kind: str) -> None:
    """Nothing of plain text is escaped; bytes beside it are, and leave the rest as it was."""
    tokenizer = tokenizers_by_name[kind]
    before = tokenizer.escaped_bytes
    [plain, mixed] = tokenizer.encode_batch([b"the people", b"the people\xff\xfe"])
    assert len(plain) < len(b"the people") or kind == "unigram", "of so little text it learns pieces of other words"
    assert mixed.tolist()[:-2] == plain.tolist()
    assert tokenizer.escaped_bytes - before == 2


def test_the_smallest_stretch_is_escaped(tokenizers_by_name: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers_by_name["sentencepiece"]
    before = tokenizer.escaped_bytes
    [expected, found] = tokenizer.encode_batch([b"the people the", "the people\u2581 the".encode()])
    assert tokenizer.escaped_bytes - before == 3, "U+2581 alone"
    pieces = [tokenizer.token_bytes[token] for token in found]
    assert pieces[0] == tokenizer.token_bytes[expected[0]]
    assert pieces[-1] == b" the"


def test_token_bytes_come_from_the_token(tokenizers_by_name: dict[str, Tokenizer]) -> None:
    """A token that holds part of a code point has that part's length."""
    for kind in KINDS:
        singles = {piece for piece in tokenizers_by_name[kind].token_bytes if len(piece) == 1}
        assert len(singles) == 256
    assert b" the" in tokenizers_by_name["sentencepiece"].token_bytes
    assert b" the" in tokenizers_by_name["bpe"].token_bytes


def test_special_tokens_stand_for_no_text(tokenizers_by_name: dict[str, Tokenizer]) -> None:
    assert tokenizers_by_name["huggingface"].token_bytes[:2] == [b"", b""]
    assert tokenizers_by_name["sentencepiece"].token_bytes[:3] == [b"", b"", b""]
    assert tokenizers_by_name["sentencepiece"].token_bytes[3] == b"\x00"


def test_a_token_without_text_is_never_produced() -> None:
    def segment(texts: list[str]) -> list[list[int]]:
        return [[256, *text.encode()] if "x" in text else list(text.encode()) for text in texts]

    tokenizer = Lossless("silent", [*(bytes([byte]) for byte in range(256)), b""], segment)
    check(tokenizer, [b"an x here"])
    assert tokenizer.escaped_bytes == 1


def test_special_token_literals_are_text_like_any_other(make: Make, vocabularies: Path, tmp_path: Path) -> None:
    """They get the tokens that the same text has where it is not special, merges and all."""
    tokenizer = tokenizers.Tokenizer.from_file(str(vocabularies / "byte_level.json"))
    tokenizer.add_special_tokens(["States"])
    tokenizer.save(str(tmp_path / "special.json"))
    plain = make("huggingface", {"file": str(vocabularies / "byte_level.json")})
    special = make("huggingface", {"file": str(tmp_path / "special.json")})
    [expected], [found] = (tokenizer.encode_batch([b"the United States people"]) for tokenizer in (plain, special))
    assert found.tolist() == expected.tolist()


def test_bpe_dropout_is_switched_off(make: Make, vocabularies: Path, tmp_path: Path) -> None:
    table = json.loads((vocabularies / "byte_level.json").read_text())
    table["model"]["dropout"] = 0.5
    (tmp_path / "dropout.json").write_text(json.dumps(table))
    tokenizer = make("huggingface", {"file": str(tmp_path / "dropout.json")})
    encoded = {tuple(tokens.tolist()) for tokens in tokenizer.encode_batch([TEXT[0].encode()] * 20)}
    assert len(encoded) == 1


def test_a_byte_fallback_tokenizer_json(make: Make, tmp_path: Path) -> None:
    """The Llama kind: U+2581 for spaces, one put in front, byte pieces."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"\u2581Thepol", "Th", "\u2581p"]
    tokenizer = tokenizers.Tokenizer(
        models.BPE(
            {piece: i for i, piece in enumerate(pieces)},
            [("T", "h"), ("\u2581", "p")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    made = make("huggingface", {"file": str(tmp_path / "tokenizer.json")})
    [tokens] = made.encode_batch([b"The people"])
    assert [made.token_bytes[token] for token in tokens][:4] == [b"Th", b"e", b" p", b"e"]
    assert made.escaped_bytes == 0
    check(made, HARD)


# -- refused --------------------------------------------------------------------------------------


def refused(make: Make, tokenizer: tokenizers.Tokenizer, folder: Path) -> str:
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(TokenizerError) as caught:
        make("huggingface", {"file": str(folder / "tokenizer.json")}).encode_batch([TEXT[0].encode()])
    assert "tokenizer.json" in str(caught.value)
    return str(caught.value)


def test_a_lowercasing_vocabulary_is_refused(make: Make, vocabularies: Path, tmp_path: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(vocabularies / "byte_level.json"))
    tokenizer.normalizer = normalizers.Lowercase()
    message = refused(make, tokenizer, tmp_path)
    assert "lower case" in message
    assert "use a vocabulary" in message


def test_a_word_level_vocabulary_is_refused(make: Make, tmp_path: Path) -> None:
    tokenizer = tokenizers.Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    message = refused(make, tokenizer, tmp_path)
    assert "no token for the byte" in message
    assert "byte-level or byte-fallback" in message


def test_a_vocabulary_that_drops_spaces_is_refused() -> None:
    def segment(texts: list[str]) -> list[list[int]]:
        return [list(text.replace(" ", "").encode()) for text in texts]

    with pytest.raises(TokenizerError, match="white space"):
        Lossless("words", [bytes([byte]) for byte in range(256)], segment)


def test_sentencepiece_without_byte_fallback_says_what_it_lacks(make: Make, vocabularies: Path) -> None:
    tokenizer = make("sentencepiece", {"file": str(vocabularies / "plain.model")})
    check(tokenizer, [b"the people"])
    with pytest.raises(TokenizerError, match=r"tokenizer\.model cannot represent .*0xCE.*byte-fallback"):
        tokenizer.encode_batch(["the Ω".encode()])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("huggingface", "tokenizer.json"),
        ("sentencepiece", "SentencePiece model"),
        ("tiktoken", "line 1"),
    ],
)
def test_a_file_of_another_kind_is_named(make: Make, tmp_path: Path, kind: str, says: str) -> None:
    path = tmp_path / "vocab_size"
    path.write_bytes(b"\x00nonsense")
    with pytest.raises(TokenizerError, match=says) as caught:
        make(kind, {"file": str(path)})
    assert str(path) in str(caught.value)
    with pytest.raises(TokenizerError, match="no such file"):
        make(kind, {"file": str(tmp_path / "absent")})


def test_a_sentencepiece_model_with_a_byte_that_is_none_is_named(make: Make, vocabularies: Path) -> None:
    path = vocabularies / "broken.model"
    path.write_bytes((vocabularies / "fallback.model").read_bytes().replace(b"<0x45>", b"<0x4\xb5>"))
    with pytest.raises(TokenizerError, match=r"broken\.model is not a SentencePiece model .*byte"):
        make("sentencepiece", {"file": str(path)})


def test_a_json_that_is_no_tokenizer_is_named(make: Make, tmp_path: Path) -> None:
    for table in ([], {}, {"model": {}}):
        path = tmp_path / "other.json"
        path.write_text(json.dumps(table))
        with pytest.raises(TokenizerError, match=r"other\.json is not a tokenizer\.json"):
            make("huggingface", {"file": str(path)})


def test_tiktoken_asks_for_the_pattern_it_cannot_know(make: Make, vocabularies: Path) -> None:
    with pytest.raises(TokenizerError, match="set pattern"):
        make("tiktoken", {"file": str(vocabularies / "small.tiktoken")})
    lines = (vocabularies / "small.tiktoken").read_bytes().splitlines(keepends=True)
    (vocabularies / "holed.tiktoken").write_bytes(b"".join(lines[:65] + lines[66:]))
    with pytest.raises(TokenizerError, match="0x41"):
        make("tiktoken", {"file": str(vocabularies / "holed.tiktoken"), "pattern": "r50k"})


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def nfc(vocabularies: Path, folder: Path) -> Path:
    """The byte-level vocabulary under a normalizer that composes letters."""
    tokenizer = tokenizers.Tokenizer.from_file(str(vocabularies / "byte_level.json"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.save(str(folder / "nfc.json"))
    return folder / "nfc.json"


@pytest.mark.parametrize("odd", ["e\u0301", "a\u030a\u0323", "\u212b", "\u1100\u1161", "e\u0301e\u0301 and e\u0301"])
def test_one_odd_character_leaves_the_other_tokens_as_they_were(
    make: Make, vocabularies: Path, tmp_path: Path, odd: str
) -> None:
    """A letter that a normalizer composes: only its own tokens differ from those of the text without it."""
    plain = make("huggingface", {"file": str(vocabularies / "byte_level.json")})
    composing = make("huggingface", {"file": str(nfc(vocabularies, tmp_path))})
    before = "The United States\n\nand the people\n of the  United States. " * 20
    after = " the people.\nThe United States, and it's 1790 again.\n\n The people" * 20
    text = (before + odd + after).encode()
    check(composing, [text])
    [expected], [found] = (each.encode_batch([text]) for each in (plain, composing))
    same_before = common(expected, found)
    same_after = common(expected[::-1], found[::-1])
    lost = b"".join(composing.token_bytes[token] for token in found[same_before : len(found) - same_after])
    assert len(lost) <= len(odd.encode()) + 12
    assert min(same_before, same_after) > 100


def test_many_odd_characters_leave_what_is_between_them(make: Make, vocabularies: Path, tmp_path: Path) -> None:
    plain = make("huggingface", {"file": str(vocabularies / "byte_level.json")})
    composing = make("huggingface", {"file": str(nfc(vocabularies, tmp_path))})
    between = "\n\nThe United States and the people\n of the  United States."
    text = ("e\u0301".join([between] * 40)).encode()
    check(composing, [text])
    [expected], [found] = (each.encode_batch([text]) for each in (plain, composing))
    assert abs(len(found) - len(expected)) <= 40


@given(text=st.text(alphabet="ab \n\u00e9e\u0301\u0323\u212b\u1100\u1161\u11a8", max_size=60))
def test_composed_letters_in_any_order_come_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    check(_composing(tmp_path_factory), [text.encode()])


_MADE: list[Tokenizer] = []


def _composing(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A byte-level vocabulary that composes letters, made once."""
    if not _MADE:
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.normalizer = normalizers.NFC()
        trainer = trainers.BpeTrainer(
            vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        tokenizer.train_from_iterator(["ab ab a b e\u0301 \u00e9\n\n ab"] * 20, trainer)
        path = tmp_path_factory.mktemp("composing") / "tokenizer.json"
        tokenizer.save(str(path))
        _MADE.append(load_tokenizer_json(path))
    return _MADE[0]
