"""Every kind of finding in other forms than the public ones, and right loops, in which nothing is found."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from tests.audit.conftest import RAW, Audit
from tests.audit.test_public_mistakes import named, parameter_golf_tables

LOSS = 1.25
RAW_BYTES = len(RAW.encode())


def save(path: Path, table: list[float]) -> Path:
    np.save(path, np.array(table))
    return path


def byte_level(made: dict[str, Path]) -> tuple[tokenizers.Tokenizer, list[int]]:
    """The tokenizer and the true bytes of its ids, by encoding alone."""
    tokenizer = tokenizers.Tokenizer.from_file(str(made["byte_level.json"]))
    alphabet = {token: i for token, i in tokenizer.get_vocab().items() if i}
    return tokenizer, [0, *(len(token) for token, _ in sorted(alphabet.items(), key=lambda item: item[1]))]


# -- right ----------------------------------------------------------------------------------------


def test_a_right_table_of_a_byte_level_vocabulary(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    tokenizer, right = byte_level(made)
    tokens = len(tokenizer.encode(RAW).ids)
    bpb = LOSS * tokens / math.log(2) / RAW_BYTES
    table = save(tmp_path / "right.npy", right)
    code, audited = audit(
        made["byte_level.json"], "--text", made["raw.txt"], "--table", table, "--val-loss", LOSS, "--val-bpb", repr(bpb)
    )
    assert code == 0
    assert audited["findings"] == audited["wrong_entries"] == []
    assert audited["lossless"]
    assert audited["table_bytes"] == audited["bytes"] == RAW_BYTES
    assert audited["bytes_per_token"] == RAW_BYTES / tokens
    assert audited["true_bpb"] == pytest.approx(bpb, rel=1e-12)


def test_a_right_table_of_sentencepiece(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    """In both forms: the space in the entry, or added by the loop."""
    tables = parameter_golf_tables(made["bpe.model"])
    np.savez(tmp_path / "luts.npz", **tables)
    code, audited = audit(made["bpe.model"], "--text", made["raw.txt"], "--table", tmp_path / "luts.npz")
    assert (code, audited["table_bytes"]) == (0, RAW_BYTES)
    flat = save(tmp_path / "flat.npy", list(tables["base_bytes"] + tables["has_leading_space"]))
    code, audited = audit(made["bpe.model"], "--text", made["raw.txt"], "--table", flat)
    assert (code, audited["table_bytes"]) == (0, RAW_BYTES + 1), "one space is put before the text"
    assert any("a space before 1 document" in note for note in audited["notes"])


@pytest.mark.parametrize("ending", ["npz", "npy", "json", "csv"])
@pytest.mark.parametrize("name", ["byte_level.json", "bpe.model", "base.tiktoken"])
def test_the_table_that_it_writes_is_right(made, audit: Audit, tmp_path: Path, name: str, ending: str) -> None:
    table = tmp_path / f"token_bytes.{ending}"
    assert audit(made[name], "--write", table)[0] == 0
    code, audited = audit(made[name], "--text", made["raw.txt"], "--table", table)
    assert code == 0
    assert audited["table_bytes"] - RAW_BYTES == (name == "bpe.model")


def test_a_table_alone_needs_no_text(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    _, right = byte_level(made)
    assert audit(made["byte_level.json"], "--table", save(tmp_path / "right.npy", right))[0] == 0
    right[300] += 1
    code, audited = audit(made["byte_level.json"], "--table", save(tmp_path / "wrong.npy", right))
    assert code == 1
    assert [entry["id"] for entry in audited["wrong_entries"]] == [300]
    assert audited["bytes"] is audited["true_bpb"] is None


def test_entries_of_zero_for_a_padded_head_are_no_mistake(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    _, right = byte_level(made)
    code, audited = audit(made["byte_level.json"], "--table", save(tmp_path / "padded.npy", [*right, 0, 0, 0]))
    assert code == 0
    assert any("padded" in note for note in audited["notes"])


# -- tables ---------------------------------------------------------------------------------------


def test_characters_for_bytes(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    """Of decoded pieces, of pieces as they are written, of the letters of byte-level vocabularies."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(made["bpe.model"]))
    pieces = [processor.id_to_piece(i) for i in range(len(processor))]
    written = save(tmp_path / "written.npy", [0, 0, 0, *map(len, pieces[3:])])
    code, audited = audit(made["bpe.model"], "--text", made["raw.txt"], "--table", written)
    assert code == 1
    assert set(named(audited)) == {"characters-for-bytes"}
    tokenizer, _ = byte_level(made)
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    letters = save(tmp_path / "letters.npy", [0, *(len(token.encode()) for token, i in tokens if i)])
    code, audited = audit(made["byte_level.json"], "--text", made["raw.txt"], "--table", letters)
    assert code == 1
    assert named(audited) == ["characters-for-bytes"]
    ids = tokenizer.encode(RAW).ids
    assert audited["findings"][0]["bytes"] == sum(len(tokens[i][0].encode()) for i in ids) - RAW_BYTES


def test_the_mark_of_a_space_counted_as_three_bytes(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(made["bpe.model"]))
    table = [
        0 if processor.is_control(i) or processor.is_unknown(i) else 1 if processor.is_byte(i) else len(piece.encode())
        for i, piece in ((i, processor.id_to_piece(i)) for i in range(len(processor)))
    ]
    code, audited = audit(made["bpe.model"], "--text", made["raw.txt"], "--table", save(tmp_path / "t.npy", table))
    assert code == 1
    assert named(audited) == ["missing-space-piece"]
    assert audited["table_bytes"] == sum(table[i] for i in processor.encode(RAW))


def test_special_tokens_with_bytes(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    _, right = byte_level(made)
    right[0] = len("<|endoftext|>")
    code, audited = audit(
        made["byte_level.json"], "--text", made["raw.txt"], "--table", save(tmp_path / "t.npy", right)
    )
    assert code == 1
    assert named(audited) == ["special-tokens"]
    assert audited["wrong_entries"][0]["token"] == "<|endoftext|>"


def test_a_table_of_another_vocabulary(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    _, right = byte_level(made)
    for name, table in (("short", right[:-40]), ("long", [*right, 3]), ("odd", [*right[:-1], right[-1] + 7])):
        code, audited = audit(
            made["byte_level.json"], "--text", made["raw.txt"], "--table", save(tmp_path / f"{name}.npy", table)
        )
        assert code == 1, name
        assert named(audited) == ["wrong-length"], name


def test_several_mistakes_in_one_table(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    """`len(decode([id]).encode())` of SentencePiece drops the leading space, and counts U+FFFD."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(made["bpe.model"]))
    table = [len(processor.decode([i]).encode()) for i in range(len(processor))]
    code, audited = audit(made["bpe.model"], "--text", made["raw.txt"], "--table", save(tmp_path / "t.npy", table))
    assert code == 1
    assert {"wrong-length", "replacement-character"} <= set(named(audited))
    surplus = sum(finding["bytes"] for finding in audited["findings"])
    assert audited["table_bytes"] == RAW_BYTES + 1 + surplus


# -- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("normalizer", "says"),
    [
        (normalizers.Lowercase(), "'T' became 't'"),
        (normalizers.NFKC(), "'\u00bd' became '1\u20442'"),
        (normalizers.StripAccents(), ""),
        (normalizers.Replace("x", ""), "'x' became nothing"),
    ],
)
def test_altered_text(made: dict[str, Path], audit: Audit, tmp_path: Path, normalizer, says: str) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(made["byte_level.json"]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizer]) if not says else normalizer
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    code, audited = audit(tmp_path, "--text", made["raw.txt"], "--val-loss", LOSS)
    assert code == 1
    assert named(audited) == ["altered-text"]
    assert not audited["lossless"]
    assert says in audited["findings"][0]["detail"]
    assert audited["findings"][0]["bytes"] == len(tokenizer.normalizer.normalize_str(RAW).encode()) - RAW_BYTES


def test_unknown_tokens_alter_text(audit: Audit, made: dict[str, Path], tmp_path: Path) -> None:
    words = sorted(set(RAW.split()))[:-2]
    tokenizer = tokenizers.Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    code, audited = audit(tmp_path, "--text", made["raw.txt"])
    assert code == 1
    assert named(audited) == ["altered-text"]


def test_special_tokens_written_out_in_a_text(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("the end<|endoftext|>the people<|endoftext|>")
    code, audited = audit(made["byte_level.json"], "--text", tmp_path / "t.txt")
    assert code == 1
    assert named(audited) == ["special-tokens"]
    assert (audited["findings"][0]["tokens"], audited["findings"][0]["bytes"]) == (2, -26)
    assert audited["lossless"]


def test_bytes_that_are_not_utf8(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "t.bin").write_bytes(b"the \xff people \xc3( of \x80\x80")
    code, audited = audit(made["byte_level.json"], "--text", tmp_path / "t.bin")
    assert code == 1
    assert named(audited) == ["replacement-character"]
    assert audited["findings"][0]["bytes"] == 8
    assert not audited["lossless"]


def test_spaces_before_short_documents_are_counted(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    rows = [json.dumps({"text": "the people"}) + "\n"] * 50
    (tmp_path / "short.jsonl").write_text("".join(rows))
    assert audit(made["bpe.model"], "--write", tmp_path / "t.npy")[0] == 0
    code, audited = audit(made["bpe.model"], "--text", tmp_path / "short.jsonl", "--table", tmp_path / "t.npy")
    assert code == 1
    assert named(audited) == ["double-space"]
    assert audited["findings"][0]["bytes"] == 50
    assert audited["table_bytes"] == 550


def test_a_template_is_noted_and_not_counted(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(made["byte_level.json"]))
    plain = len(tokenizer.encode(RAW).ids)
    tokenizer.post_processor = processors.TemplateProcessing("<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(tokenizer.encode(RAW).ids) == plain + 1
    code, audited = audit(tmp_path, "--text", made["raw.txt"])
    assert (code, audited["tokens"]) == (0, plain)
    assert any("<|endoftext|>" in note for note in audited["notes"])


# -- claims ---------------------------------------------------------------------------------------


def claims(made, audit: Audit, divisor: float, digits: int = 17) -> list[str]:
    """The kinds found when the two claims imply this number of bytes per token."""
    bpb = f"{LOSS / math.log(2) / divisor:.{digits}g}"
    return named(
        audit(made["byte_level.json"], "--text", made["raw.txt"], "--val-loss", f"{LOSS:.{digits}f}", "--val-bpb", bpb)[
            1
        ]
    )


@pytest.mark.parametrize("digits", [6, 17])
def test_what_two_claims_imply(made: dict[str, Path], audit: Audit, digits: int) -> None:
    tokenizer, right = byte_level(made)
    ids = tokenizer.encode(RAW).ids
    decoded = [0, *(len(tokenizer.decode([i]).encode()) for i in range(1, len(right)))]
    assert claims(made, audit, RAW_BYTES / len(ids), digits) == []
    assert claims(made, audit, len(RAW) / len(ids), digits) == ["characters-for-bytes"]
    assert claims(made, audit, sum(decoded[i] for i in ids) / len(ids), digits) == ["replacement-character"]
    assert claims(made, audit, 2.5, digits) == ["constant-divisor"]
    assert claims(made, audit, RAW_BYTES / (len(ids) - 17), digits) == ["lost-targets"]


def test_exact_claims_that_nothing_explains_are_a_constant(made: dict[str, Path], audit: Audit) -> None:
    tokens = len(byte_level(made)[0].encode(RAW).ids)
    assert claims(made, audit, RAW_BYTES / (tokens - 17.4)) == ["constant-divisor"]
    assert claims(made, audit, RAW_BYTES / (tokens * 3.123456)) == ["constant-divisor"]


def test_a_claim_by_a_table_is_corrected_without_the_loss(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    _, right = byte_level(made)
    table = save(tmp_path / "t.npy", [2 * n for n in right])
    _, audited = audit(made["byte_level.json"], "--text", made["raw.txt"], "--table", table, "--val-bpb", "0.75")
    assert audited["true_bpb"] == pytest.approx(1.5)
    assert audited["claimed_bpb"] == 0.75
    _, audited = audit(made["byte_level.json"], "--text", made["raw.txt"], "--val-bpb", "0.75")
    assert audited["true_bpb"] is None


# -- ids ------------------------------------------------------------------------------------------


def test_ids_are_those_that_the_library_gives_out(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    """A file may leave gaps between the ids of added tokens; the library closes them, and models see its ids."""
    table = json.loads(made["byte_level.json"].read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    table["added_tokens"].append({"id": 900, "content": "people", **flags})
    (tmp_path / "tokenizer.json").write_text(json.dumps(table))
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    code, audited = audit(tmp_path, "--text", made["raw.txt"])
    assert (code, audited["lossless"]) == (0, True)
    assert audited["vocab_size"] == tokenizer.get_vocab_size() < 900
