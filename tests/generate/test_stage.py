"""The verb `generate`: prompts continued, gaps filled, the same text for the same seed, errors in one sentence."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from bytegap.cli.main import main
from bytegap.lm.language_model import LanguageModel
from bytegap.study.directory import SPEC, RunDir
from tests.helpers.finished_runs import ARMS


@pytest.fixture
def generate(finished_study, capfdbinary):
    def generated(arm, *flags):
        assert main(["generate", str(finished_study[1][arm].path), *flags]) == 0
        text = capfdbinary.readouterr().out
        assert text.endswith(b"\n"), "or the log would follow on the same line"
        return text[:-1]

    return generated


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm.startswith("byte")])
def test_a_prompt_is_continued_and_the_seed_fixes_the_text(generate, arm):
    text = generate(arm, "--prompt", "the people", "--max-new-tokens", "20")
    assert text.startswith(b"the people")
    assert len(text) <= 30
    assert text == generate(arm, "--prompt", "the people", "--max-new-tokens", "20")
    assert text != generate(arm, "--prompt", "the people", "--max-new-tokens", "20", "--seed", "1")


def test_tokens_of_several_bytes_are_printed_as_their_bytes(generate):
    assert generate("bpe-ar", "--prompt", "na\u00efve ").startswith("na\u00efve ".encode())
    assert generate("bpe-mdm", "--prompt", "the ", "--steps", "3").startswith(b"the ")


@pytest.mark.parametrize("arm", ["bpe-ar", "byte-mdm"])
def test_an_export_generates_what_its_run_does(finished_study, generate, tmp_path, capfdbinary, arm):
    assert main(["export", str(finished_study[1][arm].path), "--out", str(tmp_path / "made")]) == 0
    capfdbinary.readouterr()
    assert main(["generate", f"hf:{tmp_path / 'made'}", "--prompt", "the "]) == 0
    assert capfdbinary.readouterr().out == generate(arm, "--prompt", "the ") + b"\n"


def test_decode_gives_no_bytes_to_ids_that_stand_for_no_text():
    """Special tokens, ids of the head beyond the vocabulary, and MASK, which is -1 in a model without one."""
    vocabulary = SimpleNamespace(mask=-1)
    tokenizer = SimpleNamespace(token_bytes=[b"a", b"", b"bc"])
    model = LanguageModel("toy", torch.nn.Linear(1, 1), None, vocabulary, tokenizer, seq_len=1)
    assert model.decode(torch.tensor([0, 1, 2, 3, 9, -1])) == b"abc"
    vocabulary.mask = 1
    assert model.decode(torch.tensor([0, 1, 2]), "?") == b"a?bc"


def test_samples_differ_and_an_empty_line_is_between_them(generate):
    flags = ["--max-new-tokens", "12", "--steps", "4"]
    first, both = (generate("byte-mdm", *flags, "--num-samples", count) for count in "12")
    assert both.startswith(first + b"\n\n")
    assert both[len(first) + 2 :] != first


@pytest.mark.parametrize("arm", ["byte-mdm", "byte-anyorder"])
def test_gaps_are_filled_where_they_are(generate, arm):
    text = generate(arm, "--infill", "The ____ of")
    assert text[:4] == b"The "
    assert text[-3:] == b" of"
    assert len(text) <= 11


def test_a_reader_that_closes_the_pipe_ends_the_process_by_sigpipe(finished_study):
    command = ["generate", str(finished_study[1]["byte-ar"].path), "--num-samples", "1000"]
    with subprocess.Popen(
        [sys.executable, "-m", "bytegap", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        printed = process.stderr.read()
    assert b"Error" not in printed
    assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("arm", "flags", "message"),
    [
        ("byte-ar", ["--infill", "a _ b"], "cannot fill a gap"),
        ("byte-block", ["--infill", "a _ b"], "cannot fill a gap"),
        ("byte-mdm", ["--infill", "nothing"], "nothing to fill in: write _"),
        ("byte-mdm", ["--max-new-tokens", "97"], "a sequence of byte-mdm"),
        ("byte-mdm", ["--prompt", "ab", "--infill", "abc_"], "--prompt has no effect with --infill"),
        ("byte-mdm", ["--max-new-tokens", "3", "--infill", "abc_"], "--max-new-tokens has no effect with --infill"),
        ("byte-ar", ["--steps", "4"], "--steps 4 has no effect on byte-ar"),
        ("byte-anyorder", ["--remasking", "ancestral"], "--remasking ancestral has no effect on byte-anyorder"),
        ("byte-mdm", ["--prompt", "x" * 96], "the prompt has 96 tokens and a sequence of byte-mdm"),
    ],
)
def test_an_error_is_one_sentence(finished_study, capsys, arm, flags, message):
    assert main(["generate", str(finished_study[1][arm].path), *flags]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_run_on_permuted_text_is_refused(finished_study, tmp_path, capsys):
    spec = finished_study[1]["byte-ar"].spec()
    (tmp_path / "tokens").mkdir()
    run = RunDir(tmp_path / "runs" / spec.id)
    run.write(SPEC, spec.model_copy(update={"permutation": "reverse"}))
    assert main(["generate", str(run.path)]) == 2
    assert "was trained on text permuted by 'reverse'" in capsys.readouterr().err
