"""Bits per byte of files: as the record of the run has them, by parts that add up; what is wrong in one sentence."""

import json
import unicodedata

import numpy as np
import pytest

from bytegap.cli import main
from bytegap.evaluate import classes, noise, valid
from bytegap.evaluate.score import score
from bytegap.likelihood import score_windows
from bytegap.records import CorpusManifest, RunRecord
from bytegap.shards import documents_of
from bytegap.store import Folder, read_record
from bytegap.trained import open_run
from bytegap.windows import Windows
from tests.finished import ARMS, finish

MIXED = "na\u00efve \u4e2d\u6587, 12 \u041c\u0438\u0440\n\U0001f600".encode() + b"\xff\xc3" + "e\u0301".encode()


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("evaluate"))[1]


@pytest.fixture(scope="module")
def bytes_alone(tmp_path_factory):
    """A study of bytes only: nothing else shortens its scoring windows."""
    arms = {arm: ARMS[arm] for arm in ("byte-ar", "byte-mdm")}
    return finish(tmp_path_factory.mktemp("alone"), arms)


def test_a_studys_test_text_scores_as_its_record_says(bytes_alone):
    folder, homes = bytes_alone
    corpus = read_record(folder.corpus_manifest, CorpusManifest, "corpus")
    texts = list(documents_of(folder.corpus, corpus.splits["test"]))
    trained = open_run(homes["byte-ar"])
    assert not any(len(text) % trained.row_symbols == 0 for text in texts), "else EOS would begin a row of its own"
    record = read_record(homes["byte-ar"] / "record.json", RunRecord, "train")
    assert sum(score(trained, text, 1).nats for text in texts) == pytest.approx(record.test.nats, rel=1e-9)
    masked = open_run(homes["byte-mdm"])
    record = read_record(homes["byte-mdm"] / "record.json", RunRecord, "train")
    scored = [score(masked, text, 64) for text in texts]
    apart = sum(own.nats for own in scored) - record.test.nats
    error = (record.test.nats_se**2 + sum((own.pass_nats.std(ddof=1) / 8) ** 2 for own in scored)) ** 0.5
    assert abs(apart) < 4 * error
    assert error < 0.05 * record.test.nats


@pytest.mark.parametrize("arm", list(ARMS))
def test_the_parts_add_up(homes, arm):
    trained = open_run(homes[arm])
    text = MIXED * 9
    own = score(trained, text, 8)
    assert own.nats == pytest.approx(own.byte_nats.sum() + own.eos_nats, rel=1e-9)
    assert len(own.byte_nats) == len(text)
    symbols = np.append(trained.tokenizer.encode_batch([text])[0], trained.vocabulary.eos)
    S = trained.row_symbols
    counts = np.array([len(symbols[start : start + S]) for start in range(0, len(symbols), S)])
    whole = score_windows(
        trained,
        trained.objective,
        trained.options,
        Windows(symbols, counts, len(text), ""),
        trained.vocabulary,
        passes=8,
        seed=trained.seed,
        permute=lambda symbols, _: symbols,
    )
    assert own.nats == pytest.approx(whole.nats, rel=1e-9)
    assert own.se == pytest.approx(whole.bpb_se, rel=1e-6)
    assert (own.se == 0) == trained.objective.EXACT


def test_json_is_one_document(homes, tmp_path, capsys):
    (tmp_path / "one").write_bytes(MIXED)
    (tmp_path / "two").write_bytes(b"the people " * 40)
    files = [str(tmp_path / "one"), str(tmp_path / "two")]
    flags = ["--json", "--noise", "0.1", "--samples", "2"]
    assert main(["evaluate", str(homes["byte-mdm"]), *files, *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [own["file"] for own in found["files"]] == files
    assert [own["bytes"] for own in found["files"]] == [len(MIXED), 440]
    bits = [own["bits_per_byte"] * own["bytes"] for own in found["files"]]
    assert found["total"]["bits_per_byte"] * found["total"]["bytes"] == pytest.approx(sum(bits))
    assert found["total"]["se"] > 0
    for name in ("script", "place"):
        parts = found[name].values()
        assert sum(part["bytes"] for part in parts) == found["total"]["bytes"]
        all_bits = sum(part["bits_per_byte"] * part["bytes"] for part in parts) + found["total"]["eos_bits"]
        assert all_bits == pytest.approx(sum(bits))
    for way in noise.WAYS:
        assert found["noise"][way]["lost"] == pytest.approx(
            found["noise"][way]["bits_per_byte"] - found["total"]["bits_per_byte"]
        )
    assert found["noise"]["worth_at_most"] == pytest.approx(0.4690, abs=1e-4)
    assert found["samples"]["texts"] == 2


def test_classes_are_those_of_each_code_point():
    script, place = classes.by_script(MIXED), classes.by_place(MIXED)
    expected_script, expected_place = [], []
    for point in MIXED.decode("utf-8", "surrogateescape"):
        size = len(point.encode("utf-8", "surrogateescape"))
        stray = 0xDC80 <= ord(point) <= 0xDCFF
        expected_place += ["not UTF-8"] if stray else ["ASCII"] if size == 1 else ["first", *["further"] * (size - 1)]
        name = "not UTF-8" if stray else "space" if point.isspace() else unicodedata.name(point).split()[0].lower()
        names = {"digit": "digit", "comma": "punctuation", "combining": "mark", "grinning": "symbol"}
        expected_script += [names.get(name, name)] * size
    assert script.tolist() == expected_script
    assert place.tolist() == expected_place
    assert {"latin", "cjk", "cyrillic", "mark"} <= set(script.tolist())
    assert len(classes.by_script(b"")) == len(classes.by_place(b"")) == 0


def test_noise_does_what_it_says():
    text = MIXED * 500
    dropped = noise.spoilt(text, "dropped", 0.1, 0)
    assert 0.08 < 1 - len(dropped) / len(text) < 0.12
    rest = iter(text)
    assert all(byte in rest for byte in dropped), "what is left is in order"
    swapped = noise.spoilt(text, "swapped", 0.1, 0)
    assert sorted(swapped) == sorted(text)
    moved = np.flatnonzero(np.frombuffer(swapped, np.uint8) != np.frombuffer(text, np.uint8))
    assert 0.1 < len(moved) / len(text) < 0.2
    recased = noise.spoilt(text, "recased", 0.1, 0)
    assert recased != text
    assert recased.lower() == text.lower()


def test_what_is_no_utf8_is_counted():
    assert valid._stray(MIXED) == 2
    assert valid._stray("\u4e2d".encode()[:2]) == 0, "cut by the end"
    assert valid._stray(b"\x80\x80") == 2
    assert valid._stray(b"") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}"], "name the files to score"),
        (["{run}", "{home}/none"], "none: No such file"),
        (["{run}", "{home}/empty"], "empty is empty"),
        (["{run}", "{home}"], "Is a directory"),
        (["{home}", "{home}/text"], "is no run's folder"),
        (["{run}", "{home}/text", "--context", "5"], "leave it out"),
        (["hf:{home}/none", "{home}/text"], "none"),
        (["{masked}", "{home}/text", "--passes", "1"], "ask for 2 or more"),
    ],
)
def test_what_is_wrong_is_one_sentence(homes, tmp_path, capsys, arguments, said):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"text")
    runs = {"run": homes["byte-ar"], "masked": homes["byte-mdm"]}
    given = [part.format(**runs, home=tmp_path) for part in arguments]
    assert main(["evaluate", *given]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_symbols_made_anew_are_told(tmp_path, capsys):
    folder, homes = finish(tmp_path, {"bpe-ar": ARMS["bpe-ar"]})
    manifest = folder.tokens_of("bpe") / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"escaped_bytes": 0', '"escaped_bytes": 1').split(',\n "checksum"')[0] + "}"
    )
    (tmp_path / "given").write_bytes(b"text")
    assert main(["evaluate", str(homes["bpe-ar"]), str(tmp_path / "given")]) == 2
    assert "were made anew after it was trained" in capsys.readouterr().err
    assert isinstance(folder, Folder)
