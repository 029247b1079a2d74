"""The tiny study up to its plan, and trainers of a few steps of its runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from bytegap.data import prepare, tokenize
from bytegap.io.arrays import read_array
from bytegap.plan import stage as plan
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import StudyDir
from bytegap.study.load import load_study
from bytegap.train.trainer import DEFAULT_OPTIONS, RunOptions, Trainer
from tests.helpers.tiny_study import STUDY, write_study


@dataclass(frozen=True)
class TinyStudy:
    """A study that is planned, in one thread a run, and not trained."""

    study_dir: StudyDir
    specs: dict[str, RunSpec]
    """One run of each arm."""

    def spec(self, arm: str, objective_name: str = "", **changes: object) -> RunSpec:
        """A run of the arm, with another objective if it is named, and other changes."""
        spec = shortened(self.specs[arm], changes.pop("steps", self.specs[arm].steps))
        if objective_name:
            changes["objective"] = objective_name
        return spec.model_copy(update=changes)

    def trainer(
        self, arm: str, objective_name: str = "", steps: int = 12, options: RunOptions = DEFAULT_OPTIONS
    ) -> Trainer:
        """A trainer of a short run, at its start."""
        return self.start(self.spec(arm, objective_name, steps=steps), options)

    def start(self, spec: RunSpec, options: RunOptions = DEFAULT_OPTIONS) -> Trainer:
        """A trainer of a run, at its start."""
        manifest = self.study_dir.tokenizer(spec.tokenizer)
        return Trainer(spec, read_array(self.study_dir.tokenizer_dir(spec.tokenizer), manifest.stream), options)


def planned(home: Path, text: str = STUDY) -> TinyStudy:
    """Prepare, tokenize and plan a study in `home`."""
    study = load_study(write_study(home, text.replace("[compute]", "[compute]\nthreads = 1")))
    study_dir = StudyDir(home / "out" / study.name)
    prepare.run(study, study_dir)
    tokenize.run(study, study_dir)
    torch.set_num_threads(1)
    return TinyStudy(study_dir, {spec.arm: spec for spec in plan.make_plan(study, study_dir).runs})


def shortened(spec: RunSpec, steps: int) -> RunSpec:
    """The run with another number of steps."""
    scaled = {name: getattr(spec, name) * steps // spec.steps for name in ("tokens", "flops")}
    return spec.model_copy(update={"steps": steps} | scaled)


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """A copy of the weights by name."""
    return {name: weight.detach().clone() for name, weight in trainer.network.named_parameters()}


def train_to_end(trainer: Trainer) -> Trainer:
    """Take all steps that are left."""
    list(trainer.steps())
    return trainer
