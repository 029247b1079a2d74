"""The verb `evaluate`: its JSON, whose parts add up, and its errors in one sentence."""

import json

import pytest

from bytegap.cli.main import main
from bytegap.evaluate.corruption import CORRUPTIONS
from tests.evaluate.texts import MIXED
from tests.helpers.finished_runs import ARMS, finish


def test_json_is_one_document_whose_parts_add_up(finished_study, tmp_path, capsys):
    (tmp_path / "one").write_bytes(MIXED)
    (tmp_path / "two").write_bytes(b"the people " * 40)
    files = [str(tmp_path / "one"), str(tmp_path / "two")]
    flags = ["--json", "--corrupt", "0.1", "--samples", "2"]
    assert main(["evaluate", str(finished_study[1]["byte-mdm"].path), *files, *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    total = found["total"]
    assert [own["file"] for own in found["files"]] == files
    assert [own["bytes"] for own in found["files"]] == [len(MIXED), 440]
    bits = sum(own["bits_per_byte"] * own["bytes"] for own in found["files"])
    assert total["bits_per_byte"] * total["bytes"] == pytest.approx(bits)
    assert total["se"] > 0
    for classes in (found["by_script"].values(), found["by_utf8_role"].values()):
        assert sum(own["bytes"] for own in classes) == total["bytes"]
        class_bits = sum(own["bits_per_byte"] * own["bytes"] for own in classes)
        assert class_bits + total["eos_bits"] == pytest.approx(bits)
    assert set(found["corruption"]["scores"]) == set(CORRUPTIONS)
    for own in found["corruption"]["scores"].values():
        assert own["increase"] == pytest.approx(own["bits_per_byte"] - total["bits_per_byte"])
    assert found["corruption"]["entropy"] == pytest.approx(0.4690, abs=1e-4)
    assert found["samples"]["texts"] == 2


def test_without_json_tables_have_the_same_numbers(finished_study, tmp_path, capsys):
    (tmp_path / "text").write_bytes(MIXED)
    command = ["evaluate", str(finished_study[1]["byte-ar"].path), str(tmp_path / "text"), "--corrupt", "0.1"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main([*command, "--samples", "1"]) == 0
    shown = capsys.readouterr().out
    for own in (found["total"], *found["by_script"].values(), *found["corruption"]["scores"].values()):
        assert f"{own['bits_per_byte']:.4f}" in shown
    assert "exact" in shown
    assert "1 texts generated" in shown


@pytest.mark.parametrize("likelihood", ["confidence", "orders:2"])
def test_another_likelihood_is_named_and_its_parts_add_up(finished_study, tmp_path, capsys, likelihood):
    (tmp_path / "text").write_bytes(MIXED)
    command = ["evaluate", str(finished_study[1]["bpe-mdm"].path), str(tmp_path / "text"), "--likelihood", likelihood]
    assert main([*command, "--json", "--length-mass", "20"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["likelihood"] == likelihood
    assert (found["exact"], found["mc_passes"]) == ((True, 1) if likelihood == "confidence" else (False, 2))
    assert (found["total"]["se"] == 0) == (likelihood == "confidence")
    bits = found["total"]["bits_per_byte"] * found["total"]["bytes"]
    class_bits = sum(own["bits_per_byte"] * own["bytes"] for own in found["by_utf8_role"].values())
    assert class_bits + found["total"]["eos_bits"] == pytest.approx(bits)
    assert found["length_mass"]["bytes"] == 20
    assert found["length_mass"]["log_mass"] < 1
    assert main(command) == 0
    assert f"({likelihood})" in capsys.readouterr().out


def test_the_mass_of_one_byte_is_said_in_words(finished_study, tmp_path, capsys):
    (tmp_path / "text").write_bytes(MIXED)
    run = str(finished_study[1]["byte-ar"].path)
    assert main(["evaluate", run, str(tmp_path / "text"), "--length-mass", "1"]) == 0
    printed = capsys.readouterr().out
    assert "ln Z(1 byte) = " in printed
    assert "-0.0000" not in printed
    assert "+- 0.0000" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], "name the files to score"),
        (["{run}", "{home}/none"], "none: No such file"),
        (["{run}", "{home}/empty"], "empty is empty"),
        (["{run}", "{home}"], "Is a directory"),
        (["{home}", "{home}/text"], "is not a run's folder"),
        (["{run}", "{home}/text", "--context", "5"], "leave it out"),
        (["hf:{home}/none", "{home}/text"], "none"),
        (["{masked}", "{home}/text", "--mc-passes", "1"], "use 2 or more"),
        (["{run}", "{home}/text", "--likelihood", "left"], "its likelihood is exact"),
        (["{masked}", "{home}/text", "--likelihood", "right"], "no likelihood is called 'right'"),
        (["{masked}", "{home}/text", "--likelihood", "left", "--mc-passes", "9"], "leave it out"),
        (["{run}", "{home}/text", "--mc-passes", "3"], "--mc-passes 3 has no effect on byte-ar"),
        (["{masked}", "--samples", "1", "--corrupt", "0.1"], "are about files: name some"),
        (["{masked}", "--length-mass", "999"], "name fewer bytes"),
        (["{run}", "{home}/text", "--corrupt", "0.999"], "corruption 'delete' leaves no byte of the text"),
    ],
)
def test_an_error_is_one_sentence(finished_study, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"a")
    runs = {"run": finished_study[1]["byte-ar"].path, "masked": finished_study[1]["byte-mdm"].path}
    assert main(["evaluate", *(part.format(**runs, home=tmp_path) for part in arguments)]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_run_whose_tokenizer_was_rebuilt_is_refused(tmp_path, capsys):
    study_dir, runs = finish(tmp_path, {"bpe-ar": ARMS["bpe-ar"]})
    manifest = study_dir.tokenizer_dir("bpe") / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"escaped_bytes": 0', '"escaped_bytes": 1').split(',\n "checksum"')[0] + "}"
    )
    (tmp_path / "text.txt").write_bytes(b"text")
    assert main(["evaluate", str(runs["bpe-ar"].path), str(tmp_path / "text.txt")]) == 2
    assert "was rebuilt after this run was trained" in capsys.readouterr().err
