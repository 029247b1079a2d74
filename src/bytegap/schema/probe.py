"""probe.json: what byte-level models learned about tokens, words and neighbouring bytes."""

from typing import Literal

from bytegap.schema.base import FrozenModel, Record


class Probed(FrozenModel):
    """The run that a row of a probe is about."""

    run: str
    arm: str
    budget_flops: float
    non_embedding_parameters: int


class Segmentation(Probed):
    """How well a byte model's entropy or surprisal detects the boundaries of words or of another tokenizer's tokens."""

    conditioning: str
    """What the model was given: `next byte`, `left context` or `mask 0.5`."""
    boundary: str
    """`word`, or the tokenizer's name."""
    score: str
    """`entropy` or `surprisal`."""
    auc: float
    average_precision: float
    best_f1: float
    base_rate: float
    """Average precision at chance; F1 at chance is 2 p / (1 + p), AUC 0.5."""
    positions: int


class NeighbourAblation(Probed):
    """Loss on a hidden byte by the number of its neighbours that are visible, at a constant share of hidden bytes."""

    out_of_distribution: bool
    """Whether training never showed the model such inputs."""
    mask_ratio: float | None
    """None for AR, where as many bytes of the history are hidden as there are neighbours to ablate."""
    radius: int
    """Neighbours are at most this many bytes away: on both sides, for AR before."""
    visible: tuple[int, ...]
    """Numbers of visible neighbours."""
    nats: tuple[float, ...]
    nats_se: tuple[float, ...]
    nats_per_neighbour: float
    """Slope of a regression line: nats lost with each neighbour hidden."""
    nats_per_neighbour_se: float


class Reconstruction(Probed):
    """Words restored when k of their n bytes are hidden and all else is visible."""

    pattern: Literal["scattered", "contiguous"]
    hidden: int
    """k."""
    words: int
    """Number of words measured."""
    nats_per_byte: float
    nats_per_byte_se: float
    exact_match: float
    """Share of words of which every hidden byte is predicted correctly."""


class Infilling(Probed):
    """A gap of `gap` bytes at a random place of each window, filled from the text on both sides."""

    gap: int
    objective: str
    """Name and options, and those of the model if it has any."""
    windows: int
    nats_per_byte: float
    """Of the gap's bytes, under the model's own likelihood of them given all others, or its bound."""
    document_nats: tuple[float, ...]
    """The same by held-out document, summed over its gaps."""
    document_bytes: tuple[int, ...]
    filled: int
    """Gaps that the model filled, the likeliest byte at each step."""
    bytes_restored: float
    """Share of their bytes that are those of the text."""
    exact_match: float
    """Share of gaps of which all are."""


class LinearProbe(Probed):
    """How often a linear probe reads the word, or another tokenizer's token, from the states at a byte's position."""

    conditioning: str
    """What the model was given: `all up to it` or `mask 0.5`."""
    mask_ratio: float | None
    at: Literal["visible", "hidden"]
    """At which bytes' positions."""
    label: str
    """`word`, or the tokenizer's name."""
    labels: int
    """Number of classes."""
    chance: float
    """Accuracy of always predicting the most frequent class."""
    accuracy: tuple[float, ...]
    """After the embedding and after each layer, on windows that the probe was not fitted on."""
    positions: int


class ContextLoss(Probed):
    """Loss of an AR model on a byte by the number of bytes before it, in the order it was trained in."""

    lengths: tuple[int, ...]
    """Numbers of bytes before it."""
    nats: tuple[float, ...]
    nats_se: tuple[float, ...]
    effective: int
    """The shortest length whose loss is within 1 % of the longest's."""


class Probe(Record):
    """probe.json: every probe of every run that was probed."""

    inputs_sha256: str
    """SHA-256 of everything that the file was made from."""
    windows: int
    """Scoring windows used."""
    segmentation: tuple[Segmentation, ...]
    neighbour_ablation: tuple[NeighbourAblation, ...]
    reconstruction: tuple[Reconstruction, ...]
    infilling: tuple[Infilling, ...] = ()
    linear_probe: tuple[LinearProbe, ...]
    context: tuple[ContextLoss, ...]
