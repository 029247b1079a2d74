"""Manifests of the corpus, the tokenizers, the scoring windows, and the order controls."""

from typing import Literal

from bytegap.schema.base import ArrayFile, FrozenDict, FrozenModel, Record, digest

SplitName = Literal["train", "validation", "test"]
HeldOut = Literal["validation", "test"]
Edge = Literal["tokens", "words", "any"]
"""Where scoring windows may end: at boundaries of all tokenizers, before white space, at any code point."""


class Split(FrozenModel):
    """The text of one split: its documents one after another."""

    text: ArrayFile
    ends: ArrayFile
    """Byte offset in `text` at which each document ends."""
    documents: int
    bytes: int


class CorpusManifest(Record):
    """corpus/manifest.json: the prepared text, where it came from, and its splits."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from; it is made again when this changes."""
    source: str
    """Name of the corpus source."""
    documents_read: int
    duplicates_dropped: int
    empty_dropped: int
    splits: FrozenDict[SplitName, Split]


class TokenizerManifest(Record):
    """tokens/NAME/manifest.json: the training split under one tokenizer, documents in order, EOS after each."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from."""
    name: str
    """As the study names it."""
    kind: str
    """`bytes`, `bpe`, ..."""
    vocab_size: int
    """V, the number of tokens that stand for text. EOS = V, BOS = V + 1, MASK = V + 2; a model has V + 3 ids."""
    stream: ArrayFile
    """The token ids."""
    lengths: ArrayFile
    """Length in bytes of each of the V tokens."""
    bytes: int
    """Of the text."""
    tokens: int
    """Of the stream, EOS included."""
    escaped_bytes: int
    """Bytes that the tokenizer's own segmentation could not represent, written as single-byte tokens."""
    kept: tuple[ArrayFile, ...] = ()
    """The files that the tokenizer keeps of itself, as bytes; empty in files older than this field."""

    @property
    def content_sha256(self) -> str:
        """SHA-256 of every field but `kept`: what runs depend on is the tokens."""
        return digest(self.model_dump(mode="json", exclude={"kept"}))

    @property
    def bytes_per_token(self) -> float:
        """Mean over the training stream, EOS included."""
        return self.bytes / self.tokens


class ScoringSet(FrozenModel):
    """The scoring windows of one split as one tokenizer's tokens, window after window."""

    tokens: ArrayFile
    """The token ids."""
    counts: ArrayFile
    """Number of tokens in each window."""
    unigram_bpb: float
    """Bits per byte of the tokenizer's unigram model, trained on the training stream."""
    bigram_bpb: float
    """Bits per byte of its bigram model."""
    count_entropy_bpb: float
    """H(token count | byte count) in bits per byte: the most that knowing the token count can be worth."""


class ScoringSplit(FrozenModel):
    """The scoring windows of one held-out split: the same text for every tokenizer."""

    starts: ArrayFile | None = None
    """Byte offset, in the split's text, at which each window starts; None in files older than this field, whose windows
    follow one another."""
    ends: ArrayFile
    """Byte offset, in the split's text, at which each window ends."""
    documents: ArrayFile | None = None
    """Index, from 0 in the split's order, of the document of each window; None in files older than this field."""
    n_documents: int = 0
    """Documents with a window; 0 in files older than this field."""
    fallbacks: int = 0
    """Windows that ended at a boundary of most tokenizers, because no place that the study asks for was in reach."""
    windows: int
    bytes: int
    sha256: str
    """Of the windows' text and of their ends in it."""
    tokenizers: FrozenDict[str, ScoringSet]


class WindowsManifest(Record):
    """tokens/windows.json: sequence lengths and scoring windows, common to all tokenizers of a study."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from."""
    context_bytes: int
    """Most bytes of text in a window."""
    seq_len: FrozenDict[str, int]
    """Tokens in a training sequence, by tokenizer."""
    edge: Edge = "any"
    """Where the windows of `splits` end; files older than this field cut anywhere."""
    splits: FrozenDict[HeldOut, ScoringSplit]
    other_edges: FrozenDict[Edge, FrozenDict[HeldOut, ScoringSplit]] = FrozenDict()
    """The same text of the test split in windows that end elsewhere."""


class OrderControl(FrozenModel):
    """How one permutation changes the byte statistics of a tokenizer's training text, against the text unpermuted."""

    tokenizer: str
    permutation: str
    """Name and options, such as `within_window (size 4)`."""
    bytes: int
    """Of text measured."""
    bytes_per_token: float
    """Mean; turns a window size in tokens into bytes."""
    same_histogram: bool
    """Whether byte counts are unchanged, as they must be."""
    distances: tuple[int, ...]
    """In bytes."""
    information_bits: tuple[float, ...]
    """Mutual information between bytes at each distance, less that of shuffled bytes."""
    pairs_kept: tuple[float, ...]
    """Share of the byte pairs at each distance that occur, as often, in the unpermuted text."""
    local_bits: float
    """Sum of the mutual information over distances up to 4."""
    local_kept: float
    """`local_bits` over that of the unpermuted text."""
    added_bits_per_token: float
    """Upper bound on the entropy that the permutation itself adds; 0 where one permutation serves all sequences."""


class OrderControls(Record):
    """order-controls.json: one entry per tokenizer and permutation of the study."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from."""
    controls: tuple[OrderControl, ...]
