"""Where benchmarks put what they find: `bench/results/NAME.json`, with the machine, and all of them as one table."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch

HERE = Path(__file__).parent / "results"
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")

Row = dict[str, str | float | int | None]
"""One measurement; None where it was not made."""


def machine() -> dict[str, str | int]:
    """What a figure cannot be read without."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": " ".join(flag for flag in _TELLING_FLAGS if flag in flags),
        "GPU": gpu,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def interleaved(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each action over rounds in which all take turns, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: median(own) for name, own in times.items()}


def write(name: str, title: str, rows: list[Row]) -> None:
    """Keep a benchmark's rows, print them, and draw the table of all benchmarks anew."""
    HERE.mkdir(exist_ok=True)
    command = " ".join(["python", *map(_shown, sys.argv)])
    found = {"title": title, "machine": machine(), "command": command, "rows": rows}
    (HERE / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(_table(found))
    parts = [_table(json.loads(file.read_text(encoding="utf-8"))) for file in sorted(HERE.glob("*.json"))]
    (HERE / "README.md").write_text("# What takes how long\n\n" + "\n".join(parts), encoding="utf-8")


def _shown(argument: str) -> str:
    """An argument without the folders of this machine."""
    return Path(argument).name if argument.startswith("/") else argument


def _table(found: dict) -> str:
    columns = list(dict.fromkeys(key for row in found["rows"] for key in row))
    cells = [[_cell(row.get(column)) for column in columns] for row in found["rows"]]
    lines = [" | ".join(line) for line in [columns, ["---"] * len(columns), *cells]]
    made_on = ", ".join(f"{key} {value}" for key, value in found["machine"].items() if value not in {"", "none"})
    return f"## {found['title']}\n\n`{found['command']}`: {made_on}.\n\n" + "".join(f"| {line} |\n" for line in lines)


def _cell(value: str | float | None) -> str:
    if value is None:
        return "not measured"
    return value if isinstance(value, str) else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
