"""Train every run of the plan that has no record yet, in worker processes, with a live display.

Reads plan.json and tokens/; writes runs/ID/. A run is claimed by a lock on its folder, so several workers, or the same
command started twice, never train one twice.
"""

import multiprocessing
import queue
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bytegap import numerics
from bytegap.console import console, say
from bytegap.errors import BytegapError, StoreError
from bytegap.records import Plan, RunRecord, RunSpec, TokensManifest
from bytegap.shards import verify
from bytegap.store import Folder, read_record
from bytegap.study import Track
from bytegap.train import track as tracking
from bytegap.train.devices import Devices
from bytegap.train.run import told_of, train_run
from bytegap.train.stopping import Stopping

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from multiprocessing.queues import Queue

Event = tuple[int, str, str, int, float, float]
"""(worker, what happened: step | done | failed, run id, steps done, loss, symbols a second); or trouble, and what."""

_PATIENCE_S, _AGAIN_S = 5.0, 1.0


def run(folder: Folder, workers: int | None = None, rows_at_once: int = 0, track: Track | None = None) -> None:
    """Bring every planned run to its record; says which failed and why."""
    plan = read_record(folder.plan, Plan, "plan")
    waiting = [spec for spec in plan.specs if not finished(folder, spec)]
    if not waiting:
        say("train", f"up to date: all {len(plan.specs)} runs have their records")
        return
    if (device := waiting[0].numerics.device) == "cuda" and not torch.cuda.is_available():
        message = f"{folder.plan}: planned for {device}, and there is none here: train where it is, or delete the plan"
        raise BytegapError(message)
    tracking.check(track)
    check_shards(folder, waiting)
    waiting.sort(key=lambda spec: -spec.flops)  # longest first, so that no core idles at the end
    context = multiprocessing.get_context("spawn")
    events: Queue[Event] = context.Queue()
    processes = [
        context.Process(target=_work, args=(number, waiting, folder.root, events, rows_at_once, track), daemon=True)
        for number in range(min(workers or plan.workers, len(waiting)))
    ]
    for process in processes:
        process.start()
    display = _Display(plan, waiting)
    try:
        with Live(console=console(), get_renderable=display.render, refresh_per_second=2, transient=True):
            while any(process.is_alive() for process in processes) or not events.empty():
                try:
                    display.take(events.get(timeout=0.5))
                except queue.Empty:
                    continue
    finally:
        _end(processes)
    if display.trouble:
        raise BytegapError(display.trouble)
    left = sum(not finished(folder, spec) for spec in plan.specs)
    if left:  # by workers that died; one that outlives another trains what that one had claimed
        codes = ", ".join(str(process.exitcode) for process in processes if process.exitcode)
        message = f"training workers ended with exit code {codes}, {left} runs are left: run 'bytegap train' again"
        raise BytegapError(message)
    failed = [record for spec in plan.specs if (record := _record(folder, spec)).status == "failed"]
    for record in failed:
        say("train", f"run {record.run} failed: {record.reason} (delete {folder.run(record.run)} to train it again)")
    say("train", f"{len(plan.specs) - len(failed)} of {len(plan.specs)} runs finished in {display.elapsed}")


def _end(processes: "list[SpawnProcess]") -> None:
    """Workers that still train are asked to write their checkpoints and leave, then made to."""
    for process in processes:
        if process.is_alive():
            process.terminate()
    for process in processes:
        process.join(_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _work(  # noqa: PLR0913, PLR0917 - the arguments of a process
    number: int, waiting: list[RunSpec], root: Path, events: "Queue[Event]", rows_at_once: int, track: Track | None
) -> None:
    """One worker: claim what nobody has, train it; ends when all is trained, or who started it is gone.

    What another worker has claimed is waited for: should that one die, its claim is free and its run goes on here.
    """
    folder, parent, stopping = Folder(root), multiprocessing.parent_process(), Stopping()
    stopping.listen()
    numerics.settle(number)

    def report(run: str, steps: int, loss: float, speed: float) -> None:
        if parent and not parent.is_alive():
            stopping.asked = True
        events.put((number, "step", run, steps, loss, speed))

    def trained(spec: RunSpec) -> bool:
        """Whether this run has its record by now, if need be from here; no where somebody else has claimed it."""
        home = folder.run(spec.id)
        home.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(home / "lock", timeout=0):
                if not finished(folder, spec):
                    record = train_run(spec, folder, report, stopping, Devices(rows_at_once=rows_at_once), track)
                    kind = "done" if record.status == "finished" else "failed"
                    events.put((number, kind, spec.id, record.steps, 0.0, 0.0))
        except Timeout:
            return False
        return True

    left = waiting
    try:
        while left := [spec for spec in left if not trained(spec)]:
            if parent and not parent.is_alive():
                return
            time.sleep(_AGAIN_S)
    except BytegapError as error:  # the folder's or the disk's: no other run would fare better
        events.put((number, "trouble", str(error), 0, 0.0, 0.0))


def check_shards(folder: Folder, specs: Iterable[RunSpec]) -> None:
    """StoreError where the symbols that these runs would train on, or be told of, are not those that were written."""
    for name in {name for spec in specs for name in (spec.tokens, told_of(spec)) if name}:
        place = folder.tokens_of(name)
        manifest = read_record(place / "manifest.json", TokensManifest, "tokens")
        verify(place, manifest.stream)
        verify(place, manifest.lengths)


def finished(folder: Folder, spec: RunSpec) -> bool:
    """Whether the run has its record; a damaged one is none."""
    if not (folder.run(spec.id) / "record.json").exists():
        return False
    try:
        _record(folder, spec)
    except StoreError as error:
        say("train", f"{error}: training it again")
        return False
    return True


def _record(folder: Folder, spec: RunSpec) -> RunRecord:
    return read_record(folder.run(spec.id) / "record.json", RunRecord, "train")


class _Display:
    """What runs, how fast, how far, how much longer."""

    def __init__(self, plan: Plan, waiting: list[RunSpec]) -> None:
        self.specs = {spec.id: spec for spec in waiting}
        self.total_flops = sum(spec.flops for spec in waiting)
        self.runs = (len(plan.specs) - len(waiting), len(plan.specs))
        self.steps: dict[str, int] = {}
        self.latest: dict[int, Event] = {}
        self.start = time.monotonic()
        self.done = 0
        self.trouble = ""
        """What no run can be trained for."""

    def take(self, event: Event) -> None:
        worker, kind, run, steps, _, _ = event
        if kind == "trouble":
            self.trouble = run
            return
        self.steps[run] = steps
        if kind == "step":
            self.latest[worker] = event
        else:
            self.latest.pop(worker, None)
            self.done += 1

    @property
    def spent_flops(self) -> float:
        return sum(self.specs[run].flops * steps / self.specs[run].steps for run, steps in self.steps.items())

    @property
    def elapsed(self) -> str:
        return _clock(time.monotonic() - self.start)

    def render(self) -> Any:
        table = Table.grid(padding=(0, 2))
        spent = max(self.spent_flops, 1.0)
        left = (time.monotonic() - self.start) * (self.total_flops / spent - 1)
        before, total = self.runs
        head = f"  train  {before + self.done}/{total} runs  {spent:.2e} of {self.total_flops:.2e} FLOPs"
        table.add_row(Text(f"{head}  {self.elapsed} gone, about {_clock(left)} left", style="bold"))
        for _, _, run, steps, loss, speed in self.latest.values():
            spec = self.specs[run]
            bar = "#" * round(20 * steps / spec.steps)
            table.add_row(
                f"         {run} {spec.arm:<10} N={spec.non_embedding_parameters:>9,} [{bar:<20}] "
                f"{loss:6.3f} nats/symbol {speed:9,.0f} symbols/s"
            )
        return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(min(seconds, 359_999)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
