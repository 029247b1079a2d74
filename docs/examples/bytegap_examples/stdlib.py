"""A corpus: the source of Python's standard library, a document a file."""

import platform
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from bytegap import plugins
from bytegap.errors import CorpusError


class Options(plugins.Options):
    """Which part of it."""

    packages: tuple[str, ...] = ("",)
    """Folders of the library, such as `json`; all of it where left out."""


def fingerprint(options: Options) -> str:  # noqa: ARG001 - every source takes them
    """What the text depends on beside the options: another Python has another library."""
    return platform.python_version()


def documents(options: Options) -> Iterator[bytes]:
    """The raw bytes of each document; CorpusError if a package is not there."""
    library = Path(sysconfig.get_path("stdlib"))
    for package in options.packages:
        files = sorted(file for file in (library / package).rglob("*.py") if "site-packages" not in file.parts)
        if not files:
            message = f"[corpus] packages: '{package}' is no package of {library}: name a folder of it, such as 'json'"
            raise CorpusError(message)
        for file in files:
            yield file.read_bytes()
