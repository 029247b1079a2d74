"""Put models before tasks of lm-evaluation-harness. Reads a file as `study.py` says, the models, and the tasks' data.

Writes out/NAME/harness.json after each task of each model, and goes on from there. Tasks' data sets come from the
Hugging Face Hub or its cache on this machine.
"""

import math
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from bytegap.console import say, show
from bytegap.errors import EvaluateError, StudyError, nearest
from bytegap.harness.study import Downstream, load
from bytegap.pretrained import PREFIX
from bytegap.records import Estimated, Harness, HarnessTask, digest
from bytegap.store import Folder, file_digest, standing, write_record


def run(path: Path, out: Path) -> Harness:
    """Ask every model every task that is not answered yet.

    Raises StudyError for a task that the harness does not know, EvaluateError where the harness is not installed, a
    data set cannot be had, or a task would run code that it may not.
    """
    study = load(path)
    simple_evaluate, harnessed, manager = _harness(study)
    to = Folder(out / study.name).harness
    inputs = digest([study.model_dump(mode="json", exclude={"models", "tasks"}), version("lm_eval")])
    found = standing(to, Harness, inputs)
    answered = {(each.model, each.weights, each.asked): each for each in found.tasks} if found else {}
    wanted = []
    for model in study.models:
        weights, opened = _weights(model), None
        for task in study.tasks:
            key = (model, weights, task)
            if key not in answered:
                opened = opened or harnessed(
                    model, context=study.context, passes=study.passes, points=study.points, steps=study.steps
                )
                say("harness", f"{opened.trained.name}: {task}")
                raw = _answers(simple_evaluate, opened, manager, study, task)
                answered[key] = _record(opened, key, raw)
                write_record(to, Harness(inputs=inputs, tasks=list(answered.values())))
            wanted.append(answered[key])
    result = Harness(inputs=inputs, tasks=wanted)
    write_record(to, result)
    _print(result)
    say("harness", f"{len(wanted)} answers: {to}")
    return result


def _harness(study: Downstream) -> tuple[Any, Any, Any]:
    """The harness's function, our model class, and the tasks it knows, those of the study's folder alone if they do."""
    try:
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError as error:
        message = f"the harness needs the package '{error.name}': pip install 'bytegap[eval]'"
        raise EvaluateError(message) from None
    from bytegap.harness.model import Harnessed

    if study.folder is not None and not study.folder.is_dir():
        message = f"folder = '{study.folder}': no such folder; paths start at the current directory, {Path.cwd()}"
        raise StudyError(message)
    manager = TaskManager(include_path=study.folder, include_defaults=False) if study.folder else None
    if manager is None or not set(study.tasks) <= set(manager.all_tasks):
        manager = TaskManager(include_path=study.folder)
    for task in study.tasks:
        if task not in manager.all_tasks:
            message = f"tasks: '{task}': {nearest(task, manager.all_tasks)}"
            raise StudyError(message)
    return simple_evaluate, Harnessed, manager


def _weights(model: str) -> str:
    """What the model's weights are; nothing where it has none, which opening it will say."""
    home = Path(model.removeprefix(PREFIX))
    return digest([file_digest(file) for file in sorted(home.glob("*.safetensors"))])


def _answers(simple_evaluate: Any, model: Any, manager: Any, study: Downstream, task: str) -> dict[str, Any]:
    if study.run_code:
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"  # what the harness's code metrics ask for
    try:
        return simple_evaluate(
            model,
            tasks=[task],
            num_fewshot=study.shots,
            limit=study.limit,
            task_manager=manager,
            log_samples=False,
            confirm_run_unsafe_code=study.run_code,
        )
    except OSError as error:
        reason = " ".join(str(error).split())
        message = (
            f"task '{task}': its data cannot be had ({reason}): run it where the Hugging Face Hub can be reached, or "
            "bring that machine's cache (HF_HOME) and set HF_HUB_OFFLINE=1"
        )
        raise EvaluateError(message) from None
    except ValueError as error:
        if "unsafe" not in str(error) and "HF_ALLOW_CODE_EVAL" not in str(error):
            raise
        message = f"task '{task}' runs the code that a model writes: run_code = true allows it; do so in a sandbox"
        raise EvaluateError(message) from None


def _record(model: Any, key: tuple[str, str, str], raw: dict[str, Any]) -> HarnessTask:
    """Of what the harness says, the numbers by task and metric, and the estimate's own error."""
    name, weights, asked = key
    own = raw["config"]["estimate"]
    results = {
        task: {metric: _finite(value) for metric, value in metrics.items() if isinstance(value, (int, float))}
        for task, metrics in raw["results"].items()
    }
    return HarnessTask(
        model=name,
        weights=weights,
        asked=asked,
        name=model.trained.name,
        exact=model.trained.objective.EXACT,
        metrics=results,
        questions={task: samples["effective"] for task, samples in raw.get("n-samples", {}).items()},
        shots=raw.get("n-shot", {}),
        versions={task: str(value) for task, value in raw.get("versions", {}).items()},
        estimate={task: Estimated(**own[task]) for task in results if task in own},
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _print(result: Harness) -> None:
    """One line a metric: its value, the standard error over questions, and that of the likelihoods' estimate.

    A value that is NaN or infinite is shown as "not finite".
    """
    table = Table()
    for heading in ("model", "task", "metric"):
        table.add_column(heading)
    for heading in ("value", "se", "nats' se"):
        table.add_column(heading, justify="right")
    for each in result.tasks:
        for task, metrics in each.metrics.items():
            own = each.estimate.get(task)
            for metric, value in metrics.items():
                measure, _, way = metric.partition(",")
                if measure.endswith("_stderr") or not way:
                    continue
                error = metrics.get(f"{measure}_stderr,{way}")
                shown = "" if own is None else "exact" if each.exact else f"{own.mean_se_nats:.3f}"
                told = "not finite" if value is None else f"{value:.4f}"
                table.add_row(each.name, task, measure, told, "" if error is None else f"{error:.4f}", shown)
    show(table)
