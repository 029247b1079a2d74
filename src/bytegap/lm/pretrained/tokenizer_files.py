"""The tokenizer of a model's folder, and which ids are its EOS, BOS and MASK.

Reads tokenizer.json or tokenizer.model, and tokenizer_config.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bytegap.data.tokenizers.base import Tokenizer, load_tokenizer
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import ModelError, sentence
from bytegap.lm.pretrained.config_file import ConfigFields, JsonObject, parse_config

NO_MASK = -1
"""The id of MASK in a vocabulary that has none."""


@dataclass(frozen=True)
class PretrainedVocabulary(Vocabulary):
    """The ids of another project's model: special tokens have the ids that its files give, most of them below V."""

    head_rows: int
    """Ids of the head: V, or more where it is padded."""
    eos_id: int
    bos_id: int
    mask_id: int
    """`NO_MASK` in a model that has no MASK."""

    @property
    def eos(self) -> int:
        """Ends a document; scored, zero bytes."""
        return self.eos_id

    @property
    def bos(self) -> int:
        """Starts every sequence; given, never scored."""
        return self.bos_id

    @property
    def mask(self) -> int:
        """Replaces a hidden token."""
        return self.mask_id

    @property
    def n_ids(self) -> int:
        """Rows of the head."""
        return self.head_rows


class _AddedToken(ConfigFields):
    id: int
    content: str
    special: bool


class _TokenizerJson(ConfigFields):
    """tokenizer.json."""

    added_tokens: tuple[_AddedToken, ...] = ()


class _TokenContent(ConfigFields):
    content: str


_Token = str | _TokenContent | None


class _TokenizerConfig(ConfigFields):
    """tokenizer_config.json."""

    eos_token: _Token = None
    bos_token: _Token = None


class _SpecialIds(ConfigFields):
    """config.json; a chat model may have a list, whose first id ends a text."""

    eos_token_id: int | list[int] | None = None
    bos_token_id: int | list[int] | None = None


F = TypeVar("F", bound=ConfigFields)


def load_tokenizer_and_ids(
    folder: Path, config: JsonObject, head_rows: int, mask: int = NO_MASK
) -> tuple[Tokenizer, PretrainedVocabulary]:
    """The folder's tokenizer, and the ids of a model whose head has `head_rows` rows.

    EOS and BOS are those of config.json, else of tokenizer_config.json; a tokenizer's only special token is EOS.
    A model without BOS gets its EOS instead, which preceded each document in its training.
    ModelError where there is no tokenizer or no EOS, or a special id is not below `head_rows`; a token that is not is
    an error only where a text has it.
    """
    tokenizer = load_tokenizer(_kind(folder), folder)
    added = _read(folder / "tokenizer.json", _TokenizerJson).added_tokens
    by_content = {token.content: token.id for token in added}
    names = _read(folder / "tokenizer_config.json", _TokenizerConfig)
    ids = parse_config(folder, _SpecialIds, config)
    eos = _special_id(ids.eos_token_id, names.eos_token, by_content)
    own_special = [token.id for token in added if token.special]
    if eos is None and len(own_special) == 1:
        [eos] = own_special
    if eos is None:
        raise ModelError(
            f"{folder / 'config.json'} names no EOS: add 'eos_token_id', the token that ended its documents"
        )
    bos = _special_id(ids.bos_token_id, names.bos_token, by_content)
    special = {"EOS": eos, "BOS": eos if bos is None else bos} | ({} if mask == NO_MASK else {"MASK": mask})
    for name, i in special.items():
        if not 0 <= i < head_rows:
            raise ModelError(
                f"{folder}: its files give {name} the id {i}, but its head has the ids 0 to {head_rows - 1}: use the "
                "config.json and the tokenizer it was trained with"
            )
    vocab_size = min(len(tokenizer.token_bytes), head_rows)
    if vocab_size < len(tokenizer.token_bytes):
        tokenizer = _WithinHead(tokenizer, head_rows, str(folder))
    return tokenizer, PretrainedVocabulary(vocab_size, head_rows, eos, special["BOS"], mask)


class _WithinHead:
    """A tokenizer with more tokens than the head has rows: a text is refused that needs one of them; a `Tokenizer`."""

    def __init__(self, tokenizer: Tokenizer, head_rows: int, name: str) -> None:
        self.token_bytes, self.escaped_bytes = tokenizer.token_bytes, tokenizer.escaped_bytes
        self._tokenizer, self._head_rows, self._name = tokenizer, head_rows, name

    def encode_batch(self, texts: list[bytes]) -> Sequence[NDArray[np.unsignedinteger]]:
        encoded = self._tokenizer.encode_batch(texts)
        self.escaped_bytes = self._tokenizer.escaped_bytes
        for ids in encoded:
            largest = int(ids.max()) if len(ids) else 0
            if largest >= self._head_rows:
                raise ModelError(
                    f"{self._name}: the text has the token {largest}, but the head ends at {self._head_rows - 1}: "
                    "use the tokenizer it was trained with"
                )
        return encoded


def _kind(folder: Path) -> str:
    if (folder / "tokenizer.json").is_file():
        return "huggingface"
    if (folder / "tokenizer.model").is_file():
        return "sentencepiece"
    raise ModelError(
        f"{folder} holds no tokenizer.json and no tokenizer.model: add the tokenizer that the model was trained with"
    )


def _special_id(ids: int | list[int] | None, token: _Token, by_content: dict[str, int]) -> int | None:
    """An id from config.json, else that of a token named in tokenizer_config.json."""
    if isinstance(ids, list):
        ids = ids[0] if ids else None
    if ids is not None or token is None:
        return ids
    return by_content.get(token if isinstance(token, str) else token.content)


def _read(path: Path, fields: type[F]) -> F:
    """What a file holds; its defaults where there is no such file."""
    try:
        return fields.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return fields()
    except ValidationError as error:
        raise ModelError(f"{path} cannot be read ({sentence(error, fields)}): fetch the model again") from None
