"""The command line: its verbs and their help, verbs that were renamed, and errors as one sentence with exit code 2."""

import errno
import importlib
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bytegap import console
from bytegap.cli import main as cli
from bytegap.cli import pipeline
from bytegap.cli._options import Verb
from bytegap.cli.main import GROUPS, MOVED, RENAMED, main
from bytegap.study import config
from bytegap.study.load import load_study
from tests.helpers.tiny_study import write_study

PIPELINE = ["init", "quickstart", "run", "corpus", "tokenize", "plan", "train", "collect", "fit", "report"]
MODELS = ["evaluate", "generate", "compress", "decompress", "export", "lm-eval", "probe"]
TOOLS = ["fit-table", "audit", "flops", "baselines", "order-controls", "tuning-audit", "check"]
VERBS = [verb for _, group in GROUPS for verb in group]


def output_of(capsys, *arguments):
    """What a command that ends itself prints, such as --help."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert not end.value.code
    return capsys.readouterr().out


def refused(capsys, *arguments):
    """The one sentence of a command that ends with exit code 2."""
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert error.startswith("bytegap: ")
    assert error.count("\n") == 1
    return error


def test_the_verbs_are_these():
    assert [[verb.name for verb in group] for _, group in GROUPS] == [PIPELINE, MODELS, TOOLS]


def test_help_lists_every_verb_with_one_sentence(capsys):
    text = output_of(capsys, "--help")
    for verb in VERBS:
        assert f"  {verb.name:<15} {verb.summary}\n" in text
        assert verb.summary.endswith(".")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verbs_help_has_an_example_and_names_its_extras(capsys, verb):
    text = output_of(capsys, verb.name, "--help")
    assert verb.summary.rstrip(".") in " ".join(text.split())
    assert f"  bytegap {verb.name}" in text
    assert "needs: " in text
    for extra in verb.extras:
        assert extra in text.partition("needs: ")[2]
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verbs_examples_parse(verb):
    for line in verb.examples.splitlines():
        if line.startswith("bytegap "):
            assert cli.make_parser().parse_args(shlex.split(line)[1:]).verb == verb


def test_version_is_the_packages(capsys):
    assert output_of(capsys, "--version") == "bytegap 0.1.0\n"


def test_quiet_and_verbose_are_taken_before_the_verb_and_after_it(monkeypatch, capsys):
    def run():
        console.say("stage", "progress")
        console.warn("stage", "warning")
        console.detail("stage", "detail")

    with_verb(monkeypatch, run)
    for arguments, shown in (
        (["act"], ["progress", "warning"]),
        (["-q", "act"], ["warning"]),
        (["act", "--quiet"], ["warning"]),
        (["act", "-v"], ["progress", "warning", "detail"]),
        (["act"], ["progress", "warning"]),
    ):
        assert main(arguments) == 0
        assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == shown


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_verb_is_refused_and_names_the_new_one(capsys, old):
    assert f"'{old}' is now 'bytegap {RENAMED[old]}'" in refused(capsys, old, "study.toml")
    assert RENAMED[old] in {verb.name for verb in VERBS}


@pytest.mark.parametrize(("verb", "flag"), MOVED)
def test_a_moved_flag_is_refused_and_names_the_verb(capsys, verb, flag):
    assert f"is now 'bytegap {MOVED[verb, flag]}'" in refused(capsys, verb, flag, "file")
    assert MOVED[verb, flag].split()[0] in {verb.name for verb in VERBS}


@pytest.mark.parametrize(
    "arguments",
    [
        ["-q"],
        ["train"],
        ["train", "study.toml", "--on", "pbs"],
        ["train", "study.toml", "--workers", "0"],
        ["evaluate"],
        ["baselines"],
        ["evaluate", "run", "file", "--corrupt", "1.5"],
        ["generate", "run", "--remasking", "first-hitting"],
        ["generate", "run", "--temperature", "-1"],
    ],
)
def test_a_command_line_that_does_not_parse_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "bytegap" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "--extend", "--dry-run"], "--extend changes the plan"),
        (["plan", "--extend", "--simulate", "law.toml"], "--extend changes the plan"),
        (["plan", "--studies", "3"], "--studies has no effect"),
        (["train", "--shard"], "--shard has no effect"),
        (["train", "--on", "slurm", "--workers", "2"], "--workers has no effect"),
    ],
)
def test_flags_without_effect_are_refused(tmp_path, capsys, arguments, words):
    verb, *flags = arguments
    assert words in refused(capsys, verb, tmp_path / "study.toml", *flags)


def test_a_suggested_command_quotes_its_path(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my study [1].toml"]) == 0
    command = capsys.readouterr().err.strip().partition("run: ")[2]
    assert shlex.split(command) == ["bytegap", "run", "my study [1].toml"]


def test_a_share_of_0_or_1_is_refused_as_such(capsys):
    for share in "01":
        with pytest.raises(SystemExit):
            main(["evaluate", "run", "file", "--corrupt", share])
        assert f"'{share}' is not a number above 0 and below 1" in capsys.readouterr().err


def test_what_a_verb_needs_is_in_sentences(capsys):
    for verb in VERBS:
        needs = " ".join(output_of(capsys, verb.name, "--help").partition("needs: ")[2].split())
        assert needs.endswith(".")
        assert "]' " not in needs


def test_without_a_verb_the_help_is_printed(capsys):
    assert main([]) == 2
    assert "a first study:" in capsys.readouterr().err


def test_a_misspelt_verb_names_the_nearest(capsys):
    assert "there is no verb 'trian': did you mean 'train'?" in refused(capsys, "trian", "study.toml")


def test_verbose_shows_where_a_system_error_comes_from(monkeypatch, capsys):
    def run():
        raise PermissionError(errno.EACCES, "Permission denied", "/x")

    with_verb(monkeypatch, run)
    assert main(["act", "-v"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("bytegap: /x: Permission denied: check the permissions, or name another path\n")


def test_help_loads_neither_numpy_nor_torch_nor_pydantic():
    code = (
        "import sys\nfrom bytegap.cli.main import main\ntry: main(['--help'])\n"
        "finally: assert not {'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def with_verb(monkeypatch, run, *extras):
    """Replace every verb by one, `act`, that calls `run`."""
    verb = Verb("act", "Act.", lambda _: run(), lambda _: None, examples="bytegap act", extras=extras)
    monkeypatch.setattr(cli, "GROUPS", (("verbs", (verb,)),))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x/plan.json"), "/x/plan.json: Permission denied: check"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x"), "/x: Is a directory: it is a folder; name a file"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device: free some space"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "/x: No such file or directory: check"),
    ],
)
def test_a_system_error_that_a_user_can_cause_is_one_sentence(monkeypatch, capsys, error, says):
    def run():
        raise error

    with_verb(monkeypatch, run)
    assert says in refused(capsys, "act")


def test_other_system_errors_are_not_hidden(monkeypatch):
    def run():
        raise OSError(errno.EBADF, "Bad file descriptor")

    with_verb(monkeypatch, run)
    with pytest.raises(OSError, match="Bad file"):
        main(["act"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path, capsys):
    study = write_study(tmp_path)
    (tmp_path / "out").mkdir(mode=0o500)
    assert "Permission denied" in refused(capsys, "corpus", study, "--out", tmp_path / "out")


def test_a_file_where_a_folder_is_expected_is_one_sentence(tmp_path, capsys):
    study = write_study(tmp_path)
    (tmp_path / "out").write_text("")
    assert f"{tmp_path / 'out'}" in refused(capsys, "corpus", study, "--out", tmp_path / "out")


def test_a_missing_extra_is_named_before_anything_is_done(monkeypatch, capsys):
    monkeypatch.setattr("bytegap.extras.find_spec", lambda package: None if package == "altair" else package)

    def run():
        raise AssertionError

    with_verb(monkeypatch, run, "train", "report")
    assert refused(capsys, "act") == (
        "bytegap: bytegap act needs the package 'altair', which is not installed: pip install 'bytegap[train,report]'\n"
    )


def test_a_package_missing_in_the_middle_names_its_extra(monkeypatch, capsys):
    def run():
        importlib.import_module("constriction")

    monkeypatch.setitem(sys.modules, "constriction", None)
    monkeypatch.setattr("bytegap.extras.find_spec", lambda _: None)
    with_verb(monkeypatch, run)
    assert "needs the package 'constriction', which is not installed: pip install 'bytegap[codec]'" in refused(
        capsys, "act"
    )


@pytest.mark.parametrize("module", ["bytegap.no_such_module", "no_such_package", "rich.no_such_module"])
def test_a_module_missing_by_our_own_mistake_is_not_hidden(monkeypatch, module):
    with_verb(monkeypatch, lambda: importlib.import_module(module))
    with pytest.raises(ModuleNotFoundError):
        main(["act"])


def test_init_writes_the_bundled_study_under_the_files_name_and_overwrites_nothing(tmp_path, capsys):
    path = tmp_path / "my study.toml"
    assert main(["init", str(path)]) == 0
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    bundled = tomllib.loads((Path(config.__file__).parent / "quickstart.toml").read_text(encoding="utf-8"))
    assert written == bundled | {"name": "my-study"}
    assert load_study(path).name == "my-study"
    capsys.readouterr()
    before = path.read_bytes()
    assert "overwrites nothing" in refused(capsys, "init", path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("recipe", pipeline._RECIPES)
def test_init_with_a_recipe_writes_a_study_of_patches(recipe, tmp_path):
    path = tmp_path / "my study.toml"
    assert main(["init", str(path), "--recipe", recipe]) == 0
    study = load_study(path)
    assert study.name == "my-study"
    options = [arm.objective.options for arm in study.arms.values() if arm.objective.name == "patch"]
    assert [each["by"] for each in options] == ["order", "order"]
    assert options[0]["size"] == 8
    assert study.context.bytes >= 9 * 8, "at least nine patches to a row"
    assert bool(study.plan.hours) == (recipe == "two-cores")
    assert set(path.parent.iterdir()) == {path}


def test_init_refuses_hours_with_a_recipe(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    assert main(["init", str(path), "--recipe", "one-gpu", "--hours", "1"]) == 2
    assert "leave one out" in capsys.readouterr().err
    assert not path.exists()


def test_recipes_are_the_files_that_are_shipped():
    folder = Path(config.__file__).parent / "recipes"
    assert {file.stem for file in folder.iterdir()} == set(pipeline._RECIPES)


def test_init_with_hours_writes_a_study_without_budgets(tmp_path):
    path = tmp_path / "my study.toml"
    assert main(["init", str(path), "--hours", "0.5"]) == 0
    study = load_study(path)
    assert (study.name, study.plan.hours) == ("my-study", 0.5)
    assert set(study.arms) == {"byte-ar", "bpe-ar", "byte-mdm", "bpe-mdm"}
    assert not path.read_text(encoding="utf-8").count("budgets =")


def test_quickstart_runs_the_bundled_study(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(pipeline, "_run", lambda options: opened.append((load_study(options.study), options.out)))
    assert main(["quickstart", "--out", str(tmp_path)]) == 0
    [(study, out)] = opened
    assert (study.name, out) == ("quickstart", tmp_path)
    assert set(study.arms) == {"byte-ar", "bpe-ar", "byte-mdm", "bpe-mdm"}
