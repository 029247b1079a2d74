"""How the headline estimates move with choices that are not FLOPs conventions: the gate on cells, the windows' edges.

Gate: a cell is used where its minimum is at least this far below its tokenizer's unigram model, 0.5 BPB in the fit.
Edge: where scoring windows end. The n-gram baselines stay those of the study's own edge.

Estimates are at the losses and in the forms of the fit's headlines. Arms whose headline is no estimate get their new
headline as well, where it is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bytegap.fit.cells import LEARNS_CONTEXT_BPB, fit_cells
from bytegap.fit.estimands import comparisons, estimate
from bytegap.fit.frontiers import arms_of, fit_frontiers
from bytegap.fit.reestimate import BOOTSTRAPS, DefaultFit, estimate_again, headlines_and_parities
from bytegap.schema.fit import EdgeResult, Estimand, GateResult
from bytegap.schema.runs import RunRow

GATES_BPB = (0.4, 0.7)


@dataclass(frozen=True)
class _Refit:
    cells_in_frontier: int
    estimands: tuple[Estimand, ...]


def by_gate(rows: Sequence[RunRow], default: DefaultFit, bootstraps: int, seed: int) -> list[GateResult]:
    """The fit's own gate, then each of `GATES_BPB`."""
    gates = [
        GateResult(
            gate_bpb=LEARNS_CONTEXT_BPB,
            bootstraps=bootstraps,
            cells_in_frontier=default.cells_in_frontier,
            estimands=tuple(headlines_and_parities(default.estimands)),
        )
    ]
    fewer = min(bootstraps, BOOTSTRAPS)
    for gate in GATES_BPB:
        found = _refit(rows, default, fewer, seed, gate)
        gates.append(GateResult(gate_bpb=gate, bootstraps=fewer, **vars(found)))
    return gates


def by_edge(rows: Sequence[RunRow], default: DefaultFit, bootstraps: int, seed: int) -> list[EdgeResult]:
    """The study's own edge, then each other that all finished runs were scored under; empty where there is none."""
    scored = [row for row in rows if row.status == "finished" and row.bpb]
    others = [edge for edge in scored[0].bpb_by_edge if all(edge in row.bpb_by_edge for row in scored)]
    others = [edge for edge in others if edge != scored[0].edge]
    if not others:
        return []
    edges = [
        EdgeResult(
            edge=scored[0].edge,
            bootstraps=bootstraps,
            cells_in_frontier=default.cells_in_frontier,
            estimands=tuple(headlines_and_parities(default.estimands)),
        )
    ]
    fewer = min(bootstraps, BOOTSTRAPS)
    for edge in others:
        found = _refit([_at_edge(row, edge) for row in scored], default, fewer, seed, LEARNS_CONTEXT_BPB)
        edges.append(EdgeResult(edge=edge, bootstraps=fewer, **vars(found)))
    return edges


def _at_edge(row: RunRow, edge: str) -> RunRow:
    """The row with its scores under another edge; the standard error is the same share of BPB."""
    assert row.bpb
    bpb = row.bpb_by_edge[edge]
    scores = {
        "edge": edge,
        "bpb": bpb,
        "bpb_se": None if row.bpb_se is None else row.bpb_se * bpb / row.bpb,
        "document_nats": row.document_nats_by_edge.get(edge, row.document_nats),
    }
    return row.model_copy(update=scores)


def _refit(rows: Sequence[RunRow], default: DefaultFit, bootstraps: int, seed: int, gate_bpb: float) -> _Refit:
    arms = arms_of(rows, fit_cells(rows, bootstraps, np.random.default_rng(seed), gate_bpb).cells)
    frontiers, _ = fit_frontiers(arms)
    headlines = headlines_and_parities(default.estimands)
    again = list(estimate_again(headlines, arms, frontiers))
    known = {row.arms for row in headlines if row.headline and row.label == "estimated"}
    if all(tuple(arm.name for arm in compared) in known for compared in comparisons(default.arms)):
        return _Refit(sum(arm.budgets for arm in arms), tuple(again))
    new = [
        row for row in estimate(arms, frontiers) if row.headline and row.label == "estimated" and row.arms not in known
    ]
    return _Refit(sum(arm.budgets for arm in arms), (*again, *new))
