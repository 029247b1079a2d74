"""Files from strangers, altered at random: an error of ours or a result, never a traceback, and nothing written.

`BYTEGAP_FUZZ=2000 pytest tests/fuzz -m slow` alters each file 2,000 times; CI alters it 400 times.
"""

import base64
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bytegap.audit.byte_table import read_table as read_table_of_bytes
from bytegap.audit.byte_table import write_table as write_table_of_bytes
from bytegap.audit.stage import AuditOptions, audit
from bytegap.audit.token_vocabulary import read_vocabulary
from bytegap.data.corpora.files import Files
from bytegap.data.tokenizers.base import tokenizer_spec
from bytegap.errors import BytegapError
from bytegap.fit import read_table as table
from bytegap.flops.config import read_models
from bytegap.io.records import read_record, read_table, write_record, write_table
from bytegap.io.tensors import read_tensors, write_tensors
from bytegap.power.laws_file import read_laws
from bytegap.schema.runs import Timings
from bytegap.study.load import load_study
from tests.helpers.synthetic_runs import simulated_rows
from tests.helpers.tiny_study import STUDY, write_study

pytestmark = pytest.mark.slow

CASES = int(os.environ.get("BYTEGAP_FUZZ", "400"))
ODD = [
    *(each.encode() for each in ("\0", "{", "}", "[", "]", '"', "=", ",", "\n", "1e999", "-1", "null", "nan", "true")),
    *(b"\xff", b"../../x", b"9" * 30, b"99999999999", b"[" * 3000, b'{"a":' * 1500),
    *(b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x0f"),  # 2^31 - 1 and, as a varint, 2^32 - 1: lengths that lie
]

kinds = st.sampled_from(["put", "drop", "swap", "double", "flip", "cut"])
edits = st.lists(st.tuples(kinds, st.floats(0, 1), st.integers(1, 40), st.sampled_from(ODD)), min_size=1, max_size=6)


def altered(sample: bytes, changes: list[tuple[str, float, int, bytes]]) -> bytes:
    """The sample with each change made in turn, at its place from 0 to 1."""
    for kind, where, length, odd in changes:
        at = int(where * len(sample))
        piece, rest = sample[at : at + length], sample[at + length :]
        end = {
            "put": odd + piece + rest,
            "drop": rest,
            "swap": piece[::-1] + rest,
            "double": piece * 2 + rest,
            "flip": bytes(byte ^ 1 << length % 8 for byte in piece[:1]) + piece[1:] + rest,
            "cut": b"",
        }
        sample = sample[:at] + end[kind]
    return sample


def survives(home: Path, name: str, sample: bytes, read: Callable[[Path], object]) -> None:
    """Altered samples, each read; whatever is written lies where the file does."""
    other = home.parent / "other"
    other.mkdir(exist_ok=True)

    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(edits)
    def one(changes: list[tuple[str, float, int, bytes]]) -> None:
        path = home / name
        path.write_bytes(altered(sample, changes))
        try:
            read(path)
        except BytegapError as error:
            assert str(error)  # noqa: PT017 - one of ours, and that is well
        assert not list(other.iterdir())

    read(_written(home / name, sample))
    one()


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_study_files(tmp_path):
    sample = write_study(
        tmp_path, STUDY + '\n[fit]\nslopes = [["byte-ar", "bpe-mdm"]]\nslope_margin = 0.1\n'
    ).read_bytes()
    survives(tmp_path, "s.toml", sample, load_study)


def test_tables_of_runs(tmp_path):
    draw = random.Random(0)
    rows = [
        f"{10 ** draw.uniform(8, 10):.4g},{10 ** draw.uniform(3, 5):.4g},{draw.uniform(2, 3):.4f}" for _ in range(30)
    ]
    sample = "\n".join(["flops,params,loss", *rows]).encode()
    survives(tmp_path, "runs.csv", sample, lambda path: table.read(path, {}, "6nd"))


def test_laws_to_simulate(tmp_path):
    named = load_study(write_study(tmp_path))
    arms = "".join(f"[arms.{name}]\nbpb = 2.1\nflops = 1e12\nparams = 1e5\n" for name in named.arms)
    survives(tmp_path, "law.toml", f"noise = 0.005\n{arms}".encode(), lambda path: read_laws(path, named))


@pytest.mark.parametrize("kind", ["config", "shapes"])
def test_model_configurations(tmp_path, kind):
    llama = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2,
             "num_attention_heads": 4, "vocab_size": 300, "max_position_embeddings": 128}  # fmt: skip
    shapes = [{"d_model": 64, "n_layers": 2, "vocab_size": 300, "context": 128}]
    sample = json.dumps(llama if kind == "config" else shapes).encode()
    survives(tmp_path, "config.json", sample, lambda path: read_models(path, None))


def test_records_and_their_tables(tmp_path):
    timings = Timings(run="r", train_s=1, evaluate_s=1, tokens_per_s=1, flops_per_s=1, started="2026", host="h")
    write_record(tmp_path / "sample.json", timings)
    survives(tmp_path, "t.json", (tmp_path / "sample.json").read_bytes(), lambda p: read_record(p, Timings, "train"))
    rows = simulated_rows()[:4]
    write_table(tmp_path / "rows.jsonl", rows)
    survives(
        tmp_path, "r.jsonl", (tmp_path / "rows.jsonl").read_bytes(), lambda p: read_table(p, type(rows[0]), "runs")
    )


def test_checkpoints_and_weights(tmp_path):
    write_tensors(tmp_path / "sample", {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(5)}, {"step": "3"})
    survives(tmp_path, "weights.safetensors", (tmp_path / "sample").read_bytes(), read_tensors)


def test_json_lines_of_text(tmp_path):
    sample = b"".join(json.dumps({"text": f"line {i} \u00e9", "id": i}).encode() + b"\n" for i in range(8))
    read = Files(paths=[str(tmp_path / "text.jsonl")])
    survives(tmp_path, "text.jsonl", sample, lambda _: list(read.documents()))


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_parquet(tmp_path, compression):
    sample, texts = io.BytesIO(), [*(f"line {i} \u00e9" for i in range(8)), "same", "same"]
    parquet.write_table(pa.table({"text": texts, "id": range(10)}), sample, row_group_size=4, compression=compression)
    read = Files(paths=[str(tmp_path / "text.parquet")])
    survives(tmp_path, "text.parquet", sample.getvalue(), lambda _: list(read.documents()))


def _read_vocabulary(kind: str, file: Path) -> None:
    kept = file.parent.parent / "kept"
    kept.mkdir(exist_ok=True)
    options = {"file": str(file)} | ({"pattern": "r50k"} if kind == "tiktoken" else {})
    tokenizer = tokenizer_spec(kind, options).prepare(iter(()), kept)
    for text, tokens in zip([b"a text", b"\xff\xfe"], tokenizer.encode_batch([b"a text", b"\xff\xfe"]), strict=True):
        assert b"".join(tokenizer.token_bytes[int(token)] for token in tokens) == text


def _hugging_face() -> bytes:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator(["the text of the text and the text"] * 4, trainer)
    return tokenizer.to_str().encode()


def _tiktoken() -> bytes:
    return b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256))


def _sentencepiece(kind: str, normalizer: str) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the text of the text and the text"] * 4), model_writer=model, model_type=kind,
        vocab_size=280, hard_vocab_limit=False, byte_fallback=True, normalization_rule_name=normalizer, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


VOCABULARIES = [
    ("huggingface", "tokenizer.json", _hugging_face()),
    ("tiktoken", "v.tiktoken", _tiktoken()),
    ("sentencepiece", "bpe.model", _sentencepiece("bpe", "identity")),
    ("sentencepiece", "unigram.model", _sentencepiece("unigram", "identity")),
    ("sentencepiece", "normalised.model", _sentencepiece("bpe", "nmt_nfkc")),
]


@pytest.mark.parametrize(("kind", "name", "sample"), VOCABULARIES)
def test_vocabularies(tmp_path, kind, name, sample):
    home = tmp_path / "home"
    home.mkdir()
    survives(home, name, sample, lambda path: _read_vocabulary(kind, path))


@pytest.mark.parametrize(("kind", "name", "sample"), VOCABULARIES)
def test_vocabularies_that_are_audited(tmp_path, kind, name, sample):
    del kind
    home = tmp_path / "home"
    home.mkdir()
    text = _written(tmp_path / "text.txt", "a text of text, e\u0301 \u6c34".encode())
    survives(home, name, sample, lambda path: audit(read_vocabulary(path), AuditOptions(texts=[text]), None))


@pytest.mark.parametrize("name", ["t.npz", "luts.npz", "t.npy", "t.json", "t.csv", "t.pt"])
def test_tables_of_bytes_per_token(tmp_path, name):
    home = tmp_path / "home"
    home.mkdir()
    entries = [1, 2, 3, 4] * 20
    if name == "luts.npz":
        np.savez(tmp_path / name, base_bytes=np.array(entries, np.int16), has_leading_space=np.array(entries) > 2)
    elif name == "t.pt":
        torch.save(torch.tensor(entries), tmp_path / name)
    else:
        write_table_of_bytes(tmp_path / name, entries)
    survives(home, name, (tmp_path / name).read_bytes(), read_table_of_bytes)
