"""Coverage of the fit's 95 % intervals over simulated studies.

    python bench/coverage.py [--studies 2000] [--noise 0.005]

Two sets of laws for four arms, three budgets each and five sizes per budget: AR's parity is beyond the budgets in one,
and within them in the other. Runs scatter by `noise`. Prints the table in docs/method.md.
"""

import argparse
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from bytegap.console import track
from bytegap.fit.cells import fit_cells
from bytegap.fit.estimands import estimate
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.scaling.laws import Law
from bytegap.schema.fit import Estimand

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.helpers.synthetic_runs import BUDGETS, LAWS, simulated_rows

NEAR_PARITY = LAWS | {
    "byte-ar": Law.through(2.2, 4e13, 150e3, exponents=(0.44, 0.40)),
    "bpe512-ar": Law.through(2.2, 4e13, 150e3, exponents=(0.30, 0.26)),
}
EQUAL_BUDGETS = dict.fromkeys(LAWS, (10000000000000.0, 40000000000000.0, 160000000000000.0))
LAW_SETS = {"parity beyond the budgets": (LAWS, BUDGETS), "parity within the budgets": (NEAR_PARITY, EQUAL_BUDGETS)}
BOOTSTRAPS = 400

Hit = tuple[str, bool, float]
"""(estimand, whether its interval covers the truth, the interval's width in natural log)."""


def study(seed: int, *, law_set: str, noise: float) -> list[Hit]:
    """Simulate and fit one study."""
    laws, budgets = LAW_SETS[law_set]
    rows = simulated_rows(laws, budgets, noise=noise, seed=seed)
    cells = fit_cells(rows, BOOTSTRAPS, np.random.default_rng(seed)).cells
    arms = arms_of(rows, cells)
    frontiers, _ = fit_frontiers(arms)
    found = [row for row in estimate(arms, frontiers) if row.form == "shared irreducible loss"]
    return [hit for row in found if row.headline or row.name == "parity" for hit in _hits(row, laws)]


def _hits(row: Estimand, laws: dict[str, Law]) -> list[Hit]:
    if row.quantity.ci95 is None or row.label == "censored":
        return []
    own = [laws[arm] for arm in row.arms]
    if row.name == "parity":
        truth = _parity(*own)
        what = f"parity, {row.objective}, {row.label}"
    else:
        ln_flops = [np.log(law.flops(row.at_bpb)) for law in own]
        truth = ln_flops[0] - ln_flops[1] - (ln_flops[2] - ln_flops[3] if len(own) > 2 else 0.0)
        what = f"{'I' if row.name == 'interaction' else 'k'}, {row.objective}"
    low, high = row.quantity.ci95 if row.name == "interaction" else np.log(row.quantity.ci95)
    return [(what, bool(low <= truth <= high), float(high - low))]


def _parity(byte: Law, other: Law) -> float:
    """The least ln C at which the byte frontier falls to the other; infinite where it never does."""
    ln_flops = np.log(np.geomspace(1e6, 1e40, 20_000))
    below = np.flatnonzero([byte.bpb(flops) <= other.bpb(flops) for flops in np.exp(ln_flops)])
    return float(ln_flops[below[0]]) if len(below) else np.inf


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--noise", type=float, default=0.005)
    chosen = parser.parse_args()
    print("| laws | estimand | studies with an interval | intervals that cover the truth | median width, ln |")
    print("|---|---|---|---|---|")
    with ProcessPoolExecutor() as pool:
        for law_set in LAW_SETS:
            draw = partial(study, law_set=law_set, noise=chosen.noise)
            hits: dict[str, list[Hit]] = defaultdict(list)
            for found in track(pool.map(draw, range(chosen.studies), chunksize=8), law_set, total=chosen.studies):
                for hit in found:
                    hits[hit[0]].append(hit)
            for what, own in sorted(hits.items()):
                covered = np.mean([hit[1] for hit in own])
                print(f"| {law_set} | {what} | {len(own)} | {covered:.1%} | {np.median([hit[2] for hit in own]):.2f} |")


if __name__ == "__main__":
    main()
