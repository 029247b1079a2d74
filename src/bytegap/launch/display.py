"""Progress of training: a live display on a terminal, one log line a minute elsewhere; nothing when quiet."""

import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table
from rich.text import Text

from bytegap.console import console, say, verbosity
from bytegap.schema.plan import RunSpec
from bytegap.train.run import StepReport

_LINE_EVERY_S = 60.0
_MAX_SECONDS = 359_999  # 99:59:59


class Progress:
    """What is done of the runs that are to be trained, and the time that the rest will take."""

    def __init__(self, waiting: Collection[RunSpec], n_runs: int) -> None:
        """`waiting` are the runs without a record, of `n_runs` in the plan."""
        self._specs = {spec.id: spec for spec in waiting}
        self._n_runs = n_runs
        self._ended: set[str] = set()
        self._planned_flops = sum(spec.flops for spec in waiting)
        self._reports: dict[str, StepReport] = {}
        self._running: dict[int, StepReport] = {}
        self._start_s = time.monotonic()

    def step(self, worker: int, report: StepReport) -> None:
        """A worker trains, and says how far it is."""
        self._reports[report.run] = self._running[worker] = report

    def end(self, worker: int, run: str) -> None:
        """A worker finds that the run has its record, trained by itself or by another process."""
        self._ended.add(run)
        if worker in self._running and self._running[worker].run == run:
            del self._running[worker]

    @property
    def elapsed(self) -> str:
        """Time since the start, as text."""
        return _clock(time.monotonic() - self._start_s)

    def line(self) -> str:
        """Runs done of all, FLOPs spent of planned, time elapsed and left."""
        done = self._n_runs - len(self._specs.keys() - self._ended)
        return (
            f"{done} of {self._n_runs} runs done, {self._flops():.2e} of {self._planned_flops:.2e} FLOPs, "
            f"{self.elapsed} elapsed, {self._left()} left"
        )

    def table(self) -> Table:
        """The line, and one row for each run that is being trained."""
        table = Table.grid(padding=(0, 2))
        table.add_row(Text(f"{'train':>8}  {self.line()}", style="bold"))
        for report in self._running.values():
            spec = self._specs[report.run]
            bar = "#" * round(20 * report.step / spec.steps)
            table.add_row(
                f"{'':10}{report.run} {spec.arm:<10} N={spec.non_embedding_parameters:>9,} [{bar:<20}] "
                f"{report.loss_nats:6.3f} nats/token {report.tokens_per_s:9,.0f} tokens/s"
            )
        return table

    def _flops(self, *, here: bool = False) -> float:
        """FLOPs spent on the waiting runs; `here`: since the start, by this process's workers."""
        spent = 0.0
        for run, report in self._reports.items():
            steps = report.step - (report.first_step if here else 0)
            spent += self._specs[run].flops * steps / self._specs[run].steps
        elsewhere = (self._ended & self._specs.keys()) - self._reports.keys()
        return spent if here else spent + sum(self._specs[run].flops for run in elsewhere)

    def _left(self) -> str:
        rate = self._flops(here=True) / max(time.monotonic() - self._start_s, 1e-9)
        return f"about {_clock((self._planned_flops - self._flops()) / rate)}" if rate else "unknown time"


@contextmanager
def shown(progress: Progress) -> Generator[Callable[[], None]]:
    """Show the progress within; what is yielded is to be called every second or so."""
    if verbosity() == "quiet":
        yield lambda: None
    elif console().is_terminal:
        with Live(console=console(), get_renderable=progress.table, refresh_per_second=2, transient=True):
            yield lambda: None
    else:
        yield LinePrinter(progress.line)


class LinePrinter:
    """Logs a line a minute."""

    def __init__(self, line: Callable[[], str]) -> None:
        self._line = line
        self._last_s = time.monotonic()

    def __call__(self) -> None:
        """Log a line if a minute has passed since the last one, or since the start."""
        now = time.monotonic()
        if now - self._last_s >= _LINE_EVERY_S:
            say("train", self._line())
            self._last_s = now


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(min(seconds, _MAX_SECONDS)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
