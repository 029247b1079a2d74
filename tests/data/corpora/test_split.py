"""Splits are disjoint, complete, in hash order, and depend on nothing but the documents."""

import hashlib
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytegap.data import dedup_split as split
from bytegap.errors import CorpusError
from bytegap.io.arrays import documents_of

DOCUMENTS = [f"document {i}".encode() for i in range(400)]


def splits_of(documents: list[bytes], validation: float = 0.2, test: float = 0.3) -> dict[str, list[bytes]]:
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        spooled = split.spool(documents, folder / "spool")
        splits = split.write_splits(spooled, folder, validation=validation, test=test)
        found = {name: list(documents_of(folder, part)) for name, part in splits.items()}
        for name, part in splits.items():
            assert part.documents == len(found[name])
            assert part.bytes == sum(map(len, found[name]))
    return found


def reference(documents: list[bytes], validation: float, test: float) -> dict[str, list[bytes]]:
    """The rule, one document at a time."""
    found: dict[str, list[bytes]] = {"train": [], "validation": [], "test": []}
    for digest, document in sorted((hashlib.sha256(d).digest(), d) for d in set(documents) if d):
        u = int.from_bytes(digest[:8], "big") / 2**64
        name = "test" if u < test else "validation" if u < test + validation else "train"
        found[name].append(document)
    return found


def test_splits_follow_the_rule() -> None:
    found = splits_of(DOCUMENTS)
    assert found == reference(DOCUMENTS, 0.2, 0.3)
    assert sorted(chain.from_iterable(found.values())) == sorted(DOCUMENTS)
    assert 80 < len(found["test"]) < 160
    assert 50 < len(found["validation"]) < 110


@given(st.lists(st.binary(max_size=3), max_size=40), st.randoms())
def test_order_duplicates_and_empty_documents_change_nothing(extra: list[bytes], random: Random) -> None:
    documents = DOCUMENTS[:60] + extra + [b"", b""] + extra
    shuffled = list(documents)
    random.shuffle(shuffled)
    assert splits_of(shuffled) == reference(documents, 0.2, 0.3)


def test_what_was_dropped_is_counted(tmp_path: Path) -> None:
    spooled = split.spool([b"a", b"", b"a", b"b"], tmp_path / "spool")
    assert (spooled.documents_read, spooled.empty) == (4, 1)


@pytest.mark.parametrize(
    ("validation", "test", "says"),
    [
        (0.2, 1e-9, ["the test split is empty", "raise [corpus] test = 1e-09"]),
        (1e-9, 0.2, ["the validation split is empty", "raise [corpus] validation = 1e-09"]),
        (0.4999, 0.4999, ["the train split is empty", "lower [corpus]"]),
    ],
)
def test_an_empty_split_is_an_error(validation: float, test: float, says: list[str]) -> None:
    with pytest.raises(CorpusError) as caught:
        splits_of(DOCUMENTS[:50], validation, test)
    for part in [*says, "50 distinct documents"]:
        assert part in str(caught.value)
