"""Which sizes to add where the best size of a cell is its smallest or its largest.

Uses validation losses, never test losses. A cell grows by one size a round, towards the lower end of the loss.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

from bytegap.plan.grid import ArmContext, can_train, runs_of_size
from bytegap.schema.plan import RunSpec


def missing_sizes(context: ArmContext, scored: Iterable[tuple[RunSpec, float]]) -> list[RunSpec]:
    """The runs that an arm's cells lack to bracket their minima.

    `scored` has the arm's runs that have a validation score, each with its validation BPB.
    """
    cells: dict[float, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run, bpb in scored:
        cells[run.budget_flops][run.non_embedding_parameters].append(bpb)
    added: list[RunSpec] = []
    for budget, losses in cells.items():
        sizes = sorted(losses)
        means = [sum(losses[size]) / len(losses[size]) for size in sizes]
        best = means.index(min(means))
        if best == 0:
            added += _next_size(context, budget, sizes[0], step=-context.study.grid.spacing)
        if best == len(sizes) - 1:
            added += _next_size(context, budget, sizes[-1], step=context.study.grid.spacing)
    return added


def _next_size(context: ArmContext, budget: float, edge: int, *, step: int) -> list[RunSpec]:
    """The runs of the size `step` after that of `edge` parameters.

    None where the family has no smaller size, or the budget cannot train a larger one.
    """
    index = context.size_index(edge) + step
    if index < 0 or not can_train(context, next(islice(context.sizes(), index, None)), budget):
        return []
    return runs_of_size(context, budget, index)
