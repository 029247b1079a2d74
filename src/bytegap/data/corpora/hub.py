"""A data set of the Hugging Face Hub, or a local directory of one, streamed: a document per row.

Reads through the `datasets` package, which comes with the extra `hub`.
No code of a data set is run.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import cast

from pydantic import Field
from pydantic.dataclasses import dataclass

from bytegap.data.corpora.base import CorpusSource
from bytegap.data.corpora.files import identity
from bytegap.data.file_formats import row_text
from bytegap.data.file_paths import within
from bytegap.errors import CorpusError
from bytegap.io.paths import expanded
from bytegap.schema.base import digest


@dataclass(frozen=True)
class Hub(CorpusSource):
    """A data set of the Hugging Face Hub as a corpus: the options say which rows of which."""

    dataset: str
    """`owner/name` on the Hub, or a directory."""
    config: str | None = None
    split: str = "train"
    text_field: str = "text"
    revision: str | None = None
    """A commit; it makes the study repeatable."""
    limit_bytes: int | None = Field(default=None, ge=1)
    """Stop after the document that reaches so many bytes of text."""

    def fingerprint(self) -> str:
        """The options; for a local directory also its files' sizes and times. The Hub is not contacted."""
        directory = expanded(self.dataset)
        files = sorted(within(directory)) if directory.is_dir() else []
        return digest([asdict(self), identity(files)])

    def documents(self) -> Iterator[bytes]:
        """Each document; CorpusError says why the data set cannot be read."""
        n_bytes = 0
        try:
            for number, row in enumerate(self._rows(), start=1):
                document = row_text(f"data set '{self.dataset}', row {number}", row, self.text_field)
                yield document
                n_bytes += len(document)
                if self.limit_bytes is not None and n_bytes >= self.limit_bytes:
                    return
        except (OSError, ValueError, RuntimeError) as error:  # `datasets` raises errors of many types
            reason = " ".join(str(error).split())
            raise CorpusError(
                f"data set '{self.dataset}' (config {self.config}, split '{self.split}') cannot be read: {reason}: "
                "correct the name, config, split or revision in [corpus]"
            ) from None

    def _rows(self) -> Iterator[object]:
        try:
            import datasets
        except ModuleNotFoundError:
            raise CorpusError("corpus 'hub' needs the package 'datasets': pip install 'bytegap[hub]'") from None
        directory = expanded(self.dataset)
        rows = datasets.load_dataset(  # pyright: ignore[reportUnknownMemberType]
            str(directory) if directory.is_dir() else self.dataset,
            name=self.config,
            split=self.split,
            revision=self.revision,
            streaming=True,
        )
        yield from cast("Iterator[object]", rows)
