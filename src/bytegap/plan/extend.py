"""Where a finished grid's minimum lies at its edge: which size to add.

Reads validation losses, never test. The grid moves by one rung a round, towards the lower end of the loss.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise, takewhile

from bytegap.plan.grid import Setting, fitting, spec
from bytegap.records import RunSpec

_FLANK = 2  # sizes wanted on either side of the best


def missing(setting: Setting, finished: Iterable[tuple[RunSpec, float]]) -> list[RunSpec]:
    """The runs that an arm's cells lack to bracket their minima: (spec, validation BPB) of what was run, in."""
    cells: dict[float, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run, bpb in finished:
        cells[run.budget_flops][run.non_embedding_parameters].append(bpb)
    added = []
    for budget, losses in cells.items():
        sizes = sorted(losses)
        means = [sum(losses[size]) / len(losses[size]) for size in sizes]
        best = means.index(min(means))
        if best < 1:
            added += _towards(setting, budget, sizes[0], up=False)
        if best > len(sizes) - _FLANK:
            added += _towards(setting, budget, sizes[-1], up=True)
    return added


def _towards(setting: Setting, budget: float, edge: int, *, up: bool) -> list[RunSpec]:
    """One run a seed at the rung beyond `edge`; none where the ladder or the budget ends."""
    size = setting.model.parameters
    below = list(takewhile(lambda s: size(s).non_embedding <= 8 * edge, setting.shapes()))
    for lower, upper in pairwise(below):
        shape = upper if up else lower
        at_edge = lower if up else upper
        if size(at_edge).non_embedding == edge and fitting(setting, shape, budget):
            seeds = range(setting.study.seed, setting.study.seed + setting.study.grid.seeds)
            return [spec(setting, shape, budget, seed) for seed in seeds]
    return []
