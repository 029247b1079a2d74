"""What goes in comes out, at the size that the likelihood says; what is damaged or of another run is told."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bytegap.cli import main
from bytegap.codec import coder
from bytegap.codec.container import CODED, STORED, unpack
from bytegap.corpus import stage as corpus
from bytegap.likelihood import symbol_nats
from bytegap.plan import stage as plan
from bytegap.records import Plan
from bytegap.store import Folder, read_record
from bytegap.study import load
from bytegap.tokens import stage as tokens
from bytegap.train.run import train_run
from bytegap.trained import open_run
from bytegap.windows import Windows
from tests.tiny import STUDY, write_study, write_text

BPE = STUDY.replace(
    '[arms.bpe-mdm]\ntokens = "bpe"\nobjective = "mdm"', '[arms.bpe-ar]\ntokens = "bpe"\nobjective = "ar"'
)
MASKED = STUDY[STUDY.index("[arms.bpe-mdm]") : STUDY.index("[grid]")].replace("[1e10]", "[1e9]")


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Of each arm, the folder of a run."""
    home = tmp_path_factory.mktemp("codec")
    write_study(home, BPE.replace("[1e10]", "[3e9]").replace("[grid]", MASKED + "[grid]"))
    study, folder = load(home / "tiny.toml"), Folder(home / "out" / "tiny")
    corpus.run(study, folder)
    tokens.run(study, folder)
    plan.run(study, folder)
    first = {}
    for spec in read_record(folder.plan, Plan, "plan").runs:
        first.setdefault(spec.arm, spec)
    for spec in first.values():
        train_run(spec, folder, lambda *_: None)
    return {arm: folder.run(spec.id) for arm, spec in first.items()}


NAMES = ("like its training", "short", "empty", "not UTF-8", "random", "zeros")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    home = tmp_path_factory.mktemp("texts")
    write_text(home, documents=4)
    like = b"".join(path.read_bytes() for path in sorted(home.iterdir())) + "na\u00efve \u4e2d\u6587".encode()
    noise = np.random.default_rng(0).bytes(5000)
    return dict(zip(NAMES, (like, b"a", b"", bytes(range(256)) * 3, noise, bytes(3000)), strict=True))


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-ar"])
@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_come_back(homes, texts, tmp_path, arm, name):
    text, home = texts[name], str(homes[arm])
    given, packed, back = (tmp_path / each for each in ("given", "packed", "back"))
    given.write_bytes(text)
    assert main(["compress", str(given), "-o", str(packed), "--run", home]) == 0
    assert main(["decompress", str(packed), "-o", str(back), "--run", home]) == 0
    assert back.read_bytes() == text
    assert packed.stat().st_size <= len(text) + 64
    assert packed.stat().st_size <= 1.005 * nats(homes[arm], text) / np.log(2) / 8 + 64


def nats(home, text):
    """What the likelihood says of the same symbols in the same rows, by whole rows at once."""
    trained = open_run(home)
    symbols = trained.tokenizer.encode_batch([text])[0]
    S = trained.row_symbols
    counts = np.array([min(S, len(symbols) - start) for start in range(0, len(symbols), S)], np.int64)
    if not len(symbols):
        return 0.0
    windows = Windows(symbols, counts, len(text), "")
    own, _ = symbol_nats(trained, trained.objective, trained.options, windows, trained.vocabulary, passes=1, seed=0)
    return float(own.sum())


def test_a_text_that_would_grow_is_held_as_it_is(homes, texts, tmp_path):
    for name, held in (("random", STORED), ("like its training", CODED)):
        given, packed = tmp_path / "given", tmp_path / "packed"
        given.write_bytes(texts[name])
        assert main(["compress", str(given), "-o", str(packed), "--run", str(homes["byte-ar"])]) == 0
        assert unpack(packed, packed.read_bytes())[0].held == held


@pytest.fixture
def packed(homes, texts, tmp_path):
    given, packed = tmp_path / "given", tmp_path / "packed"
    given.write_bytes(texts["like its training"])
    assert main(["compress", str(given), "-o", str(packed), "--run", str(homes["byte-ar"])]) == 0
    return packed


def refused(packed, home, capsys):
    back = packed.with_name("back")
    capsys.readouterr()
    assert main(["decompress", str(packed), "-o", str(back), "--run", str(home)]) == 2
    assert not back.exists()
    return capsys.readouterr().err


def test_every_flipped_byte_is_noticed(homes, packed, capsys):
    data = packed.read_bytes()
    for place in [*range(44), *range(44, len(data), max(1, len(data) // 12))]:
        packed.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        assert "packed" in refused(packed, homes["byte-ar"], capsys)
    for length in (0, 3, 20, 44, len(data) - 4, len(data) - 1):
        packed.write_bytes(data[:length])
        assert "packed" in refused(packed, homes["byte-ar"], capsys)


def test_a_lying_header_takes_no_memory(homes, packed, capsys):
    header, code = unpack(packed, packed.read_bytes())
    packed.write_bytes(replace(header, symbols=2**47, length_bytes=2**47).packed() + code)
    assert "does not end where it should" in refused(packed, homes["byte-ar"], capsys)


def test_what_is_sure_is_coded_in_as_good_as_no_bits(homes):
    trained = open_run(homes["byte-ar"])
    trained.network.lm_head.weight.data.zero_()
    trained.network.register_forward_hook(lambda *call: call[2].index_fill(1, torch.tensor([97]), 1000.0))
    symbols = np.full(200_000, 97)
    code = coder.encode(trained, symbols)
    assert len(symbols) <= coder.most_symbols(trained, 4 * len(code))
    assert (coder.decode(trained, code, len(symbols)) == symbols).all()


def test_another_run_is_told(homes, packed, capsys):
    assert "was compressed by the run" in refused(packed, homes["bpe-ar"], capsys)


def test_another_arithmetic_is_told_before_it_is_tried(homes, packed, capsys, monkeypatch):
    first = torch.nn.functional.silu
    monkeypatch.setattr(torch.nn.functional, "silu", lambda x: first(x) * (1 + 1e-6))
    monkeypatch.setattr(coder, "decode", lambda *_: pytest.fail("it was tried"))
    assert "another processor, or another version of torch" in refused(packed, homes["byte-ar"], capsys)


def test_a_masked_run_is_refused(homes, tmp_path, capsys):
    given = tmp_path / "given"
    given.write_bytes(b"text")
    run = str(homes["bpe-mdm"])
    assert main(["compress", str(given), "-o", str(tmp_path / "packed"), "--run", run]) == 2
    assert "only an autoregressive run" in capsys.readouterr().err


def test_missing_files_are_told(homes, tmp_path, capsys):
    run = str(homes["byte-ar"])
    assert main(["compress", str(tmp_path / "no"), "-o", str(tmp_path / "packed"), "--run", run]) == 2
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "given").write_bytes(b"x")
    assert main(["compress", str(tmp_path / "given"), "-o", str(tmp_path / "packed"), "--run", str(tmp_path)]) == 2
    assert "is no run's folder" in capsys.readouterr().err
