"""How the headline estimates move with choices that are not FLOPs conventions: the gate on cells, the windows' edges.

Gate: a cell is used where its minimum is at least this far below its tokenizer's unigram model, 0.5 BPB in the fit.
Edge: where scoring windows end. The n-gram baselines stay those of the study's own edge.

Estimates are at the losses and in the forms of the fit's headlines. Arms whose headline is no estimate get their new
headline as well, where it is one.
"""

from collections.abc import Sequence

from bytegap.fit.cells import LEARNS_CONTEXT_BPB
from bytegap.fit.reestimate import DefaultFit, headlines_and_parities, refit
from bytegap.schema.fit import EdgeResult, GateResult
from bytegap.schema.runs import RunRow

GATES_BPB = (0.4, 0.7)


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
    return gates + [
        GateResult(gate_bpb=gate, **vars(refit(rows, default, bootstraps, seed, gate))) for gate in GATES_BPB
    ]


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
    for edge in others:
        moved = [_at_edge(row, edge) for row in scored]
        edges.append(EdgeResult(edge=edge, **vars(refit(moved, default, bootstraps, seed))))
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
