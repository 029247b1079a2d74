"""Two devices train what one does: the same losses to 1e-4, and checkpoints that go from one to the other and back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bytegap.corpus import stage as corpus
from bytegap.errors import StudyError
from bytegap.objectives._base import Vocabulary
from bytegap.plan import stage as plan
from bytegap.plugins import load, options
from bytegap.records import Plan, RunRecord
from bytegap.store import Folder, read_record, write_record
from bytegap.study import load as load_study
from bytegap.tokens import stage as tokens
from bytegap.train.devices import Devices
from tests.plugs import OBJECTIVES
from tests.tiny import STUDY, write_study
from tests.train.two import train

ROOT = Path(__file__).parents[2]
STEPS = 12


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    home = tmp_path_factory.mktemp("together")
    text = STUDY.replace("bytes = 96", "symbols = 16").replace("[compute]", "[compute]\nthreads = 1")
    study, folder = load_study(write_study(home, text)), Folder(home / "out" / "tiny")
    corpus.run(study, folder)
    tokens.run(study, folder)
    plan.run(study, folder)
    return folder


def torchrun(*what: str, cwd: Path = ROOT) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *what],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def two(folder: Folder, arm: str, steps: int, before: Path, after: Path, kind: str, rows: int = 0) -> list[float]:
    out = after.with_suffix(".json")
    told = [str(folder.root), arm, str(steps), str(before), str(after), kind, str(rows), str(out)]
    torchrun(str(Path(__file__).with_name("two.py")), *told)
    return json.loads(out.read_text())


def close(one: list[float], other: list[float]) -> None:
    assert len(one) == len(other)
    assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_two_devices_train_what_one_does_and_checkpoints_pass_between_them(prepared, tmp_path, arm, kind):
    none, first, then = tmp_path / "none", tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    alone = train(str(prepared.root), arm, 2 * STEPS, str(none), str(tmp_path / "alone"), Devices())
    close(two(prepared, arm, STEPS, none, first, kind), alone[:STEPS])
    close(train(str(prepared.root), arm, STEPS, str(first), str(then), Devices()), alone)
    half = tmp_path / "c.safetensors"
    train(str(prepared.root), arm, STEPS, str(none), str(half), Devices())
    close(two(prepared, arm, STEPS, half, tmp_path / "d.safetensors", kind, rows=1), alone)


@pytest.mark.slow
def test_a_study_under_torchrun(prepared):
    whole = read_record(prepared.plan, Plan, "plan")
    short = [spec.model_copy(update={"steps": 40}) for spec in whole.runs if spec.seed == whole.runs[0].seed][::4]
    write_record(prepared.plan, whole.model_copy(update={"runs": short}))
    torchrun("-m", "bytegap", "train", "tiny.toml", "--shard", cwd=prepared.root.parent.parent)
    assert {spec.arm for spec in short} == {"byte-ar", "bpe-mdm"}
    for spec in short:
        record = read_record(prepared.run(spec.id) / "record.json", RunRecord, "train")
        assert (record.status, record.steps) == ("finished", 40)
        assert record.spent_flops == 40 * record.counted_step_flops
        assert record.counted_supervised_step_flops == record.analytic_supervised_step_flops


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("world", "at_once"), [(1, 0), (1, 2), (3, 0), (2, 2), (2, 1)])
def test_devices_share_a_batch_without_a_rest(objective, world, at_once):
    module, generator = load("objectives", objective), torch.Generator().manual_seed(0)
    symbols = torch.randint(0, 256, (7, 24), generator=generator)
    u = torch.linspace(0.1, 1, 7, dtype=torch.float64)
    given = options("objectives", objective, {"size": 4} if objective == "block" else {})
    question = module.ask(symbols, u, generator, Vocabulary(256), given)
    pieces = [piece for rank in range(world) for piece in Devices(rank, world, rows_at_once=at_once).pieces(question)]
    pieces = [piece for piece in pieces if len(piece.targets_M)]
    assert torch.equal(torch.cat([piece.inputs_BP for piece in pieces]), question.inputs_BP)
    assert torch.equal(torch.cat([piece.targets_M for piece in pieces]), question.targets_M)
    done = 0
    for piece in pieces:
        if at_once:
            assert len(piece.inputs_BP) <= at_once
        there = piece.inputs_BP.flatten()[piece.positions_M]
        own = (question.rows_M >= done) & (question.rows_M < done + len(piece.inputs_BP))
        assert torch.equal(there, question.inputs_BP.flatten()[question.positions_M[own]])
        assert torch.equal(piece.rows_M + done, question.rows_M[own])
        done += len(piece.inputs_BP)
    assert done == 7


def test_more_devices_than_rows_are_told_so():
    Devices(0, 4).check(4)
    with pytest.raises(StudyError, match="a batch of 3 rows cannot be shared by 4 devices: start at most 3"):
        Devices(0, 4).check(3)
