"""Time of fits: a Chinchilla law of 240 runs with 4,000 bootstraps, and the complete fit of a study.

    python bench/fit.py [RUNS.jsonl]

RUNS.jsonl is a study's table, `results/laptop/runs.jsonl` if left out. Writes bench/results/fit.json.
"""

import sys
import time
from pathlib import Path

import numpy as np

from bytegap.fit.stage import BOOTSTRAPS, fit_rows
from bytegap.scaling.chinchilla import fit_law
from bytegap.scaling.laws import chinchilla_bpb
from bytegap.study.directory import RUNS
from results import Row, write

ROWS = 240
LAPTOP = Path(__file__).parents[1] / "results" / "laptop" / "runs.jsonl"


def main() -> None:
    """Measure, and write bench/results/fit.json."""
    table = Path(sys.argv[1]) if len(sys.argv) > 1 else LAPTOP
    write("fit", "Fits", [*(chinchilla(draws) for draws in (0, 4000)), study(table)])


def chinchilla(bootstraps: int) -> Row:
    """One table drawn from the law of Besiroglu et al. 2024, 1 % noise."""
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(np.log(4e7), np.log(1.6e10), ROWS))
    tokens = np.exp(rng.uniform(np.log(6e18), np.log(3e21), ROWS)) / 6 / params
    loss = chinchilla_bpb(params, tokens, 1.8172, (482.01, 2085.43), (0.3478, 0.3658))
    loss *= np.exp(0.01 * rng.standard_normal(ROWS))
    start, start_cpu = time.perf_counter(), time.process_time()
    fit_law(params, tokens, loss, bootstraps, rng)
    times = {"s": time.perf_counter() - start, "s of CPU": time.process_time() - start_cpu}
    return {"what": f"Chinchilla law, {ROWS} runs", "bootstraps": bootstraps} | times


def study(table: Path) -> Row:
    """Cells, frontiers, estimands and all conventions of a study's runs."""
    rows = RUNS.read(table)
    start, start_cpu = time.perf_counter(), time.process_time()
    fit_rows(rows)
    times = {"s": time.perf_counter() - start, "s of CPU": time.process_time() - start_cpu}
    return {"what": f"a study's fit.json, {len(rows)} runs", "bootstraps": BOOTSTRAPS} | times


if __name__ == "__main__":
    main()
