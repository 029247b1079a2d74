"""Tables of probe.json: boundaries, neighbour ablation, word reconstruction, linear probes, context length."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import Column, Entry, Table, number, text, yes_no
from bytegap.schema.probe import Probe, Probed

_RUN_COLUMNS = (
    Column("arm", "arm", numeric=False),
    Column("budget_flops", "budget, FLOPs"),
    Column("non_embedding_parameters", "N"),
)


def tables(inputs: Inputs) -> list[Table]:
    """One table per probe; empty without probe.json."""
    probe = inputs.probe
    if not probe:
        return []
    return [
        _segmentation(probe),
        _neighbour_ablation(probe),
        _reconstruction(probe),
        _linear_probe(probe),
        _context(probe),
    ]


def _run_entries(row: Probed) -> tuple[Entry, ...]:
    href = f"../runs/{row.run}/record.json" if row.run else ""
    return (
        text(row.arm, href),
        number(row.budget_flops, fmt.flops),
        number(row.non_embedding_parameters, fmt.count),
    )


def _segmentation(probe: Probe) -> Table:
    return Table(
        name="segmentation",
        title="Probe: token and word boundaries",
        caption=(
            "A byte model's entropy or surprisal as a detector of the bytes at which a token of another tokenizer, or "
            "a word, begins, by what the model is conditioned on. By chance, AUC is 0.5, average precision the base "
            "rate p, and the best F1 2p / (1 + p)."
        ),
        source="../probe.json",
        columns=(
            *_RUN_COLUMNS,
            Column("conditioning", "conditioning", numeric=False),
            Column("boundary", "boundary", numeric=False),
            Column("score", "score", numeric=False),
            Column("auc", "AUC"),
            Column("average_precision", "average precision"),
            Column("best_f1", "best F1"),
            Column("base_rate", "base rate"),
            Column("positions", "positions"),
        ),
        rows=tuple(
            (
                *_run_entries(row),
                text(row.conditioning),
                text(row.boundary),
                text(row.score),
                number(row.auc, fmt.four_digits),
                number(row.average_precision, fmt.four_digits),
                number(row.best_f1, fmt.four_digits),
                number(row.base_rate, fmt.four_digits),
                number(row.positions, fmt.count),
            )
            for row in probe.segmentation
        ),
    )


def _neighbour_ablation(probe: Probe) -> Table:
    return Table(
        name="neighbour_ablation",
        title="Probe: neighbour ablation",
        caption=(
            "Loss on a masked byte by how many of its neighbours within a radius are visible, with the number of "
            "masked bytes per window constant; and the slope of a line through all points, nats lost per masked "
            "neighbour. AR models are never trained with gaps in their context: out of distribution."
        ),
        source="../probe.json",
        columns=(
            *_RUN_COLUMNS,
            Column("radius", "radius, bytes"),
            Column("none_visible_nats", "none visible, nats"),
            Column("all_visible_nats", "all visible, nats"),
            Column("nats_per_neighbour", "nats per neighbour"),
            Column("nats_per_neighbour_se", "standard error"),
            Column("out_of_distribution", "out of distribution", numeric=False),
        ),
        rows=tuple(
            (
                *_run_entries(row),
                number(row.radius),
                number(row.nats[0], fmt.four_digits),
                number(row.nats[-1], fmt.four_digits),
                number(row.nats_per_neighbour, fmt.four_digits),
                number(row.nats_per_neighbour_se, fmt.four_digits),
                yes_no(row.out_of_distribution),
            )
            for row in probe.neighbour_ablation
        ),
    )


def _reconstruction(probe: Probe) -> Table:
    return Table(
        name="reconstruction",
        title="Probe: word reconstruction",
        caption=(
            "One word of 5 to 8 bytes per window with k of its bytes masked, scattered or contiguous; everything else "
            "is visible. Exact match: the share of words whose every masked byte is the model's most likely one."
        ),
        source="../probe.json",
        columns=(
            *_RUN_COLUMNS,
            Column("pattern", "pattern", numeric=False),
            Column("hidden", "masked bytes"),
            Column("nats_per_byte", "nats per byte"),
            Column("nats_per_byte_se", "standard error"),
            Column("exact_match", "exact match"),
            Column("words", "words"),
        ),
        rows=tuple(
            (
                *_run_entries(row),
                text(row.pattern),
                number(row.hidden),
                number(row.nats_per_byte, fmt.four_digits),
                number(row.nats_per_byte_se, fmt.four_digits),
                number(row.exact_match, fmt.four_digits),
                number(row.words, fmt.count),
            )
            for row in probe.reconstruction
        ),
    )


def _linear_probe(probe: Probe) -> Table:
    n_layers = max((len(row.accuracy) for row in probe.linear_probe), default=0)
    return Table(
        name="linear_probe",
        title="Probe: linear probes of hidden states",
        caption=(
            "Accuracy of a linear probe that predicts the word, or the token of another tokenizer, that a byte belongs "
            "to from the hidden state at that byte, on windows it was not fitted on, among the 50 most frequent "
            "labels. Layer 0 is the embeddings. Chance is the share of the most frequent label."
        ),
        source="../probe.json",
        columns=(
            *_RUN_COLUMNS,
            Column("conditioning", "conditioning", numeric=False),
            Column("at", "states at bytes", numeric=False),
            Column("label", "label", numeric=False),
            Column("chance", "chance"),
            *(Column(f"layer_{layer}", f"layer {layer}") for layer in range(n_layers)),
            Column("positions", "positions"),
        ),
        rows=tuple(
            (
                *_run_entries(row),
                text(row.conditioning),
                text(row.at),
                text(row.label),
                number(row.chance, fmt.four_digits),
                *(
                    number(row.accuracy[layer] if layer < len(row.accuracy) else None, fmt.four_digits)
                    for layer in range(n_layers)
                ),
                number(row.positions, fmt.count),
            )
            for row in probe.linear_probe
        ),
    )


def _context(probe: Probe) -> Table:
    lengths = sorted({length for row in probe.context for length in row.lengths})
    return Table(
        name="context",
        title="Probe: effective context length",
        caption=(
            "Loss in nats on a byte by how many preceding bytes an AR model is conditioned on, under the permutation "
            "it was trained with. The effective length is the smallest whose loss is within 1 % of the longest's."
        ),
        source="../probe.json",
        columns=(
            *_RUN_COLUMNS,
            Column("effective", "effective length, bytes"),
            *(Column(f"nats_{length}", f"nats at {length}") for length in lengths),
        ),
        rows=tuple(
            (
                *_run_entries(row),
                number(row.effective),
                *(
                    number(dict(zip(row.lengths, row.nats, strict=True)).get(length), fmt.four_digits)
                    for length in lengths
                ),
            )
            for row in probe.context
        ),
    )
