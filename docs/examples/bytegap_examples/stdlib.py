"""A corpus source: the source code of Python's standard library, a document per file."""

import platform
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from pydantic.dataclasses import dataclass

from bytegap.data.corpora.base import CorpusSource
from bytegap.errors import CorpusError


@dataclass(frozen=True)
class StandardLibrary(CorpusSource):
    """The Python files of the standard library, or of some of its packages."""

    packages: tuple[str, ...] = ("",)
    """Folders of the library, such as `json`; the default is all of it."""

    def fingerprint(self) -> str:
        """What the text depends on besides the options: another Python has another library."""
        return platform.python_version()

    def documents(self) -> Iterator[bytes]:
        """The raw bytes of each document; CorpusError if a package does not exist."""
        library = Path(sysconfig.get_path("stdlib"))
        for package in self.packages:
            files = sorted(file for file in (library / package).rglob("*.py") if "site-packages" not in file.parts)
            if not files:
                raise CorpusError(
                    f"[corpus] packages: '{package}' is no package of {library}: name a folder of it, such as 'json'"
                )
            for file in files:
                yield file.read_bytes()
