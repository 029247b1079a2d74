"""Recounts what the records of a study state more than once: windows against the corpus, scores against windows."""

from collections.abc import Iterator
from math import isclose
from typing import TYPE_CHECKING

from bytegap.data.windows import read_windows, window_texts
from bytegap.errors import StudyDirError
from bytegap.schema.data import Edge, HeldOut, ScoringSplit, WindowsManifest
from bytegap.schema.plan import RunSpec
from bytegap.schema.runs import RunRecord, Score
from bytegap.study.directory import WINDOWS, StudyDir

if TYPE_CHECKING:
    from bytegap.schema.base import FrozenDict

Findings = Iterator[str]
"""Sentences: what is wrong, where, and what to do."""

_TOLERANCE = 1e-9
"""Relative difference between sums of the same nats in another order."""


def windows(study_dir: StudyDir, manifest: WindowsManifest) -> Findings:
    """Whether the windows are text of the corpus, in the numbers that their manifest states."""
    again = "run 'bytegap tokenize' again"
    bytes_by_edge: dict[str, int] = {}
    for edge, name, split in _splits(manifest):
        where = f"{study_dir.path(WINDOWS)}, {name} split, edges = {edge}"
        try:
            texts = window_texts(study_dir, name, split)
            documents = {
                tokenizer: read_windows(study_dir.windows_dir, split, tokenizer).document_bytes
                for tokenizer in split.tokenizers
            }
        except StudyDirError as error:
            yield str(error)
            continue
        stated = (split.windows, split.bytes, split.n_documents)
        counted = (len(texts), sum(map(len, texts)), *{len(each) for each in documents.values()})
        if stated != counted:
            yield f"{where}: windows, bytes and documents are {counted}, not {stated}: {again}"
        if name == "test":
            bytes_by_edge[edge] = split.bytes
    if len(set(bytes_by_edge.values())) > 1:
        yield f"{study_dir.path(WINDOWS)}: test text differs between edges ({bytes_by_edge} bytes): {again}"


def scores(spec: RunSpec, record: RunRecord, manifest: WindowsManifest) -> Findings:
    """Whether a run was scored on the windows of the study, and its documents add up to its totals."""
    if manifest.content_sha256 != spec.windows_manifest_sha256:
        return
    splits = {(name, edge): split for edge, name, split in _splits(manifest)}
    found: dict[tuple[HeldOut, str], Score | None] = {
        ("validation", manifest.edge): record.validation,
        ("test", manifest.edge): record.test,
    }
    found |= {("test", edge): score for edge, score in record.test_by_edge.items()}
    for key, score in found.items():
        if score is None:
            continue
        where = f"run {spec.id}, {key[0]} score with edges = {key[1]}"
        split = splits.get(key)
        if split is None or (score.windows_sha256, score.bytes) != (split.sha256, split.bytes):
            yield f"{where}: not on the windows of {WINDOWS.pattern}: delete its folder and run 'bytegap train' again"
        elif score.document_bytes and sum(score.document_bytes) != score.bytes:
            yield f"{where}: its documents have {sum(score.document_bytes)} bytes, not {score.bytes}: train it again"
        elif score.document_nats and not isclose(sum(score.document_nats), score.nats, rel_tol=_TOLERANCE):
            yield f"{where}: its documents have {sum(score.document_nats)} nats, not {score.nats}: train it again"


def _splits(manifest: WindowsManifest) -> Iterator[tuple[Edge, HeldOut, ScoringSplit]]:
    """Edge, split and windows of everything that is scored."""
    by_edge: dict[Edge, FrozenDict[HeldOut, ScoringSplit]] = {manifest.edge: manifest.splits, **manifest.other_edges}
    for edge, splits in by_edge.items():
        for name, split in splits.items():
            yield edge, name, split
