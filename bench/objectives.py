"""Time of a training step of each objective over that of AR, and of masked diffusion, with the same model and batch.

    python bench/objectives.py out/quickstart byte-mdm

Takes the middle and the largest size of an arm of a planned study, with either attention backend, compiled or not;
steps take turns.
Writes bench/results/objectives.json.
"""

import argparse
from pathlib import Path

from bytegap.autotune.step_timer import make_step
from bytegap.schema.base import FrozenDict
from bytegap.study.directory import StudyDir
from results import Row, interleaved, write

OBJECTIVES: dict[str, tuple[str, dict[str, str | int]]] = {
    "ar": ("ar", {}),
    "any_order": ("any_order", {}),
    "patch 4 by order": ("patch", {"size": 4, "by": "order"}),
    "mdm": ("mdm", {}),
    "patch 2 by mask": ("patch", {"size": 2}),
    "patch 4 by mask": ("patch", {"size": 4}),
    "patch 8 by mask": ("patch", {"size": 8}),
    "streams 4": ("streams", {"size": 4}),
}
ROUNDS = 40


def main() -> None:
    """Measure, and write bench/results/objectives.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a planned study's folder")
    parser.add_argument("arm", help="the arm whose models and batches are taken")
    chosen = parser.parse_args()
    runs = [run for run in StudyDir(chosen.study).plan().runs if run.arm == chosen.arm]
    runs.sort(key=lambda run: run.non_embedding_parameters)
    rows: list[Row] = []
    for run in (runs[len(runs) // 2], runs[-1]):
        for attention, compiled in (("sdpa", False), ("matmul", False), ("sdpa", True), ("matmul", True)):
            execution = run.execution.model_copy(update={"attention": attention, "compile": compiled})
            steps = {
                name: make_step(
                    run.model_copy(
                        update={"objective": part, "objective_options": FrozenDict(options), "execution": execution}
                    )
                ).take
                for name, (part, options) in OBJECTIVES.items()
            }
            seconds = interleaved(steps, ROUNDS)
            rows += [
                {
                    "parameters": run.non_embedding_parameters,
                    "attention": attention + (", compiled" if compiled else ""),
                    "objective": name,
                    "ms a step": 1000 * own_seconds,
                    "over ar": own_seconds / seconds["ar"],
                    "over mdm": own_seconds / seconds["mdm"],
                }
                for name, own_seconds in seconds.items()
            ]
    write("objectives", "Time of a training step by objective", rows)


if __name__ == "__main__":
    main()
