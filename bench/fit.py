"""How long fits take: a Chinchilla law of 240 rows with 4,000 bootstraps, and everything that a study's runs say.

    python bench/fit.py [RUNS.jsonl]

RUNS.jsonl is a study's table, `results/laptop/runs.jsonl` unless another is named.
"""

import sys
import time
from pathlib import Path

import numpy as np

from bytegap.fit.chinchilla import fit_law
from bytegap.fit.stage import BOOTSTRAPS, fit_rows
from bytegap.laws import chinchilla_bpb
from bytegap.records import RunRow
from bytegap.store import read_table
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
    took = {"s": time.perf_counter() - start, "s of CPU": time.process_time() - start_cpu}
    return {"what": f"Chinchilla's law, {ROWS} rows", "bootstraps": bootstraps} | took


def study(table: Path) -> Row:
    """Cells, frontiers, estimands and every convention."""
    rows = read_table(table, RunRow, "runs")
    start, start_cpu = time.perf_counter(), time.process_time()
    fit_rows(rows)
    took = {"s": time.perf_counter() - start, "s of CPU": time.process_time() - start_cpu}
    return {"what": f"a study's fit.json, {len(rows)} runs", "bootstraps": BOOTSTRAPS} | took


if __name__ == "__main__":
    main()
