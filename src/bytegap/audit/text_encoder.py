"""A tokenizer as people run it: what its file adds, strips and normalizes is left on, unlike in a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bytegap.audit.token_vocabulary import TokenVocabulary
from bytegap.extras import missing_extra

Encode = Callable[[list[str]], Sequence[Sequence[int]]]

DEFAULT_PATTERN = "cl100k"


@dataclass(frozen=True)
class TextEncoder:
    """How a tokenizer file segments text, without special tokens around it."""

    encode: Encode
    """The ids of each of several texts."""
    encode_after_cut: Encode
    """The ids of each of several stretches that follow a cut in their text."""
    template: tuple[int, ...] = ()
    """Special ids that the file itself puts around every text; they are not counted."""
    notes: tuple[str, ...] = ()


def open_encoder(vocabulary: TokenVocabulary, pattern: str | None) -> TextEncoder:
    """The encoder of a vocabulary; MissingExtraError without its library.

    `pattern` splits text into words for tiktoken: the name of a published pattern, or a regular expression; None: known
    from the size of a published vocabulary, else `DEFAULT_PATTERN`, and a note says so.
    """
    path, name = vocabulary.path, str(vocabulary.path)
    try:
        if vocabulary.kind == "tokenizer.json":
            from bytegap.data.tokenizers import huggingface

            template = tuple(huggingface.template_tokens(path, name))
            return TextEncoder(*huggingface.as_written(path, name), template)
        if vocabulary.kind == "SentencePiece":
            from bytegap.data.tokenizers import sentencepiece

            return TextEncoder(*sentencepiece.as_written(path, name))
        from bytegap.data.tokenizers import tiktoken

        known = pattern or tiktoken.PUBLISHED.get(len(vocabulary.token_bytes))
        encode = tiktoken.as_written(path, name, known or DEFAULT_PATTERN)
    except ModuleNotFoundError as error:
        raise missing_extra(f"encoding text with {name}", error) or error from None
    note = (
        f"a .tiktoken file does not say how text is split into words, and no published one has "
        f"{len(vocabulary.token_bytes):,} tokens: {DEFAULT_PATTERN}'s pattern was used, which the number of tokens "
        "depends on; give yours with --pattern"
    )
    return TextEncoder(encode, encode, notes=() if known else (note,))
