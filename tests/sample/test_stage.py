"""What a person sees of a draw: the prompt and what follows, gaps filled, the same for the same seed."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from bytegap.cli import main
from bytegap.records import RunSpec
from bytegap.samplers._base import text_of
from bytegap.store import read_record, write_record
from tests.finished import ARMS, finish


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("sample"))[1]


@pytest.fixture
def sample(homes, capfdbinary):
    def drawn(arm, *flags):
        assert main(["sample", str(homes[arm]), *flags]) == 0
        return capfdbinary.readouterr().out

    return drawn


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm.startswith("byte")])
def test_a_prompt_is_gone_on_from(sample, arm):
    text = sample(arm, "--prompt", "the people", "--symbols", "20")
    assert text.startswith(b"the people")
    assert len(text) <= 30
    assert text == sample(arm, "--prompt", "the people", "--symbols", "20")
    assert text != sample(arm, "--prompt", "the people", "--symbols", "20", "--seed", "1")


def test_symbols_of_any_kind_are_shown_as_their_bytes(sample):
    assert sample("bpe-ar", "--prompt", "na\u00efve ").startswith("na\u00efve ".encode())
    assert sample("bpe-mdm", "--prompt", "the ", "--steps", "3").startswith(b"the ")


@pytest.mark.parametrize("arm", ["bpe-ar", "byte-mdm"])
def test_an_export_draws_what_its_run_draws(homes, sample, tmp_path, capfdbinary, arm):
    assert main(["export", str(homes[arm]), "--out", str(tmp_path / "made")]) == 0
    capfdbinary.readouterr()
    assert main(["sample", f"hf:{tmp_path / 'made'}", "--prompt", "the "]) == 0
    assert capfdbinary.readouterr().out == sample(arm, "--prompt", "the ")


def test_what_is_no_text_has_no_bytes():
    """Special symbols, rows of the head beyond the vocabulary, and what is hidden, -1 in a model without MASK."""
    vocabulary = SimpleNamespace(mask=-1)
    trained = SimpleNamespace(tokenizer=SimpleNamespace(symbol_bytes=[b"a", b"", b"bc"]), vocabulary=vocabulary)
    assert text_of(trained, torch.tensor([0, 1, 2, 3, 9, -1])) == b"abc"
    vocabulary.mask = 1
    assert text_of(trained, torch.tensor([0, 1, 2]), "?") == b"a?bc"


def test_several_texts_differ(sample):
    one, other = sample("byte-mdm", "--count", "2", "--symbols", "12", "--steps", "4").split(b"\n\n")[:2]
    assert one != other


@pytest.mark.parametrize("arm", ["byte-mdm", "byte-anyorder"])
def test_gaps_are_filled_where_they_are(sample, arm):
    text = sample(arm, "--infill", "The ____ of")
    assert text[:4] == b"The "
    assert text[-3:] == b" of"
    assert len(text) <= 11


def test_a_reader_who_has_seen_enough_is_no_fault(homes):
    words = ["sample", str(homes["byte-ar"]), "--count", "1000"]
    with subprocess.Popen(
        [sys.executable, "-m", "bytegap", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        told = process.stderr.read()
    assert b"Error" not in told
    assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("arm", "flags", "said"),
    [
        ("byte-ar", ["--infill", "a _ b"], "cannot fill a gap"),
        ("byte-block", ["--infill", "a _ b"], "cannot fill a gap"),
        ("byte-mdm", ["--infill", "nothing"], "nothing to fill in: write _"),
        ("byte-mdm", ["--symbols", "97"], "a row of byte-mdm"),
        ("byte-mdm", ["--prompt", "x" * 96], "the prompt is 96 symbols and a row holds 96: shorten it"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(homes, capsys, arm, flags, said):
    assert main(["sample", str(homes[arm]), *flags]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_of_a_changed_order_nothing_is_drawn(homes, tmp_path, capsys):
    spec = read_record(homes["byte-ar"] / "spec.json", RunSpec, "train")
    write_record(tmp_path / "spec.json", spec.model_copy(update={"order": "reverse"}))
    assert main(["sample", str(tmp_path)]) == 2
    assert "was trained on text in the order 'reverse'" in capsys.readouterr().err
