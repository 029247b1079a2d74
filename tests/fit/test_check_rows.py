"""Rows that cannot be fitted together, or that contradict themselves, are refused in one sentence with its remedy."""

import math
from pathlib import Path

import pytest

from bytegap.errors import FitError
from bytegap.fit.check_rows import check_rows
from bytegap.fit.stage import fit_rows
from bytegap.schema.base import FrozenDict
from bytegap.schema.runs import RunRow
from bytegap.study.directory import StudyDir
from tests.helpers.synthetic_runs import simulated_rows, with_bpb

RESULTS = sorted((Path(__file__).parents[2] / "results").glob("*/runs.jsonl"))
ROWS = simulated_rows()
FIRST, OTHER = ROWS[0], ROWS[3]
COLLECT = "run 'bytegap collect' again"


def refused(changed: RunRow) -> str:
    """What is said of the rows with the fourth of them changed, which is of the first one's arm."""
    with pytest.raises(FitError) as error:
        fit_rows([*ROWS[:3], changed, *ROWS[4:]], bootstraps=20)
    return str(error.value)


def test_rows_that_agree_are_not_refused() -> None:
    check_rows(ROWS)
    last_digit = with_bpb(OTHER, OTHER.bpb).model_copy(update={"bpb": OTHER.bpb * (1 + 1e-13)})
    check_rows([*ROWS[:3], last_digit, *ROWS[4:]])


@pytest.mark.parametrize("runs", RESULTS, ids=lambda path: path.parent.name)
def test_committed_rows_are_not_refused(runs: Path) -> None:
    check_rows(StudyDir(runs.parent).runs())


def test_each_run_needs_one_row() -> None:
    with pytest.raises(FitError, match="no runs"):
        fit_rows([])
    with pytest.raises(FitError, match="two rows"):
        fit_rows([*ROWS, ROWS[7]])


@pytest.mark.parametrize("factor", [1.001, 1 / 1.001, 1 + 2e-9])
def test_a_bpb_that_is_not_that_of_its_documents_is_refused(factor: float) -> None:
    message = refused(OTHER.model_copy(update={"bpb": factor * OTHER.bpb}))
    assert message.startswith(f"run {OTHER.run} has bpb = ")
    assert f"but its documents have {sum(OTHER.document_nats):.10g} nats in {24 * 4096} bytes" in message
    assert message.endswith(COLLECT)


@pytest.mark.parametrize("bpb", [0.0, -1.0, math.nan, math.inf])
def test_a_finished_run_whose_bpb_is_not_above_zero_is_refused(bpb: float) -> None:
    message = refused(OTHER.model_copy(update={"bpb": bpb}))
    assert message == f"run {OTHER.run} finished with bpb = {bpb:g}, which is not above 0: {COLLECT}"


@pytest.mark.parametrize("lost", [{"document_nats": ()}, {"document_nats": (), "document_bytes": ()}])
def test_a_run_without_the_documents_that_others_have_is_named(lost: dict[str, object]) -> None:
    message = refused(OTHER.model_copy(update=lost))
    assert message.startswith(f"run {OTHER.run} has no 'document_nats', which other runs have: {COLLECT}")


def test_a_run_with_nats_of_other_documents_than_bytes_is_named() -> None:
    message = refused(OTHER.model_copy(update={"document_nats": OTHER.document_nats[1:]}))
    assert message == f"run {OTHER.run} has 23 documents' nats for bpb and 24 documents' bytes: {COLLECT}"


def test_scores_under_other_edges_are_compared_too() -> None:
    nats = FrozenDict(words=tuple(1.1 * each for each in OTHER.document_nats))
    edged = OTHER.model_copy(
        update={"bpb_by_edge": FrozenDict(words=1.1 * OTHER.bpb), "document_nats_by_edge": nats, "edge": "any"}
    )
    check_rows([*ROWS[:3], edged, *ROWS[4:]])
    wrong = edged.model_copy(update={"bpb_by_edge": FrozenDict(words=1.2 * OTHER.bpb)})
    assert refused(wrong).startswith(f"run {OTHER.run} has bpb_by_edge.words = ")
    fewer = edged.model_copy(update={"document_nats_by_edge": FrozenDict(words=nats["words"][1:])})
    assert "23 documents' nats for bpb_by_edge.words" in refused(fewer)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("windows_sha256", "6" * 64, "different scoring windows"),
        ("edge", "words", "windows that end differently"),
        ("objective", "mdm", "of arm byte-ar"),
        ("objective_options", FrozenDict(size=4), "of arm byte-ar"),
        ("tight_likelihood", False, "of arm byte-ar"),
        ("tokenizer", "bpe512", "of arm byte-ar"),
        ("permutation", "fixed", "of arm byte-ar"),
        ("permutation_options", FrozenDict(size=4), "of arm byte-ar"),
        ("model", "other", "of arm byte-ar"),
        ("model_options", FrozenDict(convolution=4), "of arm byte-ar"),
        ("tokenizer_kind", "bpe", "of tokenizer byte"),
        ("vocab_size", 255, "of tokenizer byte"),
        ("unigram_bpb", FIRST.unigram_bpb * (1 + 2e-9), "of tokenizer byte"),
        ("bigram_bpb", FIRST.bigram_bpb + 0.1, "of tokenizer byte"),
    ],
)
def test_runs_that_differ_where_they_must_not_are_named(column: str, value: object, words: str) -> None:
    message = refused(OTHER.model_copy(update={column: value}))
    assert f"'{column}' differs between runs {FIRST.run} and {OTHER.run}" in message
    assert words in message
    assert "; " in message


def test_different_documents_are_refused() -> None:
    other = with_bpb(OTHER.model_copy(update={"document_bytes": (999,) * 24}), OTHER.bpb)
    assert "different held-out documents: 'document_bytes' differs" in refused(other)


def test_what_a_failed_run_was_scored_on_does_not_matter() -> None:
    lost = {"status": "failed", "bpb": None, "document_nats": (), "document_bytes": (), "edge": "words"}
    check_rows([*ROWS[:3], OTHER.model_copy(update=lost), *ROWS[4:]])
