"""What `bytegap audit --json` prints."""

from typing import Literal

from bytegap.schema.base import FrozenModel

Kind = Literal[
    "missing-space-piece",
    "double-space",
    "replacement-character",
    "special-tokens",
    "characters-for-bytes",
    "constant-divisor",
    "altered-text",
    "lost-targets",
    "wrong-length",
]
"""Kinds of mistakes; docs/audit.md describes each."""


class Finding(FrozenModel):
    """One mistake that was found."""

    kind: Kind
    detail: str
    """What is wrong and how to correct it, in a sentence or two."""
    tokens: int
    """Tokens of the text that it concerns; of `lost-targets`, the tokens that no loss was counted for."""
    bytes: int
    """Bytes of the text that it counts too many, or, if negative, too few; 0 where no text is given."""


class WrongEntry(FrozenModel):
    """A token whose bytes a table counts wrongly."""

    id: int
    token: str
    """As the vocabulary writes it."""
    true: int
    table: float
    occurrences: int
    """In the text."""


class TokenizerAudit(FrozenModel):
    """What an audit found. Fields are None where the command line has nothing that determines them."""

    tokenizer: str
    vocab_size: int
    lossless: bool | None
    """Whether decoding the tokens of the text gives the text."""
    documents: int | None
    bytes: int | None
    """Of the raw text."""
    tokens: int | None
    """Of the text, without special tokens around documents."""
    bytes_per_token: float | None
    table_bytes: float | None
    """Bytes of the text by the table."""
    true_bpb: float | None
    """Of the claimed loss. Where the tokenizer alters the text: nats of the altered text over bytes of the raw one."""
    claimed_bpb: float | None
    """As claimed, or by the table from the claimed loss."""
    findings: tuple[Finding, ...]
    wrong_entries: tuple[WrongEntry, ...]
    """Of the table, in order of id."""
    notes: tuple[str, ...]
    """What is not wrong, and should be known."""
