"""Baselines of a study's test windows and of files: what is packed is exactly that text, and it is packed once."""

import json
import sys
import zlib

import pytest

from bytegap.cli import main
from bytegap.corpus import stage as corpus
from bytegap.errors import EvaluateError, StoreError
from bytegap.evaluate import baselines
from bytegap.evaluate.compressors import COMPRESSORS
from bytegap.records import Baselines, WindowsManifest
from bytegap.store import read_record
from bytegap.tokens import stage as tokens
from tests.tiny import opened

FEW = ("gzip -9", "bzip2 -9", "PPMd o6")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("baselines")
    study, folder = opened(home)
    corpus.run(study, folder)
    tokens.run(study, folder)
    return home


@pytest.fixture(scope="module")
def made(home):
    """The record, by the command line."""
    assert main(["evaluate", str(home / "tiny.toml"), "--baselines", "--out", str(home / "out")]) == 0
    return read_record(home / "out" / "tiny" / "baselines.json", Baselines, "evaluate")


def of(made, name, what, *, primed):
    (one,) = [
        each for each in made.compressed if (each.compressor, each.of, each.prime_bytes > 0) == (name, what, primed)
    ]
    return one


def test_every_compressor_packs_windows_and_text(home, made):
    split = read_record(home / "out" / "tiny" / "tokens" / "windows.json", WindowsManifest, "tokens").splits["test"]
    assert (made.windows, made.bytes, made.windows_sha256) == (split.windows, split.bytes, split.sha256)
    expected = {
        (name, what, primed) for name in COMPRESSORS for what in ("windows", "text") for primed in (False, True)
    }
    expected -= {("bzip2 -9", what, True) for what in ("windows", "text")}
    assert {(each.compressor, each.of, each.prime_bytes > 0) for each in made.compressed} == expected
    assert all(each.bpb == pytest.approx(8 * each.bytes / made.bytes) for each in made.compressed)
    assert set(made.versions) == {"zlib", "brotli", "pyppmd", "zstandard"}


def test_sizes_are_those_of_the_split_files(home, made):
    """Packed here anew, from the corpus and the windows' ends as they lie on disk."""
    out = home / "out" / "tiny"
    text, train = (out / "corpus" / "test.bin").read_bytes(), (out / "corpus" / "train.bin").read_bytes()
    ends = memoryview((out / "tokens" / "windows" / "test.ends").read_bytes()).cast("Q").tolist()
    assert ends[-1] == len(text)
    windows = [text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    def deflated(window, *prime):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, *prime)
        return len(packer.compress(window) + packer.flush())

    assert of(made, "gzip -9", "windows", primed=False).bytes == sum(map(deflated, windows))
    prime = train[-(32 << 10) :]
    assert of(made, "gzip -9", "windows", primed=True).bytes == sum(deflated(window, prime) for window in windows)
    assert of(made, "gzip -9", "windows", primed=True).prime_bytes == len(prime)
    assert of(made, "gzip -9", "text", primed=False).bytes == deflated(text) + 18
    assert of(made, "PPMd o6", "windows", primed=True).prime_bytes == len(train)


def test_knowing_more_helps(made):
    for name in FEW[::2]:
        alone, primed = (of(made, name, "windows", primed=primed).bpb for primed in (False, True))
        whole, all_of_it = (of(made, name, "text", primed=primed).bpb for primed in (False, True))
        assert alone > primed > all_of_it
        assert alone > whole > all_of_it


def test_it_stands_until_the_windows_change(home, made, monkeypatch, capsys):
    given = ["evaluate", str(home / "tiny.toml"), "--baselines", "--json", "--out", str(home / "out")]
    assert main(given) == 0
    shown = capsys.readouterr()
    assert "up to date" in shown.err
    assert Baselines.model_validate(json.loads(shown.out)) == made
    monkeypatch.setattr(baselines, "COMPRESSORS", {name: COMPRESSORS[name] for name in FEW})
    assert main(given) == 0
    shown = capsys.readouterr()
    assert "an input changed" in shown.err
    assert {each["compressor"] for each in json.loads(shown.out)["compressed"]} == set(FEW)


def test_windows_of_another_text_are_refused(tmp_path):
    study, folder = opened(tmp_path)
    corpus.run(study, folder)
    tokens.run(study, folder)
    text = folder.corpus / "test.bin"
    text.write_bytes(text.read_bytes()[::-1])
    with pytest.raises(StoreError, match="is not of the text in"):
        baselines.of_study(folder)
    assert not folder.baselines.exists()


def test_files_are_packed_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(baselines, "COMPRESSORS", {name: COMPRESSORS[name] for name in FEW})
    files = [tmp_path / "one.txt", tmp_path / "two"]
    for file, text in zip(files, (b"one two " * 400, bytes(range(256)) * 3), strict=True):
        file.write_bytes(text)
    assert main(["evaluate", "--baselines", "--json", *map(str, files)]) == 0
    found = json.loads(capsys.readouterr().out)["files"]
    assert [each["file"] for each in found] == list(map(str, files))
    for file, each in zip(files, found, strict=True):
        sizes = {one["compressor"]: (one["bytes"], one["bpb"]) for one in each["compressed"]}
        packed = {name: len(COMPRESSORS[name].file(file.read_bytes())) for name in FEW}
        assert sizes == {name: (size, 8 * size / each["bytes"]) for name, size in packed.items()}
    assert main(["evaluate", "--baselines", str(files[0])]) == 0
    shown = capsys.readouterr().out
    assert "3,200 bytes" in shown
    assert all(name in shown for name in FEW)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "evaluate needs a model and files"),
        (["--baselines"], "name a STUDY.toml"),
        (["--baselines", "{home}/none"], "none: no such file or directory: name a file"),
        (["--baselines", "{home}"], "is a directory"),
        (["--baselines", "{home}/empty"], "empty is empty"),
        (["--baselines", "{home}/none.toml"], "no such study file"),
        (["--baselines", "{home}/tiny.toml", "{home}/empty"], "name no files beside it"),
        (["--baselines", "{home}/tiny.toml", "--out", "{home}/none"], "run 'bytegap corpus' first"),
        (["--baselines", "{home}/tiny.toml", "--passes", "8"], "are a model's"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, capsys, arguments, said):
    opened(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    assert main(["evaluate", *(part.format(home=tmp_path) for part in arguments)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_study_without_windows_is_told_the_verb(tmp_path):
    study, folder = opened(tmp_path)
    corpus.run(study, folder)
    with pytest.raises(StoreError, match="run 'bytegap tokens' first"):
        baselines.of_study(folder)


@pytest.mark.parametrize("package", ["brotli", "pyppmd", "zstandard"])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, package):
    (tmp_path / "text").write_bytes(b"text")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EvaluateError, match=rf"{package}, which is not installed: pip install 'bytegap\[baselines\]'"):
        baselines.of_files([tmp_path / "text"])


def out_of_memory(*_):
    raise MemoryError


def test_too_large_a_text_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "text").write_bytes(b"text")
    monkeypatch.setattr(baselines, "_of_file", out_of_memory)
    with pytest.raises(EvaluateError, match="not enough memory"):
        baselines.of_files([tmp_path / "text"])
