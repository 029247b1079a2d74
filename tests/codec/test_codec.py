"""Compression: every text comes back, at the size of its likelihood; damaged files and other runs are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bytegap.cli.main import main
from bytegap.codec import coder
from bytegap.codec.container import CODED, STORED, unpack
from bytegap.data.windows import Windows, chunk_lengths
from bytegap.lm.language_model import load_run
from bytegap.lm.likelihood import token_nats
from bytegap.objectives.ar import Autoregressive
from bytegap.sampling.any_order import AnyOrder
from tests.helpers.finished_runs import ARMS, finish
from tests.helpers.tiny_study import write_text

NAMES = ("like its training", "short", "empty", "not UTF-8", "random", "zeros")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs, by arm, trained long enough to compress text like their own."""
    arms = {arm: ARMS[arm] for arm in ("byte-ar", "bpe-ar", "bpe-mdm")}
    return finish(tmp_path_factory.mktemp("codec"), arms, steps=300)[1]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    home = tmp_path_factory.mktemp("texts")
    write_text(home, documents=4)
    like = b"".join(path.read_bytes() for path in sorted(home.iterdir())) + "na\u00efve \u4e2d\u6587".encode()
    random = np.random.default_rng(0).bytes(5000)
    return dict(zip(NAMES, (like, b"a", b"", bytes(range(256)) * 3, random, bytes(3000)), strict=True))


def compress(file, out, run):
    assert main(["compress", str(file), "-o", str(out), "--run", str(run.path)]) == 0


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar"])
@pytest.mark.parametrize("name", NAMES)
def test_a_text_comes_back_at_the_size_of_its_likelihood(runs, texts, tmp_path, arm, name):
    text = texts[name]
    original, packed, restored = (tmp_path / each for each in ("original", "packed", "restored"))
    original.write_bytes(text)
    compress(original, packed, runs[arm])
    assert main(["decompress", str(packed), "-o", str(restored), "--run", str(runs[arm].path)]) == 0
    assert restored.read_bytes() == text
    assert packed.stat().st_size <= len(text) + 64
    assert packed.stat().st_size <= 1.005 * nats(runs[arm], text) / np.log(2) / 8 + 64


def nats(run, text):
    """The likelihood of the same tokens, without EOS, each sequence in one forward."""
    model = load_run(run)
    tokens = model.tokenizer.encode_batch([text])[0]
    if not len(tokens):
        return 0.0
    counts = np.array(chunk_lengths(len(tokens), model.seq_len))
    return float(token_nats(model, Windows(tokens, counts, len(text), ""))[0].sum())


def test_a_text_whose_code_is_longer_is_stored(runs, texts, tmp_path):
    for name, content in (("random", STORED), ("like its training", CODED)):
        original, packed = tmp_path / "original", tmp_path / "packed"
        original.write_bytes(texts[name])
        compress(original, packed, runs["byte-ar"])
        assert unpack(packed, packed.read_bytes())[0].content == content


@pytest.fixture
def packed(runs, texts, tmp_path):
    original, packed = tmp_path / "original", tmp_path / "packed"
    original.write_bytes(texts["like its training"])
    compress(original, packed, runs["byte-ar"])
    return packed


def refusal(packed, run, capsys):
    """What `decompress` prints; it must fail and write nothing."""
    restored = packed.with_name("restored")
    capsys.readouterr()
    assert main(["decompress", str(packed), "-o", str(restored), "--run", str(run.path)]) == 2
    assert not restored.exists()
    return capsys.readouterr().err


def test_any_changed_or_missing_byte_is_noticed(runs, packed, capsys):
    """But for the last word of the code, which can be redundant: the text then comes back all the same."""
    data = packed.read_bytes()
    last = len(data) - 4
    for index in [*range(44), *range(44, last, max(1, len(data) // 12)), last - 1]:
        packed.write_bytes(data[:index] + bytes([data[index] ^ 0x10]) + data[index + 1 :])
        assert "packed" in refusal(packed, runs["byte-ar"], capsys)
    for length in (0, 3, 20, 44, last - 4, last - 1, len(data) - 1):
        packed.write_bytes(data[:length])
        assert "packed" in refusal(packed, runs["byte-ar"], capsys)


def test_a_header_with_impossible_sizes_takes_no_memory(runs, packed, capsys):
    header, code = unpack(packed, packed.read_bytes())
    packed.write_bytes(replace(header, tokens=2**47, length_bytes=2**47).packed() + code)
    assert "its code is not as long as its header says" in refusal(packed, runs["byte-ar"], capsys)


def test_certain_tokens_take_almost_no_bits(runs):
    model = load_run(runs["byte-ar"])
    model.network.lm_head.weight.data.zero_()
    model.network.lm_head.register_forward_hook(lambda *call: call[2].index_fill(1, torch.tensor([97]), 1000.0))
    tokens = np.full(200_000, 97)
    code = coder.encode(model, tokens)
    assert len(tokens) <= coder.max_tokens(model, 4 * len(code))
    assert (coder.decode(model, code, len(tokens)) == tokens).all()


def test_another_run_is_refused(runs, packed, capsys):
    assert "was compressed with the run" in refusal(packed, runs["bpe-ar"], capsys)


def test_other_arithmetic_is_refused_before_decoding(runs, packed, capsys, monkeypatch):
    silu = torch.nn.functional.silu
    monkeypatch.setattr(torch.nn.functional, "silu", lambda x: silu(x) * (1 + 1e-6))
    monkeypatch.setattr(coder, "decode", lambda *_: pytest.fail("it decoded"))
    assert "another processor, or another version of torch" in refusal(packed, runs["byte-ar"], capsys)


def test_a_masked_run_is_refused(runs, tmp_path, capsys):
    original = tmp_path / "original"
    original.write_bytes(b"text")
    command = ["compress", str(original), "-o", str(tmp_path / "packed"), "--run", str(runs["bpe-mdm"].path)]
    assert main(command) == 2
    assert "compress with an autoregressive run" in capsys.readouterr().err


def test_missing_files_and_folders_are_named(runs, tmp_path, capsys):
    out = ["-o", str(tmp_path / "packed"), "--run"]
    assert main(["compress", str(tmp_path / "no"), *out, str(runs["byte-ar"].path)]) == 2
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "original").write_bytes(b"x")
    assert main(["compress", str(tmp_path / "original"), *out, str(tmp_path)]) == 2
    assert "is not a run's folder" in capsys.readouterr().err


def test_an_exact_run_that_does_not_read_from_left_to_right_is_refused(runs, texts, tmp_path, capsys, monkeypatch):
    """The attention of a plug-in may be causal and its likelihood exact, though it reads the text backwards."""
    monkeypatch.setattr(Autoregressive, "sampler", lambda _: AnyOrder())
    original, packed = tmp_path / "original", tmp_path / "packed"
    original.write_bytes(texts["like its training"])
    assert main(["compress", str(original), "-o", str(packed), "--run", str(runs["byte-ar"].path)]) == 2
    assert "does not read plain sequences from left to right" in capsys.readouterr().err
    assert not packed.exists()


@pytest.mark.parametrize("verb", ["compress", "decompress"])
def test_a_file_is_not_overwritten_by_its_own_output(runs, packed, capsys, verb):
    before = packed.read_bytes()
    assert main([verb, str(packed), "-o", str(packed), "--run", str(runs["byte-ar"].path)]) == 2
    assert "is what the command reads" in capsys.readouterr().err
    assert packed.read_bytes() == before
    assert main([verb, str(packed), "-o", ".", "--run", str(runs["byte-ar"].path)]) == 2
    assert capsys.readouterr().err.endswith("bytegap: . is a folder: name a file\n")
