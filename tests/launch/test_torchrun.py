"""Two devices train what one does: losses equal to 1e-4, and checkpoints that either can resume."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bytegap.study.directory import PLAN
from bytegap.train.trainer import DEFAULT_OPTIONS
from tests.helpers import trainers
from tests.helpers.tiny_study import STUDY
from tests.launch.two_devices import train

ROOT = Path(__file__).parents[2]
STEPS = 12

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study_dir(tmp_path_factory):
    return trainers.planned(tmp_path_factory.mktemp("torchrun"), STUDY.replace("bytes = 96", "tokens = 16")).study_dir


def torchrun(*command: str, cwd: Path = ROOT) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command],
        cwd=cwd, env=os.environ | {"PYTHONPATH": path}, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr.decode()[-3000:]


def train_on_two(root: Path, arm: str, before: Path, after: Path, kind: str, micro_batch_size: int = 0) -> list[float]:
    out = after.with_suffix(".json")
    arguments = [str(root), arm, str(STEPS), str(before), str(after), kind, str(micro_batch_size), str(out)]
    torchrun(str(Path(__file__).with_name("two_devices.py")), *arguments)
    return json.loads(out.read_text())


def assert_close(losses: list[float], expected: list[float]) -> None:
    assert len(losses) == len(expected)
    assert losses == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("arm", ["byte-ar", "bpe-mdm"])
@pytest.mark.parametrize("kind", ["replicated", "sharded"])
def test_two_devices_train_as_one_and_exchange_checkpoints(study_dir, tmp_path, arm, kind):
    root, none, first = study_dir.root, tmp_path / "none", tmp_path / "first"
    alone = train(str(root), arm, 2 * STEPS, str(none), str(tmp_path / "alone"), DEFAULT_OPTIONS)
    assert_close(train_on_two(root, arm, none, first, kind), alone[:STEPS])
    assert_close(train(str(root), arm, STEPS, str(first), str(tmp_path / "second"), DEFAULT_OPTIONS), alone)
    half = tmp_path / "half"
    train(str(root), arm, STEPS, str(none), str(half), DEFAULT_OPTIONS)
    assert_close(train_on_two(root, arm, half, tmp_path / "end", kind, micro_batch_size=1), alone)


def test_a_study_is_trained_under_torchrun(study_dir):
    plan = study_dir.plan()
    short = [trainers.shortened(spec, 40) for spec in plan.runs][::4]  # a run of each arm
    study_dir.write(PLAN, plan.model_copy(update={"runs": short}))
    torchrun("-m", "bytegap", "train", "tiny.toml", "--shard", cwd=study_dir.root.parent.parent)
    assert {spec.arm for spec in short} == {"byte-ar", "bpe-mdm"}
    for spec in short:
        record = study_dir.run(spec.id).record()
        assert (record.status, record.steps) == ("finished", 40)
        assert record.spent_flops == 40 * record.counted_step_flops
        assert record.counted_supervised_step_flops == record.analytic_supervised_step_flops
