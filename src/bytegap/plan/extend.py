"""Where a finished grid's minimum lies at its edge: which size to add.

Reads validation losses, never test. The grid grows by one size a round, towards the lower end of the loss.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

from bytegap.plan.grid import Setting, fitting, seeds, spec
from bytegap.records import RunSpec


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
        if best == 0:
            added += _towards(setting, budget, sizes[0], up=False)
        if best == len(sizes) - 1:
            added += _towards(setting, budget, sizes[-1], up=True)
    return added


def _towards(setting: Setting, budget: float, edge: int, *, up: bool) -> list[RunSpec]:
    """One run a seed, `spacing` rungs beyond `edge`; none where the ladder or the budget ends."""
    spacing = setting.study.grid.spacing
    sizes = (setting.model.parameters(shape).non_embedding for shape in setting.shapes())
    place = next(place for place, size in enumerate(sizes) if size == edge)
    place += spacing if up else -spacing
    if place < 0:
        return []
    shape = next(islice(setting.shapes(), place, None))
    if not fitting(setting, shape, budget):
        return []
    return [spec(setting, shape, budget, seed) for seed in seeds(setting, budget)]
