"""Tables of probe.json: boundaries, neighbour ablation, word reconstruction, linear probes, context length."""

from collections.abc import Callable

import numpy as np

from bytegap.cost.bits import bits
from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.scaling.documents import mean_difference
from bytegap.schema.base import Quantity
from bytegap.schema.probe import (
    ContextLoss,
    Infilling,
    LinearProbe,
    NeighbourAblation,
    Probe,
    Probed,
    Reconstruction,
    Segmentation,
)

_PROBE = "../probe.json"
_RUN: tuple[Column[Probed], ...] = (
    Column("arm", "arm", lambda row: row.arm, href=lambda row: f"../runs/{row.run}/record.json" if row.run else ""),
    Column("budget_flops", "budget, FLOPs", lambda row: row.budget_flops, fmt.flops),
    Column("non_embedding_parameters", "N", lambda row: row.non_embedding_parameters, fmt.count),
)


def tables(inputs: Inputs) -> list[Table]:
    """One table per probe; empty without probe.json."""
    probe = inputs.probe
    if not probe:
        return []
    return [
        Table.of(_SEGMENTATION, probe.segmentation, _SEGMENTATION_COLUMNS),
        Table.of(_ABLATION, probe.neighbour_ablation, _ABLATION_COLUMNS),
        Table.of(_RECONSTRUCTION, probe.reconstruction, _RECONSTRUCTION_COLUMNS),
        _infilling(probe),
        _linear_probe(probe),
        _context(probe),
    ]


_SEGMENTATION = About(
    name="segmentation",
    title="Probe: token and word boundaries",
    caption=(
        "A byte model's entropy or surprisal as a detector of the bytes at which a token of another tokenizer, or "
        "a word, begins, by what the model is conditioned on. By chance, AUC is 0.5, average precision the base "
        "rate p, and the best F1 2p / (1 + p)."
    ),
    source=_PROBE,
)
_SEGMENTATION_COLUMNS: tuple[Column[Segmentation], ...] = (
    *_RUN,
    Column("conditioning", "conditioning", lambda row: row.conditioning),
    Column("boundary", "boundary", lambda row: row.boundary),
    Column("score", "score", lambda row: row.score),
    Column("auc", "AUC", lambda row: row.auc, fmt.four_digits),
    Column("average_precision", "average precision", lambda row: row.average_precision, fmt.four_digits),
    Column("best_f1", "best F1", lambda row: row.best_f1, fmt.four_digits),
    Column("base_rate", "base rate", lambda row: row.base_rate, fmt.four_digits),
    Column("positions", "positions", lambda row: row.positions, fmt.count),
)
_ABLATION = About(
    name="neighbour_ablation",
    title="Probe: neighbour ablation",
    caption=(
        "Loss on a masked byte by how many of its neighbours within a radius are visible, with the number of "
        "masked bytes per window constant; and the slope of a line through all points, nats lost per masked "
        "neighbour. AR models are never trained with gaps in their context: out of distribution."
    ),
    source=_PROBE,
)
_ABLATION_COLUMNS: tuple[Column[NeighbourAblation], ...] = (
    *_RUN,
    Column("radius", "radius, bytes", lambda row: row.radius, str),
    Column("none_visible_nats", "none visible, nats", lambda row: row.nats[0], fmt.four_digits),
    Column("all_visible_nats", "all visible, nats", lambda row: row.nats[-1], fmt.four_digits),
    Column("nats_per_neighbour", "nats per neighbour", lambda row: row.nats_per_neighbour, fmt.four_digits),
    Column("nats_per_neighbour_se", "standard error", lambda row: row.nats_per_neighbour_se, fmt.four_digits),
    Column("out_of_distribution", "out of distribution", lambda row: row.out_of_distribution),
)
_RECONSTRUCTION = About(
    name="reconstruction",
    title="Probe: word reconstruction",
    caption=(
        "One word of 5 to 8 bytes per window with k of its bytes masked, scattered or contiguous; everything else "
        "is visible. Exact match: the share of words whose every masked byte is the model's most likely one."
    ),
    source=_PROBE,
)
_RECONSTRUCTION_COLUMNS: tuple[Column[Reconstruction], ...] = (
    *_RUN,
    Column("pattern", "pattern", lambda row: row.pattern),
    Column("hidden", "masked bytes", lambda row: row.hidden, str),
    Column("nats_per_byte", "nats per byte", lambda row: row.nats_per_byte, fmt.four_digits),
    Column("nats_per_byte_se", "standard error", lambda row: row.nats_per_byte_se, fmt.four_digits),
    Column("exact_match", "exact match", lambda row: row.exact_match, fmt.four_digits),
    Column("words", "words", lambda row: row.words, fmt.count),
)


def _infilling(probe: Probe) -> Table:
    about = About(
        name="infilling",
        title="Probe: infilling of gaps",
        caption=(
            "One gap per test window at a random place, the same for all models, all other bytes visible. Bits per "
            "byte of the gap under the model's own likelihood or bound, less those of plain masked diffusion at the "
            "same budget (95 % CI over held-out documents); and how much of it the model restores when it fills in "
            "the likeliest byte at each step."
        ),
        source=_PROBE,
    )

    plain = {(row.budget_flops, row.gap): row for row in probe.infilling if row.objective == "mdm"}

    def less_plain(row: Infilling) -> Quantity | None:
        other = plain.get((row.budget_flops, row.gap))
        if other is None or other is row:
            return None
        one_H, other_H = (np.array(list(map(bits, each.document_nats)), dtype=np.float64) for each in (row, other))
        value, ci95 = mean_difference(one_H, other_H, np.array(row.document_bytes, dtype=np.float64))
        return Quantity(value=value, ci95=ci95)

    columns: tuple[Column[Infilling] | Interval[Infilling], ...] = (
        *_RUN,
        Column("gap", "gap, bytes", lambda row: row.gap, str),
        Column("bpb", "BPB of the gap", lambda row: bits(row.nats_per_byte), fmt.four_digits),
        Interval("less_plain", "less mdm", less_plain, fmt.four_digits),
        Column("bytes_restored", "bytes restored", lambda row: row.bytes_restored, fmt.four_digits),
        Column("exact_match", "gaps restored", lambda row: row.exact_match, fmt.four_digits),
        Column("windows", "windows", lambda row: row.windows, fmt.count),
        Column("filled", "gaps filled", lambda row: row.filled, fmt.count),
    )
    return Table.of(about, probe.infilling, columns)


def _linear_probe(probe: Probe) -> Table:
    about = About(
        name="linear_probe",
        title="Probe: linear probes of hidden states",
        caption=(
            "Accuracy of a linear probe that predicts the word, or the token of another tokenizer, that a byte belongs "
            "to from the hidden state at that byte, on windows it was not fitted on, among the 50 most frequent "
            "labels. Layer 0 is the embeddings. Chance is the share of the most frequent label."
        ),
        source=_PROBE,
    )

    def accuracy(layer: int) -> Callable[[LinearProbe], float | None]:
        return lambda row: row.accuracy[layer] if layer < len(row.accuracy) else None

    n_layers = max((len(row.accuracy) for row in probe.linear_probe), default=0)
    columns: tuple[Column[LinearProbe], ...] = (
        *_RUN,
        Column("conditioning", "conditioning", lambda row: row.conditioning),
        Column("at", "states at bytes", lambda row: row.at),
        Column("label", "label", lambda row: row.label),
        Column("chance", "chance", lambda row: row.chance, fmt.four_digits),
        *(Column(f"layer_{layer}", f"layer {layer}", accuracy(layer), fmt.four_digits) for layer in range(n_layers)),
        Column("positions", "positions", lambda row: row.positions, fmt.count),
    )
    return Table.of(about, probe.linear_probe, columns)


def _context(probe: Probe) -> Table:
    about = About(
        name="context",
        title="Probe: effective context length",
        caption=(
            "Loss in nats on a byte by how many preceding bytes an AR model is conditioned on, under the permutation "
            "it was trained with. The effective length is the smallest whose loss is within 1 % of the longest's."
        ),
        source=_PROBE,
    )

    def nats_at(length: int) -> Callable[[ContextLoss], float | None]:
        return lambda row: dict(zip(row.lengths, row.nats, strict=True)).get(length)

    lengths = sorted({length for row in probe.context for length in row.lengths})
    columns: tuple[Column[ContextLoss], ...] = (
        *_RUN,
        Column("effective", "effective length, bytes", lambda row: row.effective, str),
        *(Column(f"nats_{length}", f"nats at {length}", nats_at(length), fmt.four_digits) for length in lengths),
    )
    return Table.of(about, probe.context, columns)
