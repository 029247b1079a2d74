"""The verb `lm-eval`: models on tasks of lm-evaluation-harness.

Reads a task file (`lm_eval/config.py`), the models, and the tasks' data sets, which come from the Hugging Face Hub or
its cache on this machine.
Writes out/NAME/lm-eval.json after each task of each model; an interrupted evaluation continues from there.
"""

import math
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bytegap.console import say, show
from bytegap.errors import EvaluateError, StudyError, nearest
from bytegap.extras import missing_extra
from bytegap.io.atomic import file_sha256
from bytegap.lm.open_model import PREFIX
from bytegap.lm_eval.config import TaskFile, load
from bytegap.schema.base import FrozenDict, digest
from bytegap.schema.evaluate import LmEvalResults, LmEvalTask
from bytegap.study.directory import LM_EVAL, StudyDir

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

    from bytegap.lm_eval.model import BytegapLM

_Key = tuple[str, str, str]
"""A model's name in the task file, the hash of its weights, and a task."""


def run(path: Path, out: Path) -> LmEvalResults:
    """Evaluate every model on every task that has no result yet, and print a table.

    Raises StudyError for a task that the harness does not know, MissingExtraError where the harness is not installed,
    EvaluateError where a data set is not available or a task would run code without permission.
    """
    task_file = load(path)
    manager = _task_manager(task_file)
    study_dir = StudyDir(out / task_file.name)
    inputs = digest([task_file.model_dump(mode="json", exclude={"models", "tasks"}), version("lm_eval")])
    earlier = study_dir.load_if_current(LM_EVAL, inputs)
    done: dict[_Key, LmEvalTask] = {}
    if earlier:
        done = {(each.model, each.weights_sha256, each.requested): each for each in earlier.tasks}
    wanted: list[LmEvalTask] = []
    for name in task_file.models:
        weights, model = _weights_sha256(name), None
        for task in task_file.tasks:
            key = (name, weights, task)
            if key not in done:
                model = model or _open(name, task_file)
                say("lm-eval", f"{model.model.name}: {task}")
                done[key] = _result(model, key, _evaluate(model, manager, task_file, task))
                study_dir.write(LM_EVAL, LmEvalResults(inputs_sha256=inputs, tasks=tuple(done.values())))
            wanted.append(done[key])
    results = LmEvalResults(inputs_sha256=inputs, tasks=tuple(wanted))
    study_dir.write(LM_EVAL, results)
    _print(results)
    say("lm-eval", f"{len(wanted)} results: {study_dir.path(LM_EVAL)}")
    return results


def _task_manager(task_file: TaskFile) -> "TaskManager":
    """The tasks that the harness knows; only those of the task file's folder where they suffice."""
    try:
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError as error:
        raise missing_extra("bytegap lm-eval", error) or error from None
    folder = task_file.folder
    if folder is not None and not folder.is_dir():
        raise StudyError(f"folder = '{folder}': no such folder; paths start at the current directory, {Path.cwd()}")
    manager = TaskManager(include_path=folder, include_defaults=False) if folder else None
    if manager is None or not set(task_file.tasks) <= set(manager.all_tasks):
        manager = TaskManager(include_path=folder)
    for task in task_file.tasks:
        if task not in manager.all_tasks:
            raise StudyError(f"tasks: '{task}': {nearest(task, manager.all_tasks)}")
    return manager


def _open(name: str, task_file: TaskFile) -> "BytegapLM":
    from bytegap.lm_eval.model import BytegapLM

    return BytegapLM(
        name,
        context=task_file.context,
        mc_passes=task_file.mc_passes,
        points=task_file.points,
        steps=task_file.steps,
    )


def _weights_sha256(name: str) -> str:
    """A hash of the model's weight files; of none where there are none, which opening the model reports."""
    folder = Path(name.removeprefix(PREFIX))
    return digest([file_sha256(file) for file in sorted(folder.glob("*.safetensors"))])


def _evaluate(model: "BytegapLM", manager: "TaskManager", task_file: TaskFile, task: str) -> dict[str, Any]:
    """What the harness returns for one task: nested dictionaries without a declared type."""
    from lm_eval import evaluator

    if task_file.run_code:
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"  # required by the harness's code metrics
    try:
        return dict(
            evaluator.simple_evaluate(
                model,
                tasks=[task],
                num_fewshot=task_file.shots,
                limit=task_file.limit,
                task_manager=manager,
                log_samples=False,
                confirm_run_unsafe_code=task_file.run_code,
            )
            or {}
        )
    except OSError as error:
        reason = " ".join(str(error).split())
        raise EvaluateError(
            f"task '{task}': its data set is not available ({reason}): run it where the Hugging Face Hub can be "
            "reached, or copy that machine's cache (HF_HOME) and set HF_HUB_OFFLINE=1"
        ) from None
    except ValueError as error:
        if "unsafe" not in str(error) and "HF_ALLOW_CODE_EVAL" not in str(error):
            raise
        raise EvaluateError(
            f"task '{task}' runs generated code: set run_code = true to allow it, in a sandbox only"
        ) from None


def _result(
    model: "BytegapLM",
    key: _Key,
    raw: dict[str, Any],  # as `_evaluate` returns it
) -> LmEvalTask:
    """The numbers by task and metric, and the errors of the likelihoods."""
    name, weights, task = key
    errors = model.likelihood_errors()
    metrics = {
        each: FrozenDict({metric: _finite(value) for metric, value in own.items() if isinstance(value, (int, float))})
        for each, own in raw["results"].items()
    }
    return LmEvalTask(
        model=name,
        weights_sha256=weights,
        requested=task,
        name=model.model.name,
        exact=model.model.objective.is_exact,
        metrics=FrozenDict(metrics),
        examples=FrozenDict({each: samples["effective"] for each, samples in raw.get("n-samples", {}).items()}),
        shots=FrozenDict(raw.get("n-shot", {})),
        versions=FrozenDict({each: str(value) for each, value in raw.get("versions", {}).items()}),
        likelihood_error=FrozenDict({each: errors[each] for each in metrics if each in errors}),
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _print(results: LmEvalResults) -> None:
    """A line for each metric: its value, its standard error over examples, and that of the likelihoods, in nats.

    A value that is NaN or infinite is shown as "not finite".
    """
    table = Table()
    for heading in ("model", "task", "metric"):
        table.add_column(heading)
    for heading in ("value", "se", "se of nats"):
        table.add_column(heading, justify="right")
    for result in results.tasks:
        for task, metrics in result.metrics.items():
            error = result.likelihood_error.get(task)
            nats_se = "" if error is None else "exact" if result.exact else f"{error.mean_se_nats:.3f}"
            for metric, value in metrics.items():
                name, _, filter_name = metric.partition(",")
                if name.endswith("_stderr") or not filter_name:
                    continue
                stderr = metrics.get(f"{name}_stderr,{filter_name}")
                shown = "not finite" if value is None else f"{value:.4f}"
                table.add_row(result.name, task, name, shown, "" if stderr is None else f"{stderr:.4f}", nats_se)
    show(table)
