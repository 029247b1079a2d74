"""The interface of a corpus source."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from bytegap.study.registry import Part, build


class CorpusSource(Part, ABC):
    """Where the documents of a study come from; options of `[corpus]` are fields."""

    kind: ClassVar[str] = "corpus source"

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes when the documents may have changed."""

    @abstractmethod
    def documents(self) -> Iterator[bytes]:
        """The raw bytes of each document, in any order; CorpusError where they cannot be read."""


def corpus_source(name: str, options: Mapping[str, object] | None = None) -> CorpusSource:
    """The source called `name`; StudyError where there is none or an option is wrong."""
    return build(CorpusSource, name, options or {})
