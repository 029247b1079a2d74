"""What vocabularies given as one file share: a copy is kept with the study, and nothing is learned from the text."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from pydantic.dataclasses import dataclass

from bytegap.data.lossless import Lossless, vocabulary_file
from bytegap.data.tokenizers.base import TokenizerSpec
from bytegap.io.atomic import file_sha256


@dataclass(frozen=True)
class GivenVocabulary(TokenizerSpec, ABC):
    """A vocabulary that a file gives, which is copied to the study."""

    kept: ClassVar[str]
    """Name of the copy."""

    file: str
    """The vocabulary file."""

    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return file_sha256(vocabulary_file(self.file))

    def prepare(self, training_documents: Iterable[bytes], folder: Path) -> Lossless:
        """Keep a copy of the vocabulary."""
        del training_documents
        shutil.copyfile(vocabulary_file(self.file), folder / self.kept)
        return self.read(folder / self.kept, self.file)

    @classmethod
    def load(cls, folder: Path) -> Lossless:
        """The copy that `prepare` kept."""
        return cls.read(folder / cls.kept, str(folder / cls.kept))

    @staticmethod
    @abstractmethod
    def read(path: Path, name: str) -> Lossless:
        """The vocabulary at `path`, called `name` in messages; TokenizerError if it cannot be read."""
