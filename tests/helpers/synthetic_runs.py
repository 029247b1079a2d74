"""Synthetic rows of runs.jsonl from known Chinchilla laws, for tests of the fit and the report."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bytegap.scaling.laws import Law
from bytegap.schema.base import FrozenDict
from bytegap.schema.runs import RunRow

UNIGRAM_BPB = {"byte": 4.38, "bpe512": 3.45}
BIGRAM_BPB = {"byte": 3.52, "bpe512": 2.94}
VOCABULARY = {"byte": 256, "bpe512": 512}
BYTES_PER_TOKEN = {"byte": 1.0, "bpe512": 2.03}

DOCUMENT_BYTES = 4096
"""Of each held-out document; all are equally hard."""

LAWS = {
    "byte-ar": Law.through(2.25, 1e14, 180e3, exponents=(0.36, 0.32)),
    "bpe512-ar": Law.through(2.05, 1e14, 220e3, exponents=(0.34, 0.30)),
    "byte-mdm": Law.through(2.62, 1e14, 150e3, exponents=(0.32, 0.30)),
    "bpe512-mdm": Law.through(2.27, 1e14, 190e3, exponents=(0.33, 0.29)),
}
"""Bytes cost compute, they cost MDM more, and all arms have an irreducible loss of 0.9 BPB."""

BUDGETS = {
    "byte-ar": (1e13, 4e13, 1.6e14),
    "bpe512-ar": (4e12, 1.6e13, 6.4e13),
    "byte-mdm": (6.4e13, 2.56e14, 1.024e15),
    "bpe512-mdm": (1e13, 4e13, 1.6e14),
}
"""Different per arm, so that the four frontiers have losses in common."""


def simulated_rows(
    laws_by_arm: Mapping[str, Law] = LAWS,
    budgets: Mapping[str, Sequence[float]] = BUDGETS,
    *,
    noise: float = 0.005,
    seed: int = 0,
    sizes: int = 5,
    span: float = 16.0,
    seeds: int = 1,
    off_centre: float = 1.0,
    shared_seeds: bool = False,
) -> list[RunRow]:
    """Rows of a finished study, arms called TOKENIZER-OBJECTIVE: `sizes` sizes about each budget's optimum.

    `noise` is the relative standard deviation of a run's BPB, including evaluation error (a fifth of it, under MDM).
    `off_centre` times the optimal N is the middle of the grid, `span` the ratio of its ends. Each run has a seed of its
    own; with `shared_seeds` the sizes of a cell have the same `seeds`.
    """
    rng = np.random.default_rng(seed)
    rows: list[RunRow] = []
    for arm, law in laws_by_arm.items():
        for flops in budgets[arm]:
            grid = off_centre * law.optimum(flops) * np.geomspace(span**-0.5, span**0.5, sizes)
            for parameters in np.rint(grid).astype(int).tolist():
                for replicate in range(seeds):
                    bpb = float(law.bpb_of(parameters, flops)) * float(np.exp(noise * rng.standard_normal()))
                    run = f"{len(rows):012x}"
                    rows.append(
                        _row(
                            run,
                            arm,
                            flops,
                            parameters,
                            seed=replicate if shared_seeds else len(rows),
                            bpb=bpb,
                            noise=noise,
                        )
                    )
    return rows


def with_bpb(row: RunRow, bpb: float, **others: object) -> RunRow:
    """The row with another BPB, in all documents alike, and with other changes."""
    nats = tuple(bpb * math.log(2) * n_bytes for n_bytes in row.document_bytes)
    return row.model_copy(update={"bpb": bpb, "document_nats": nats, **others})


def _row(run: str, arm: str, flops: float, parameters: int, *, seed: int, bpb: float, noise: float) -> RunRow:
    tokenizer, _, objective = arm.partition("-")
    tokens = round(flops / 6 / parameters)
    width = max(16, 8 * round((parameters / 48) ** (1 / 2) / 8))
    table = (VOCABULARY[tokenizer] + 3) * width
    return RunRow(
        run=run,
        status="finished",
        reason="",
        arm=arm,
        tokenizer=tokenizer,
        tokenizer_kind="bytes" if tokenizer == "byte" else "bpe",
        objective=objective,
        objective_options=FrozenDict(),
        tight_likelihood=objective in {"ar", "mdm"},
        permutation="identity",
        permutation_options=FrozenDict(),
        model="transformer",
        vocab_size=VOCABULARY[tokenizer],
        context_bytes=256,
        d_model=width,
        n_layers=4,
        non_embedding_parameters=parameters,
        embedding_parameters=table,
        head_parameters=table,
        budget_flops=flops,
        flops=flops,
        flops_by_convention={"attention=full head=all": flops, "attention=attended head=all": 0.97 * flops},
        spent_flops=flops,
        tokens=tokens,
        bytes=round(tokens * BYTES_PER_TOKEN[tokenizer]),
        epochs=round(tokens * BYTES_PER_TOKEN[tokenizer] / 4e9, 6),
        steps=max(1, tokens // 8192),
        batch_tokens=8192,
        learning_rate=0.003,
        seed=seed,
        bpb=bpb,
        bpb_se=0.0 if objective == "ar" else 0.2 * noise * bpb,
        validation_bpb=1.004 * bpb,
        unigram_bpb=UNIGRAM_BPB[tokenizer],
        bigram_bpb=BIGRAM_BPB[tokenizer],
        windows_sha256="5" * 64,
        document_bytes=(DOCUMENT_BYTES,) * 24,
        document_nats=(bpb * math.log(2) * DOCUMENT_BYTES,) * 24,
    )
