"""Each public mistake, written again as a training loop makes it, is found and named, and the true figure given.

The loops use the tokenizers' own libraries, so that nothing of the audit counts for both sides.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tiktoken
import tokenizers

from bytegap.data.tiktoken_ranks import read_ranks
from tests.audit.conftest import RAW, Audit

LOSS = 2.0727
RAW_BYTES = len(RAW.encode())


def true_bpb(tokens: int) -> float:
    return LOSS * tokens / math.log(2) / RAW_BYTES


def named(audited: dict) -> list[str]:
    return [finding["kind"] for finding in audited["findings"]]


def parameter_golf_tables(model: Path, *, space_in_base: bool = False) -> dict[str, np.ndarray]:
    """Bytes of each piece without its leading space, and whether it has one; `space_in_base`: the mistake of 1672."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    base, leading = np.zeros(len(processor), np.int16), np.zeros(len(processor), bool)
    boundary = np.ones(len(processor), bool)
    for i in range(len(processor)):
        if processor.is_control(i) or processor.is_unknown(i) or processor.is_unused(i):
            continue
        boundary[i] = False
        if processor.is_byte(i):
            base[i] = 1
            continue
        piece = processor.id_to_piece(i)
        leading[i] = piece.startswith("\u2581")
        base[i] = len(piece.removeprefix("\u2581").encode()) + (space_in_base and leading[i])
    return {"base_bytes": base, "has_leading_space": leading, "is_boundary_token": boundary}


def parameter_golf_bytes(model: Path, tables: dict[str, np.ndarray]) -> tuple[int, int]:
    """(tokens, bytes) of the raw text as that loop sums them, after a boundary token."""
    ids = np.array(sentencepiece.SentencePieceProcessor(model_file=str(model)).encode(RAW))
    before = np.concatenate(([True], tables["is_boundary_token"][ids[:-1]]))
    return len(ids), int(tables["base_bytes"][ids].sum() + (tables["has_leading_space"][ids] & ~before).sum())


def test_897_a_vocabulary_without_the_space_piece(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    model = made["no_space.model"]
    tables = parameter_golf_tables(model)
    np.savez(tmp_path / "luts.npz", **tables)
    tokens, counted = parameter_golf_bytes(model, tables)
    assert counted > RAW_BYTES, "the loop is wrong, or this test is"
    code, audited = audit(model, "--text", made["raw.txt"], "--table", tmp_path / "luts.npz", "--val-loss", LOSS)
    assert code == 1
    assert named(audited) == ["missing-space-piece"]
    assert audited["findings"][0]["bytes"] == counted - RAW_BYTES
    assert (audited["tokens"], audited["table_bytes"]) == (tokens, counted)
    assert audited["true_bpb"] == pytest.approx(true_bpb(tokens), rel=1e-12)
    assert audited["claimed_bpb"] == pytest.approx(LOSS * tokens / math.log(2) / counted, rel=1e-12)
    assert not audited["lossless"]


def test_1289_byte_tokens_counted_as_replacement_characters(
    made: dict[str, Path], audit: Audit, tmp_path: Path
) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(made["bpe.model"]))
    tables = parameter_golf_tables(made["bpe.model"])
    for i in range(len(processor)):
        if processor.is_byte(i):
            tables["base_bytes"][i] = len(processor.decode([i]).encode())
    np.savez(tmp_path / "meta.npz", **tables)
    tokens, counted = parameter_golf_bytes(made["bpe.model"], tables)
    code, audited = audit(
        made["bpe.model"], "--text", made["raw.txt"], "--table", tmp_path / "meta.npz", "--val-loss", LOSS
    )
    assert code == 1
    assert named(audited) == ["replacement-character"]
    assert audited["findings"][0]["bytes"] == counted - RAW_BYTES
    assert audited["findings"][0]["tokens"] == (counted - RAW_BYTES) / 2
    assert len(audited["wrong_entries"]) == 128, "every byte that is no ASCII"
    assert audited["true_bpb"] == pytest.approx(true_bpb(tokens), rel=1e-12)


def test_1672_the_leading_space_added_twice(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    tables = parameter_golf_tables(made["bpe.model"], space_in_base=True)
    np.savez(tmp_path / "luts.npz", **{f"{name}_lut": table for name, table in tables.items()})
    tokens, counted = parameter_golf_bytes(made["bpe.model"], tables)
    code, audited = audit(
        made["bpe.model"], "--text", made["raw.txt"], "--table", tmp_path / "luts.npz", "--val-loss", LOSS
    )
    assert code == 1
    assert named(audited) == ["double-space"]
    assert audited["table_bytes"] == counted
    assert audited["true_bpb"] == pytest.approx(true_bpb(tokens), rel=1e-12)


@pytest.mark.parametrize("digits", [5, 17])
def test_1106_a_constant_number_of_bytes_a_token(made: dict[str, Path], audit: Audit, digits: int) -> None:
    tokens = len(tokenizers.Tokenizer.from_file(str(made["byte_level.json"])).encode(RAW).ids)
    claimed = f"{LOSS / math.log(2) / 4.3:.{digits}g}"
    code, audited = audit(made["byte_level.json"], "--text", made["raw.txt"], "--val-loss", LOSS, "--val-bpb", claimed)
    assert code == 1
    assert named(audited) == ["constant-divisor"]
    assert "4.3 bytes per token" in audited["findings"][0]["detail"]
    assert audited["true_bpb"] == pytest.approx(true_bpb(tokens), rel=1e-12)
    assert audited["claimed_bpb"] == float(claimed)


def test_1106_as_a_table(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(made["byte_level.json"]))
    np.save(tmp_path / "constant.npy", np.full(tokenizer.get_vocab_size(), 4.3))
    code, audited = audit(
        made["byte_level.json"], "--text", made["raw.txt"], "--table", tmp_path / "constant.npy", "--val-loss", LOSS
    )
    assert code == 1
    assert "constant-divisor" in named(audited)
    tokens = len(tokenizer.encode(RAW).ids)
    assert audited["table_bytes"] == pytest.approx(4.3 * tokens)
    assert audited["true_bpb"] == pytest.approx(true_bpb(tokens), rel=1e-12)


def test_nanochat_693_decoded_tokens_with_a_tokenizer_json(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(made["byte_level.json"]))
    specials = set(tokenizer.get_added_tokens_decoder())
    table = [0 if i in specials else len(tokenizer.decode([i]).encode()) for i in range(tokenizer.get_vocab_size())]
    np.save(tmp_path / "token_bytes.npy", np.array(table, np.int32))
    ids = tokenizer.encode(RAW).ids
    counted = sum(table[i] for i in ids)
    assert counted > RAW_BYTES
    code, audited = audit(
        made["byte_level.json"], "--text", made["raw.txt"], "--table", tmp_path / "token_bytes.npy", "--val-loss", LOSS
    )
    assert code == 1
    assert named(audited) == ["replacement-character"]
    assert audited["findings"][0]["bytes"] == counted - RAW_BYTES
    assert audited["true_bpb"] == pytest.approx(true_bpb(len(ids)), rel=1e-12)
    assert audited["lossless"]


def test_autoresearch_384_decoded_tokens_with_tiktoken(made: dict[str, Path], audit: Audit, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = made["base.tiktoken"]
    pattern = r"\p{L}+|\s+|[^\s\p{L}]+"
    encoding = tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=read_ranks(path, ""), special_tokens={})
    table = [len(encoding.decode([i]).encode()) for i in range(encoding.n_vocab)]
    torch.save(torch.tensor(table, dtype=torch.int32), tmp_path / "token_bytes.pt")
    ids = encoding.encode_ordinary(RAW)
    code, audited = audit(
        path,
        "--text",
        made["raw.txt"],
        "--table",
        tmp_path / "token_bytes.pt",
        "--val-loss",
        LOSS,
        "--pattern",
        pattern,
    )
    assert code == 1
    assert named(audited) == ["replacement-character"]
    assert audited["table_bytes"] == sum(table[i] for i in ids)
    assert audited["true_bpb"] == pytest.approx(true_bpb(len(ids)), rel=1e-12)
    assert {entry["token"] for entry in audited["wrong_entries"]} >= {"\\xe6\\x97"}
