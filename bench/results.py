"""Writes what benchmarks measure to `bench/results/NAME.json`, with the machine, and all of them as README.md."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch

RESULTS = Path(__file__).parent / "results"
_REPORTED_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")

Row = dict[str, str | float | int | None]
"""One measurement by column; None where it was not made."""


def machine() -> dict[str, str | int]:
    """What the times depend on: processor, GPU, versions."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "instructions": " ".join(flag for flag in _REPORTED_INSTRUCTIONS if flag in flags),
        "GPU": gpu,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def interleaved(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each action over rounds in which all take turns, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: median(own) for name, own in times.items()}


def write(name: str, title: str, rows: list[Row]) -> None:
    """Write a benchmark's rows, print them, and write the tables of all benchmarks again."""
    RESULTS.mkdir(exist_ok=True)
    command = " ".join(["python", *map(_without_folder, sys.argv)])
    result = {"title": title, "machine": machine(), "command": command, "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(_table(result))
    tables = [_table(json.loads(file.read_text(encoding="utf-8"))) for file in sorted(RESULTS.glob("*.json"))]
    (RESULTS / "README.md").write_text("# Benchmarks\n\n" + "\n".join(tables), encoding="utf-8")


def _without_folder(argument: str) -> str:
    """An argument without the folders of this machine."""
    return Path(argument).name if argument.startswith("/") else argument


def _table(result: dict) -> str:
    """A benchmark as Markdown."""
    columns = list(dict.fromkeys(key for row in result["rows"] for key in row))
    cells = [[_cell(row.get(column)) for column in columns] for row in result["rows"]]
    lines = [" | ".join(line) for line in [columns, ["---"] * len(columns), *cells]]
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items() if value not in {"", "none"})
    return f"## {result['title']}\n\n`{result['command']}`: {machine}.\n\n" + "".join(f"| {line} |\n" for line in lines)


def _cell(value: str | float | None) -> str:
    if value is None:
        return "not measured"
    return value if isinstance(value, str) else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
