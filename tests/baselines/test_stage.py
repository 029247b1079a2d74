"""Baselines of a study's test windows and of files: what is packed is exactly that text, and it is packed once."""

import json
import sys
import zlib

import pytest

from bytegap.baselines import stage as baselines
from bytegap.baselines.compressors import COMPRESSORS
from bytegap.cli.main import main
from bytegap.data import prepare as corpus
from bytegap.data import tokenize as tokens
from bytegap.errors import EvaluateError, MissingExtraError, StudyDirError
from bytegap.io.records import read_record
from bytegap.schema.data import WindowsManifest
from bytegap.schema.evaluate import Baselines
from bytegap.study.directory import BASELINES
from tests.helpers.tiny_study import opened

FEW = ("gzip -9", "bzip2 -9", "PPMd o6")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("baselines")
    study, study_dir = opened(home)
    corpus.run(study, study_dir)
    tokens.run(study, study_dir)
    return home


@pytest.fixture(scope="module")
def made(home):
    """The record, by the command line."""
    assert main(["baselines", str(home / "tiny.toml"), "--out", str(home / "out")]) == 0
    return read_record(home / "out" / "tiny" / "baselines.json", Baselines, "evaluate")


def of(made, name, what, *, primed):
    (one,) = [
        each for each in made.compressed if (each.compressor, each.scope, each.prime_bytes > 0) == (name, what, primed)
    ]
    return one


def test_every_compressor_packs_windows_and_text(home, made):
    split = read_record(home / "out" / "tiny" / "tokens" / "windows.json", WindowsManifest, "tokens").splits["test"]
    assert (made.windows, made.bytes, made.windows_sha256) == (split.windows, split.bytes, split.sha256)
    expected = {
        (name, what, primed) for name in COMPRESSORS for what in ("windows", "text") for primed in (False, True)
    }
    expected -= {("bzip2 -9", what, True) for what in ("windows", "text")}
    assert {(each.compressor, each.scope, each.prime_bytes > 0) for each in made.compressed} == expected
    assert all(each.bpb == pytest.approx(8 * each.bytes / made.bytes) for each in made.compressed)
    assert set(made.versions) == {"zlib", "brotli", "pyppmd", "zstandard"}


def test_sizes_are_those_of_the_split_files(home, made):
    """Packed here again, from the corpus and the windows' ends as they lie on disk."""
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
        together, all_of_it = (of(made, name, "text", primed=primed).bpb for primed in (False, True))
        assert alone > primed > all_of_it
        assert alone > together > all_of_it


def test_baselines_are_current_until_the_windows_change(home, made, monkeypatch, capsys):
    given = ["baselines", str(home / "tiny.toml"), "--json", "--out", str(home / "out")]
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
    study, study_dir = opened(tmp_path)
    corpus.run(study, study_dir)
    tokens.run(study, study_dir)
    text = study_dir.corpus_dir / "test.bin"
    text.write_bytes(text.read_bytes()[::-1])
    with pytest.raises(StudyDirError, match="checksum differs from its manifest"):
        baselines.of_study(study_dir)
    assert not study_dir.path(BASELINES).exists()


def test_files_are_compressed_as_one_stream(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(baselines, "COMPRESSORS", {name: COMPRESSORS[name] for name in FEW})
    files = [tmp_path / "one.txt", tmp_path / "two"]
    for file, text in zip(files, (b"one two " * 400, bytes(range(256)) * 3), strict=True):
        file.write_bytes(text)
    assert main(["baselines", "--json", *map(str, files)]) == 0
    found = json.loads(capsys.readouterr().out)["files"]
    assert [each["file"] for each in found] == list(map(str, files))
    for file, each in zip(files, found, strict=True):
        sizes = {one["compressor"]: (one["bytes"], one["bpb"]) for one in each["compressed"]}
        packed = {name: len(COMPRESSORS[name].file(file.read_bytes())) for name in FEW}
        assert sizes == {name: (size, 8 * size / each["bytes"]) for name, size in packed.items()}
    assert main(["baselines", str(files[0])]) == 0
    shown = capsys.readouterr().out
    assert "3,200 bytes" in shown
    assert all(name in shown for name in FEW)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{home}/none"], "none: no such file or directory: name a file"),
        (["{home}"], "is a directory"),
        (["{home}/empty"], "empty is empty"),
        (["{home}/none.toml"], "no such study file"),
        (["{home}/tiny.toml", "{home}/empty"], "takes one study or any files"),
        (["{home}/tiny.toml", "--out", "{home}/none"], "run 'bytegap tokenize' first"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, capsys, arguments, said):
    opened(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    assert main(["baselines", *(part.format(home=tmp_path) for part in arguments)]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_a_study_without_windows_is_refused_with_the_verb(tmp_path):
    study, study_dir = opened(tmp_path)
    corpus.run(study, study_dir)
    with pytest.raises(StudyDirError, match="run 'bytegap tokenize' first"):
        baselines.of_study(study_dir)


@pytest.mark.parametrize("package", ["brotli", "pyppmd", "zstandard"])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, package):
    (tmp_path / "text").write_bytes(b"text")
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"'{package}', which is not installed: pip install 'bytegap\[baselines\]'"
    with pytest.raises(MissingExtraError, match=message):
        baselines.of_files([tmp_path / "text"])


def out_of_memory(*_):
    raise MemoryError


def test_too_large_a_text_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "text").write_bytes(b"text")
    monkeypatch.setattr(baselines, "_compress_file", out_of_memory)
    with pytest.raises(EvaluateError, match="not enough memory"):
        baselines.of_files([tmp_path / "text"])
