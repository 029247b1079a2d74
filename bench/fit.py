"""Prints how long 4000 bootstraps of a Chinchilla fit of 240 rows take: `python bench/fit.py [BOOTSTRAPS]`."""

import sys
import time

import numpy as np

from bytegap.fit.chinchilla import fit_law
from bytegap.laws import chinchilla_bpb

ROWS = 240


def main(bootstraps: int) -> None:
    """One table drawn from the law of Besiroglu et al. 2024, 1 % noise."""
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(np.log(4e7), np.log(1.6e10), ROWS))
    tokens = np.exp(rng.uniform(np.log(6e18), np.log(3e21), ROWS)) / 6 / params
    loss = chinchilla_bpb(params, tokens, 1.8172, (482.01, 2085.43), (0.3478, 0.3658))
    loss *= np.exp(0.01 * rng.standard_normal(ROWS))
    for draws in (0, bootstraps):
        start, start_cpu = time.perf_counter(), time.process_time()
        law = fit_law(params, tokens, loss, draws, rng)
        took_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
        print(f"{draws} bootstraps of {ROWS} rows: {took_s:.2f} s, of CPU {cpu_s:.2f} s, objective {law.objective:.6g}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
