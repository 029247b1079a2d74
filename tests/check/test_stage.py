"""`check` names what is wrong in a study folder, file by file, and nothing else."""

import shutil
import subprocess
import sys

import pytest
from filelock import FileLock

from bytegap.check import stage
from bytegap.cost.disk import training_disk_bytes
from bytegap.data import prepare as corpus
from bytegap.data import tokenize as tokens
from bytegap.errors import StudyDirError
from bytegap.launch import local as train
from bytegap.plan import stage as plan
from bytegap.runs import collect as runs
from bytegap.study.directory import ARTIFACTS, AUDIT, RECORD, RUNS, SPEC, WINDOWS, StudyDir
from bytegap.study.load import load_study
from tests.helpers.tiny_study import STUDY, write_study

QUICK = STUDY.replace("budgets = [1e10]", "budgets = [2e9]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("doctor")
    study, study_dir = load_study(write_study(home, QUICK)), StudyDir(home / "out")
    corpus.run(study, study_dir)
    tokens.run(study, study_dir)
    plan.make_plan(study, study_dir)
    train.run(study_dir)
    runs.run(study_dir, print_runs=False)
    return study_dir


@pytest.fixture
def study_dir(finished, tmp_path):
    shutil.copytree(finished.root, tmp_path / "out")
    shutil.copy(finished.root.parent / "tiny.toml", tmp_path)
    return StudyDir(tmp_path / "out")


def check(study_dir):
    stage.run(load_study(study_dir.root.parent / "tiny.toml"), study_dir)


def specs(study_dir):
    return study_dir.plan().runs


def problems(study_dir, capsys):
    with pytest.raises(StudyDirError, match=r"\d problems? found"):
        check(study_dir)
    return capsys.readouterr().err.replace("\n", " ").replace("  ", " ")


def test_a_complete_study_has_no_problem(study_dir, capsys):
    check(study_dir)
    assert "no problem found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"document_nats": (1.0,)}, "its documents have 1.0 nats"),
        ({"document_bytes": (7,)}, "its documents have 7 bytes"),
        ({"windows_sha256": "0" * 64}, "not on the windows of tokens/windows.json"),
    ],
)
@pytest.mark.parametrize("edge", ["tokens", "words"])
def test_a_score_that_does_not_add_up_is_named(study_dir, capsys, edge, change, words):
    run_dir = study_dir.run(specs(study_dir)[0].id)
    record = run_dir.record()
    scores = {"tokens": record.test, **record.test_by_edge}
    scores[edge] = scores[edge].model_copy(update=change)
    by_edge = {name: score for name, score in scores.items() if name != "tokens"}
    run_dir.write(RECORD, record.model_copy(update={"test": scores["tokens"], "test_by_edge": by_edge}))
    found = problems(study_dir, capsys)
    assert f"test score with edges = {edge}" in found
    assert words in found


def test_windows_that_are_not_the_corpus_are_named(study_dir, capsys):
    windows = study_dir.windows()
    split = windows.other_edges["any"]["test"].model_copy(update={"sha256": "0" * 64})
    study_dir.write(
        WINDOWS, windows.model_copy(update={"other_edges": {**windows.other_edges, "any": {"test": split}}})
    )
    assert "windows.json does not match the text" in problems(study_dir, capsys)
    split = windows.splits["test"].model_copy(update={"n_documents": 2, "documents": None})
    study_dir.write(WINDOWS, windows.model_copy(update={"splits": {**windows.splits, "test": split}}))
    assert "windows, bytes and documents are" in problems(study_dir, capsys)


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(StudyDirError, match="does not exist: run 'bytegap run'"):
        stage.run(None, StudyDir(tmp_path / "none"))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("corpus/train*", "checksum differs from its manifest"),
        ("tokens/bpe/train*", "checksum differs from its manifest"),
        ("tokens/windows/*test*", "checksum differs from its manifest"),
        ("tokens/windows.json", "is damaged"),
        ("plan.json", "is damaged"),
        ("runs.jsonl", "run 'bytegap collect' again"),
        ("audit.json", "is damaged"),
    ],
)
def test_an_altered_file_is_named(study_dir, capsys, pattern, words):
    path = min(study_dir.root.glob(pattern))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    found = problems(study_dir, capsys)
    assert path.name in found
    assert words in found


def test_weights_that_do_not_match_the_record(study_dir, capsys):
    first, second, *_ = specs(study_dir)
    with study_dir.run(first.id).weights_path.open("ab") as file:
        file.write(b"!")
    study_dir.run(second.id).weights_path.unlink()
    found = problems(study_dir, capsys)
    assert "weights.safetensors does not match the checksum in its record" in found
    assert "weights.safetensors is missing; only the fit and the report can do without it" in found


def test_a_run_of_another_plan_and_a_failed_run_are_named(study_dir, capsys):
    first, second, *_ = specs(study_dir)
    study_dir.run(first.id).write(SPEC, second)
    record = study_dir.run(second.id).record()
    failed = record.model_copy(update={"status": "failed", "reason": "the loss is not finite"})
    study_dir.run(second.id).write(RECORD, failed)
    shutil.copytree(study_dir.run(first.id).path, study_dir.run("0123456789ab").path)
    found = problems(study_dir, capsys)
    assert f"holds another run than {first.id} of the plan" in found
    assert "failed: the loss is not finite: delete" in found
    assert "is not a run of the plan, but of an earlier one" in found


def test_leftovers_and_a_torn_checkpoint_are_named_unless_a_run_is_trained(study_dir, capsys):
    run_dir = study_dir.run(specs(study_dir)[0].id)
    study_dir.path(RECORD, run_dir.path.name).unlink()
    run_dir.checkpoint_path.write_bytes(b"torn")
    (study_dir.root / ".plan.json.x7").write_text("half")
    found = problems(study_dir, capsys)
    assert "checkpoint.safetensors is damaged" in found
    assert "is a temporary file of a process that was killed" in found
    assert "1 of 8 runs are not trained yet" in found
    with FileLock(run_dir.lock_path):
        check(study_dir)
    assert "is being trained now" in capsys.readouterr().err.replace("\n", " ")


def test_too_little_disk_space_is_named(study_dir, capsys, monkeypatch):
    study_dir.path(RECORD, specs(study_dir)[0].id).unlink()
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1))
    assert "GB are free on the disk: free some" in problems(study_dir, capsys)


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: artifact.pattern)
def test_a_damaged_file_of_every_kind_is_named(study_dir, capsys, artifact):
    names = study_dir.names(artifact) or ["" if "*" not in artifact.pattern else specs(study_dir)[0].id]
    path = study_dir.path(artifact, names[0])
    path.write_text("{")
    found = problems(study_dir, capsys)
    assert f"{path}" in found.replace(" ", "")
    assert f"run 'bytegap {artifact.verb}' again" in found


def test_disk_space_is_what_the_plan_says(study_dir, capsys, monkeypatch):
    first = specs(study_dir)[0]
    study_dir.path(RECORD, first.id).unlink()
    needed = training_disk_bytes([first.parameters], study_dir.plan().workers)
    free = [needed - 1, needed]
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(needed, 0, free[0]))
    problems(study_dir, capsys)
    free.pop(0)
    check(study_dir)


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("tokens/bpe/manifest.json", "run 'bytegap tokenize' again"),
        ("corpus/manifest.json", "run 'bytegap corpus' again"),
        ("tokens/windows.json", "run 'bytegap tokenize' again"),
        ("plan.json", "run 'bytegap plan' again"),
        ("runs/*/spec.json", "run 'bytegap train' again"),
        ("tokens/bpe/tokenizer.json", "run 'bytegap tokenize' again"),
        ("corpus/train.bin", "run 'bytegap corpus' again"),
    ],
)
def test_a_missing_file_that_others_were_made_from_is_named(study_dir, capsys, gone, words):
    path = min(study_dir.root.glob(gone))
    path.unlink()
    found = problems(study_dir, capsys)
    assert f"{path}ismissing" in found.replace(" ", "")
    assert words in found


def test_rows_that_the_tables_lack_are_named(study_dir, capsys):
    rows = study_dir.runs()
    study_dir.write_rows(RUNS, rows[1:])
    assert f"has no row of 1 of 8 planned runs that ended, such as {rows[0].run}" in problems(study_dir, capsys)
    shutil.rmtree(study_dir.runs_dir)
    assert "has no row of 1 of 8 runs that" in problems(study_dir, capsys)
    study_dir.write_rows(RUNS, [])
    assert "runs.jsonl is empty: run 'bytegap collect' again" in problems(study_dir, capsys)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("validation = 0.1", "validation = 0.2", "run 'bytegap corpus' again"),
        ("vocab_size = 300", "vocab_size = 301", "run 'bytegap tokenize' again"),
        ("bytes = 96", "bytes = 100", "run 'bytegap tokenize' again"),
        ("sizes = 4", "sizes = 5", "run 'bytegap plan' to apply it"),
    ],
)
def test_files_that_were_made_from_another_study_are_stale(study_dir, capsys, old, new, words):
    path = study_dir.root.parent / "tiny.toml"
    path.write_text(path.read_text().replace(old, new))
    found = problems(study_dir, capsys)
    assert "changed since it was made" in found
    assert words in found


def test_a_changed_source_text_is_stale_and_a_missing_one_is_no_problem(study_dir, capsys):
    path = study_dir.root.parent / "tiny.toml"
    text = path.read_text()
    folder = text.split('paths = ["')[1].split("/*.txt")[0]
    shutil.copytree(folder, path.parent / "text")
    path.write_text(text.replace(folder, str(path.parent / "text")))
    assert "[corpus] changed since it was made" in problems(study_dir, capsys)
    path.write_text(text.replace("*.txt", "*.none"))
    check(study_dir)
    assert "is not compared with what it was made from" in capsys.readouterr().err.replace("\n", " ")


def test_a_folder_with_the_name_of_a_file_is_named_and_the_rest_is_checked(study_dir, capsys):
    study_dir.path(AUDIT).unlink()
    study_dir.path(AUDIT).mkdir()
    weights = study_dir.run(specs(study_dir)[0].id).weights_path
    weights.unlink()
    weights.mkdir()
    (study_dir.runs_dir / "foo").mkdir()
    found = problems(study_dir, capsys)
    assert "audit.json is a folder, not a file: delete it and run 'bytegap collect' again" in found
    assert "weights.safetensors is missing" in found
    assert "runs/foo is not a run's folder: delete it" in found


def test_the_base_install_checks_what_needs_no_torch_and_says_what_it_leaves_out(study_dir):
    code = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'filelock', 'tokenizers', 'pyarrow', 'safetensors']); "
        f"from bytegap.cli.main import main; sys.exit(main(['check', {str(study_dir.root.parent / 'tiny.toml')!r}, "
        f"'--out', {str(study_dir.root.parent)!r}]))"
    )
    study_dir.root.rename(study_dir.root.parent / "tiny")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    printed = " ".join(done.stderr.split())
    assert done.returncode == 0, printed
    assert "left out: checkpoints, temporary files" in printed
    assert "pip install 'bytegap[train]'" in printed
    assert "no problem found" in printed
