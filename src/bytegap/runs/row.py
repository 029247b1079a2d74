"""One row of runs.jsonl, from a run's plan, its study's manifests and its outcome. Reads and writes nothing."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from bytegap.schema.base import FrozenDict
from bytegap.schema.data import WindowsManifest
from bytegap.schema.plan import RunSpec
from bytegap.schema.runs import RunRecord, RunRow

# Fields that a row takes over from the plan under the same name.
_SHARED = (RunRow.model_fields.keys() & RunSpec.model_fields.keys()) - {"schema_version", "mc_passes"}


@dataclass(frozen=True)
class Outcome:
    """What became of a run; BPBs are None where it failed."""

    status: Literal["finished", "failed"]
    reason: str
    spent_flops: float
    bpb: float | None
    bpb_se: float | None
    validation_bpb: float | None
    windows_sha256: str
    mc_passes: int
    document_nats: tuple[float, ...] = ()
    document_bytes: tuple[int, ...] = ()
    bpb_by_edge: FrozenDict[str, float] = field(default_factory=FrozenDict[str, float])
    document_nats_by_edge: FrozenDict[str, tuple[float, ...]] = field(
        default_factory=FrozenDict[str, tuple[float, ...]]
    )


def outcome(spec: RunSpec, record: RunRecord, windows: WindowsManifest) -> Outcome:
    """The outcome that a run's record states."""
    test, validation = record.test, record.validation
    scores = {windows.edge: test, **record.test_by_edge} if test else {}
    return Outcome(
        status=record.status,
        reason=record.reason,
        spent_flops=record.spent_flops,
        bpb=test.bpb if test else None,
        bpb_se=test.bpb_se if test else None,
        validation_bpb=validation.bpb if validation else None,
        windows_sha256=test.windows_sha256 if test else windows.splits["test"].sha256,
        mc_passes=(test.passes if test else None) or spec.mc_passes,
        document_nats=test.document_nats if test else (),
        document_bytes=test.document_bytes if test else (),
        bpb_by_edge=FrozenDict((edge, score.bpb) for edge, score in scores.items()),
        document_nats_by_edge=FrozenDict((edge, score.document_nats) for edge, score in scores.items()),
    )


def run_row(spec: RunSpec, windows: WindowsManifest, kind: str, vocab_size: int, became: Outcome) -> RunRow:
    """The row of a run of a tokenizer of this `kind` and `vocab_size`."""
    scored = windows.splits["test"].tokenizers[spec.tokenizer]
    return RunRow.model_validate(
        spec.model_dump(include=set(_SHARED))
        | vars(became)
        | {
            "run": spec.id,
            "tokenizer_kind": kind,
            "vocab_size": vocab_size,
            "context_bytes": windows.context_bytes,
            "edge": windows.edge,
            "d_model": spec.model_shape["d_model"],
            "n_layers": spec.model_shape["n_layers"],
            "batch_tokens": spec.batch_size * spec.seq_len,
            "learning_rate": spec.optimizer.learning_rate,
            "unigram_bpb": scored.unigram_bpb,
            "bigram_bpb": scored.bigram_bpb,
        }
    )


def rows_by_repeat(rows: Iterable[RunRow]) -> dict[int, list[RunRow]]:
    """The rows of each repeat of a study, `[grid] studies` in all, by its number: each a study of its own."""
    repeats: dict[int, list[RunRow]] = defaultdict(list)
    for row in rows:
        repeats[row.repeat].append(row)
    return dict(sorted(repeats.items()))
