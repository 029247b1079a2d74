"""Coverage and width of the fit's 95 % intervals over simulated studies that are not of the fit's own form.

    python bench/coverage.py [--studies 200] [--world NAME ...]

Worlds, each with 0.5 % of noise per run:
    own E          Chinchilla laws fitted to laptop of 26 November 2026, each arm with an irreducible loss of its own
    skewed         frontiers, optima, curvature and skew of that study's curves, again with an E of their own
    quickstart     Chinchilla laws of published exponents on the quickstart's grid of sizes, which is not centred
    laptop         the same on the laptop study's grid
    cell effect    `laptop`, where all runs of a cell and seed share a shift of 0.3 %
    documents      `laptop`, scored on 20 documents whose difficulty varies by arm: this alone gives ln k a standard
                   deviation of 0.05
    noisy documents
                   `documents`, where each masked run has a noise of 0.1 BPB on each document and none on their sum
Headlines have an interval that covers those of all forms of the frontier, as in the verdict.

Writes bench/results/coverage.json, where worlds that are not named keep their rows.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from bytegap.fit.cells import fit_cells
from bytegap.fit.estimands import estimate
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.scaling.laws import Law, frontier_bpb, frontier_flops
from bytegap.schema.fit import Estimand
from bytegap.schema.runs import RunRow
from bytegap.study.comparisons import comparisons

sys.path.insert(0, str(Path(__file__).parents[1]))
from results import RESULTS, Row, write
from tests.helpers.synthetic_runs import simulated_rows

BOOTSTRAPS = 400
NOISE = 0.005
DOCUMENTS = 20
DOCUMENT_BYTES = 4000
SIZES = (2088, 3516, 6736, 13944, 26784, 55536, 100672, 221664, 402048)
"""Non-embedding parameters of the program's sizes."""
EXPONENTS = {"ar": (0.34, 0.28), "mdm": (0.3478, 0.3658)}
"""Hoffmann et al. 2022 (arXiv 2203.15556); Besiroglu et al. 2024 (arXiv 2404.10102)."""

BEFORE: dict[tuple[str, str], tuple[float, float]] = {
    ("own E", "I, mdm - ar"): (0.963, 0.304),
    ("own E", "N_opt"): (0.828, 0.260),
    ("own E", "k, ar"): (0.887, 0.223),
    ("own E", "k, mdm"): (0.887, 0.258),
    ("skewed", "I, mdm - ar"): (0.960, 0.300),
    ("skewed", "N_opt"): (0.539, 0.237),
    ("skewed", "k, ar"): (0.960, 0.181),
    ("skewed", "k, mdm"): (0.980, 0.246),
    ("quickstart", "I, mdm - ar"): (0.962, 0.258),
    ("quickstart", "N_opt"): (0.966, 0.341),
    ("quickstart", "k, ar"): (1.000, 0.144),
    ("quickstart", "k, mdm"): (0.963, 0.151),
    ("laptop", "I, mdm - ar"): (0.963, 0.159),
    ("laptop", "N_opt"): (0.946, 0.127),
    ("laptop", "k, ar"): (0.963, 0.126),
    ("laptop", "k, mdm"): (0.963, 0.112),
    ("cell effect", "I, mdm - ar"): (0.975, 0.171),
    ("cell effect", "N_opt"): (0.961, 0.138),
    ("cell effect", "k, ar"): (0.963, 0.139),
    ("cell effect", "k, mdm"): (0.950, 0.123),
    ("documents", "I, mdm - ar"): (0.863, 0.158),
    ("documents", "N_opt"): (0.946, 0.127),
    ("documents", "k, ar"): (0.938, 0.126),
    ("documents", "k, mdm"): (0.900, 0.112),
}
"""(coverage, median width) of commit 7a3ce7d: parabolas, one noise an objective, three forms; 80 studies a world, 150
of `skewed`, by this file with that commit's package."""

Hit = tuple[str, bool, float]
"""(estimand, whether its interval covers the truth, the interval's width in natural log)."""


class ArmLaw(Protocol):
    """The loss of an arm, its frontier and its optimum."""

    def bpb_of(self, parameters: float, flops: float) -> np.ndarray:
        """Loss of a model of N = `parameters` trained with C = `flops`."""
        ...

    def flops(self, bpb: float) -> float:
        """C(L) of the frontier."""
        ...

    def optimum(self, flops: float) -> float:
        """N of the lowest loss at C."""
        ...


@dataclass(frozen=True)
class Shaped:
    """A frontier E + A C^-g with IsoFLOP curves ln L = ln L(C) + c x^2 + d x^3 about ln N_opt = a + b ln C."""

    E: float
    height: float
    """A C^-g at 1e12 FLOPs."""
    exponent: float
    size: float
    """N_opt at 1e12 FLOPs."""
    size_exponent: float
    curvature: float
    skew: float

    def _frontier(self) -> tuple[float, float, float]:
        return self.E, self.height * 1e12**self.exponent, self.exponent

    def bpb_of(self, parameters: float, flops: float) -> np.ndarray:
        """Loss of a model of N = `parameters` trained with C = `flops`."""
        x = np.log(parameters / self.optimum(flops))
        return frontier_bpb(flops, *self._frontier()) * np.exp(self.curvature * x**2 + self.skew * x**3)

    def flops(self, bpb: float) -> float:
        """C(L) of the frontier."""
        return float(frontier_flops(bpb, *self._frontier()))

    def optimum(self, flops: float) -> float:
        """N of the lowest loss at C."""
        return self.size * (flops / 1e12) ** self.size_exponent


@dataclass(frozen=True)
class World:
    """What is simulated."""

    laws: Mapping[str, ArmLaw]
    budgets: Mapping[str, Sequence[float]]
    sizes: int
    seeds_at_ends: int = 1
    cell_effect: float = 0.0
    document_effect: float = 0.0
    """Standard deviation over documents of an arm's own difficulty."""
    document_noise: float = 0.0
    """Of a masked run's BPB of a document, about that of all documents."""


def published(bpb: Mapping[str, tuple[float, float, float]]) -> dict[str, ArmLaw]:
    """Laws through (BPB, FLOPs, N) of each arm."""
    return {arm: Law.through(*point, exponents=EXPONENTS[arm.split("-")[1]]) for arm, point in bpb.items()}


LAPTOP_BUDGETS = {
    "byte-ar": (2e10, 5.5e10, 1.5e11, 3.8e11, 1e12),
    "bpe512-ar": (1e10, 2.6e10, 6.5e10, 1.6e11, 4e11),
    "byte-mdm": (4.5e11, 1.2e12, 3.2e12, 8e12, 1.9e13, 3.4e13),
    "bpe512-mdm": (1.5e11, 3.6e11, 8.5e11, 1.9e12, 4.2e12),
}
LAPTOP_POINTS = {
    "byte-ar": (2.77, 3e11, 32e3),
    "bpe512-ar": (2.75, 1.6e11, 30e3),
    "byte-mdm": (3.12, 1e13, 110e3),
    "bpe512-mdm": (3.05, 2e12, 48e3),
}
QUICKSTART_BUDGETS = {
    "byte-ar": (2.4e10, 8e10, 2.4e11),
    "bpe512-ar": (8e9, 2.4e10, 8e10),
    "byte-mdm": (6e10, 4e11, 2.2e12),
    "bpe512-mdm": (6e10, 2e11, 6.5e11),
}
QUICKSTART_POINTS = {
    "byte-ar": (2.4, 8e10, 17e3),
    "bpe512-ar": (2.37, 2.6e10, 15e3),
    "byte-mdm": (2.7, 8e11, 40e3),
    "bpe512-mdm": (2.6, 2e11, 22e3),
}
SKEW = -0.0036
OWN_E: dict[str, ArmLaw] = {
    "byte-ar": Law.through(3.0442, 1.5e11, 23_739, 1.721, (0.323, 0.367)),
    "bpe512-ar": Law.through(3.0897, 6.5e10, 15_208, 0.507, (0.127, 0.245)),
    "byte-mdm": Law.through(3.3495, 3.2e12, 47_316, 2.299, (0.360, 0.306)),
    "bpe512-mdm": Law.through(3.2733, 8.5e11, 22_101, 2.117, (0.244, 0.637)),
}
"""Chinchilla laws fitted to the runs of the laptop study of 26 November 2026."""
SKEWED: dict[str, ArmLaw] = {
    "byte-ar": Shaped(0.74, 1.904, 0.1025, 59_900, 0.52, 0.0262, SKEW),
    "bpe512-ar": Shaped(0.0, 2.539, 0.0715, 86_500, 0.61, 0.0187, SKEW),
    "byte-mdm": Shaped(1.31, 2.260, 0.0865, 25_800, 0.52, 0.0247, SKEW),
    "bpe512-mdm": Shaped(1.66, 1.576, 0.1188, 21_700, 0.74, 0.0286, SKEW),
}
"""Fitted to the same runs in the form of an own irreducible loss; the skew is the mean of two arms."""
LAPTOP = World(published(LAPTOP_POINTS), LAPTOP_BUDGETS, sizes=5, seeds_at_ends=2)
WORLDS = {
    "own E": World(OWN_E, LAPTOP_BUDGETS, sizes=5, seeds_at_ends=2),
    "skewed": World(SKEWED, LAPTOP_BUDGETS, sizes=5, seeds_at_ends=2),
    "quickstart": World(published(QUICKSTART_POINTS), QUICKSTART_BUDGETS, sizes=4),
    "laptop": LAPTOP,
    "cell effect": World(LAPTOP.laws, LAPTOP_BUDGETS, sizes=5, seeds_at_ends=2, cell_effect=0.003),
    "documents": World(LAPTOP.laws, LAPTOP_BUDGETS, sizes=5, seeds_at_ends=2, document_effect=0.05),
    "noisy documents": World(
        LAPTOP.laws, LAPTOP_BUDGETS, sizes=5, seeds_at_ends=2, document_effect=0.05, document_noise=0.1
    ),
}


def rows_of(world: World, seed: int) -> list[RunRow]:
    """The rows of one simulated study."""
    rng = np.random.default_rng(seed)
    common_H = 0.15 * rng.standard_normal(DOCUMENTS)
    template = simulated_rows(noise=0.0)[0]
    rows: list[RunRow] = []
    for arm, law in world.laws.items():
        # the effect on ln k is that on ln L over the slope d ln L / d ln C, about 0.06, and two arms contribute
        own_H = common_H + world.document_effect * 0.06 * (DOCUMENTS / 2) ** 0.5 * rng.standard_normal(DOCUMENTS)
        for number, flops in enumerate(world.budgets[arm]):
            first = int(np.argmin(np.abs(np.log(np.array(SIZES) / law.optimum(flops))))) - world.sizes // 2
            first = min(max(first, 0), len(SIZES) - world.sizes)
            ends = number in (0, len(world.budgets[arm]) - 1)
            for replicate in range(world.seeds_at_ends if ends else 1):
                shift = world.cell_effect * rng.standard_normal()
                for parameters in SIZES[first : first + world.sizes]:
                    noise = NOISE * rng.standard_normal() + shift
                    bpb = float(law.bpb_of(parameters, flops) * np.exp(noise))
                    bpb_H = bpb * (1 + own_H) if world.document_effect else np.array([bpb])
                    if arm.endswith("mdm") and world.document_noise:
                        noise_H = world.document_noise * rng.standard_normal(DOCUMENTS)
                        bpb_H = bpb_H + noise_H - noise_H.mean()
                    fields = {
                        "run": f"{len(rows):012x}",
                        "seed": replicate if world.cell_effect else len(rows),
                        "non_embedding_parameters": parameters,
                        "budget_flops": flops,
                        "flops": flops,
                        "tokens": round(flops / 6 / parameters),
                    }
                    rows.append(template.model_copy(update=fields | _of_arm(arm) | _scores(bpb_H)))
    return rows


def _of_arm(arm: str) -> dict[str, object]:
    tokenizer, _, objective = arm.partition("-")
    is_bytes = tokenizer == "byte"
    return {
        "arm": arm,
        "tokenizer": tokenizer,
        "tokenizer_kind": "bytes" if is_bytes else "bpe",
        "objective": objective,
        "vocab_size": 256 if is_bytes else 512,
        "unigram_bpb": 9.0,
    }


def _scores(bpb_H: np.ndarray) -> dict[str, object]:
    """Of documents of equal length; of one without scores by document."""
    fields: dict[str, object] = {"bpb": float(bpb_H.mean()), "bpb_se": 0.0}
    if len(bpb_H) > 1:
        fields["document_nats"] = tuple((bpb_H * DOCUMENT_BYTES * np.log(2)).tolist())
        fields["document_bytes"] = (DOCUMENT_BYTES,) * len(bpb_H)
    return {name: value for name, value in fields.items() if name in RunRow.model_fields}


def study(seed: int, *, world: str) -> list[Hit]:
    """Simulate and fit one study."""
    laws = WORLDS[world].laws
    rows = rows_of(WORLDS[world], seed)
    cells = fit_cells(rows, BOOTSTRAPS, np.random.default_rng(seed)).cells
    arms = arms_of(rows, cells)
    estimands = estimate(arms, fit_frontiers(arms)[0], comparisons(arms))
    hits: list[Hit] = []
    for cell in (fitted.cell for fitted in cells if fitted.cell.in_frontier):
        truth = np.log(laws[cell.arm].optimum(cell.budget_flops))
        hits += _hit("N_opt", truth, np.log(cell.optimum_parameters.ci95 or np.nan))
    for row in estimands:
        if row.headline and row.label == "estimated":
            same = [each for each in estimands if _key(each) == _key(row)]
            ln_flops = [np.log(laws[arm].flops(row.at_bpb or np.nan)) for arm in row.arms]
            truth = ln_flops[0] - ln_flops[1] - (ln_flops[2] - ln_flops[3] if len(row.arms) > 2 else 0.0)
            hits += _hit(f"{'I' if len(row.arms) > 2 else 'k'}, {row.objective}", truth, _covering(same))
    for pair in dict.fromkeys(row.arms for row in estimands if row.name == "parity"):
        own = [row for row in estimands if row.name == "parity" and row.arms == pair]
        hits += _hit(f"parity, {own[0].objective}", _parity(*(laws[arm] for arm in pair)), _covering(own))
    return hits


def _key(row: Estimand) -> tuple[object, ...]:
    return row.name, row.arms, row.at_bpb, row.at_flops, row.label


def _covering(rows: Sequence[Estimand]) -> np.ndarray:
    """The interval in natural log that covers those of all forms; NaN where one is missing."""
    ends = np.array([row.quantity.ci95 or (np.nan, np.nan) for row in rows])
    ln = ends if rows[0].name == "interaction" else np.log(ends)
    return np.array([ln[:, 0].min(), ln[:, 1].max()])


def _hit(what: str, truth: float, ends: np.ndarray) -> list[Hit]:
    low, high = np.broadcast_to(ends, 2)
    return [(what, bool(low <= truth <= high), float(high - low))] if np.isfinite([low, high]).all() else []


def _parity(byte: ArmLaw, other: ArmLaw) -> float:
    """The least ln C at which the byte frontier falls to the other; infinite where it never does."""
    flops = np.geomspace(1e6, 1e40, 5000)
    below = np.flatnonzero([byte.bpb_of(byte.optimum(C), C) <= other.bpb_of(other.optimum(C), C) for C in flops])
    return float(np.log(flops[below[0]])) if len(below) else np.inf


def main() -> None:
    """Measure, and write bench/results/coverage.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--world", nargs="*", default=list(WORLDS))
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    recorded = RESULTS / "coverage.json"
    rows: list[Row] = json.loads(recorded.read_text(encoding="utf-8"))["rows"] if recorded.exists() else []
    table = [row for row in rows if row["world"] not in chosen.world]
    with ProcessPoolExecutor(chosen.workers) as pool:
        for world in chosen.world:
            hits: dict[str, list[Hit]] = defaultdict(list)
            for found in pool.map(partial(study, world=world), range(chosen.studies), chunksize=8):
                for hit in found:
                    hits[hit[0]].append(hit)
            for what, own in sorted(hits.items()):
                covered, width = float(np.mean([hit[1] for hit in own])), float(np.median([hit[2] for hit in own]))
                before, width_before = BEFORE.get((world, what), (None, None))
                row: Row = {"world": world, "estimand": what, "intervals": len(own)}
                table.append(
                    row
                    | {
                        "covered": covered,
                        "width, ln": width,
                        "covered before": before,
                        "width before, ln": width_before,
                    }
                )
                print(table[-1], flush=True)
    write("coverage", f"Coverage of 95 % intervals in {chosen.studies} simulated studies a world", table)


if __name__ == "__main__":
    main()
