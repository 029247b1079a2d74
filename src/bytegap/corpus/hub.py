"""A data set of the Hugging Face Hub, or a local directory of one, streamed: a document a row.

Reads through the `datasets` package, which comes with the extra `hub`. No code of a data set is run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from bytegap import plugins
from bytegap.corpus._paths import within
from bytegap.corpus.files import identity, text_of
from bytegap.errors import CorpusError
from bytegap.records import digest


class Options(plugins.Options):
    """Which rows of which data set."""

    dataset: str
    """`owner/name` on the Hub, or a directory."""
    config: str | None = None
    split: str = "train"
    text_field: str = "text"
    revision: str | None = None
    """A commit makes the study repeatable."""
    limit_bytes: int | None = Field(default=None, ge=1)
    """Stop after the document that reaches so many bytes of text."""


def fingerprint(options: Options) -> str:
    """The options; of a local directory also its files' sizes and times. The Hub is not asked."""
    directory = Path(options.dataset).expanduser()
    files = sorted(within(directory)) if directory.is_dir() else []
    return digest([options.model_dump(mode="json"), identity(files)])


def documents(options: Options) -> Iterator[bytes]:
    """Each document; CorpusError says why the data set cannot be read."""
    n_bytes = 0
    try:
        for number, row in enumerate(_rows(options), start=1):
            document = text_of(f"data set '{options.dataset}', row {number}", row, options.text_field)
            yield document
            n_bytes += len(document)
            if options.limit_bytes is not None and n_bytes >= options.limit_bytes:
                return
    except (OSError, ValueError, RuntimeError) as error:  # what `datasets` raises, of many kinds
        reason = " ".join(str(error).split())
        message = (
            f"data set '{options.dataset}' (config {options.config}, split '{options.split}') cannot be read: "
            f"{reason}: mend the name, config, split or revision in [corpus]"
        )
        raise CorpusError(message) from None


def _rows(options: Options) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ModuleNotFoundError:
        message = "corpus 'hub' needs the package 'datasets': pip install 'bytegap[hub]'"
        raise CorpusError(message) from None
    directory = Path(options.dataset).expanduser()
    yield from datasets.load_dataset(
        str(directory) if directory.is_dir() else options.dataset,
        name=options.config,
        split=options.split,
        revision=options.revision,
        streaming=True,
    )
