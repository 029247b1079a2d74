"""What trained byte models know, as tables: segmentation, fragility, words guessed back, states, context."""

from bytegap.records import Probe, Probed
from bytegap.report import text
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, number, words

_WHO = (
    Column("arm", "arm", numeric=False),
    Column("budget_flops", "budget, FLOPs"),
    Column("non_embedding_parameters", "N"),
)


def _who(row: Probed) -> tuple[Item, ...]:
    href = f"../runs/{row.run}/record.json" if row.run else ""
    return (
        words(row.arm, href),
        number(row.budget_flops, text.flops),
        number(row.non_embedding_parameters, text.count),
    )


def tables(inputs: Inputs) -> list[Table]:
    """One a probe; none where none was made."""
    probe = inputs.probe
    if not probe:
        return []
    return [_segmentation(probe), _fragility(probe), _words(probe), _semantics(probe), _context(probe)]


def _segmentation(probe: Probe) -> Table:
    return Table(
        name="segmentation",
        title="Probe: where tokens and words begin",
        caption=(
            "How well a byte model's entropy or surprisal tells the bytes at which a symbol of another set, or a word, "
            "begins, by what the model saw. By chance the AUC is 0.5, average precision the base rate p, and the best "
            "F1 2p / (1 + p)."
        ),
        source="../probe.json",
        columns=(
            *_WHO,
            Column("given", "given", numeric=False),
            Column("boundary", "boundary", numeric=False),
            Column("signal", "signal", numeric=False),
            Column("auc", "AUC"),
            Column("average_precision", "average precision"),
            Column("best_f1", "best F1"),
            Column("base_rate", "base rate"),
            Column("positions", "positions"),
        ),
        rows=tuple(
            (
                *_who(row),
                words(row.given),
                words(row.boundary),
                words(row.signal),
                number(row.auc, text.general),
                number(row.average_precision, text.general),
                number(row.best_f1, text.general),
                number(row.base_rate, text.general),
                number(row.positions, text.count),
            )
            for row in probe.segmentation
        ),
    )


def _fragility(probe: Probe) -> Table:
    return Table(
        name="fragility",
        title="Probe: what a neighbour is worth",
        caption=(
            "Loss on a hidden byte by how many of its neighbours within a reach are to be seen, as many bytes being "
            "hidden in all whatever is seen; and the slope of a line through these, nats lost with each neighbour. AR "
            "never saw a gap in its history: out of distribution."
        ),
        source="../probe.json",
        columns=(
            *_WHO,
            Column("reach", "reach, bytes"),
            Column("none_visible_nats", "none visible, nats"),
            Column("all_visible_nats", "all visible, nats"),
            Column("nats_a_neighbour", "nats a neighbour"),
            Column("nats_a_neighbour_se", "standard error"),
            Column("out_of_distribution", "out of distribution", numeric=False),
        ),
        rows=tuple(
            (
                *_who(row),
                number(row.reach),
                number(row.nats[0], text.general),
                number(row.nats[-1], text.general),
                number(row.nats_a_neighbour, text.general),
                number(row.nats_a_neighbour_se, text.general),
                Item(row.out_of_distribution, "yes" if row.out_of_distribution else "no"),
            )
            for row in probe.fragility
        ),
    )


def _words(probe: Probe) -> Table:
    return Table(
        name="reconstruction",
        title="Probe: words guessed back",
        caption="One word a window, of 5 to 8 bytes, k of them hidden, scattered or side by side; all else is visible.",
        source="../probe.json",
        columns=(
            *_WHO,
            Column("pattern", "pattern", numeric=False),
            Column("hidden", "bytes hidden"),
            Column("nats_a_byte", "nats a byte"),
            Column("nats_a_byte_se", "standard error"),
            Column("all_right", "all right"),
            Column("words", "words"),
        ),
        rows=tuple(
            (
                *_who(row),
                words(row.pattern),
                number(row.hidden),
                number(row.nats_a_byte, text.general),
                number(row.nats_a_byte_se, text.general),
                number(row.all_right, text.general),
                number(row.words, text.count),
            )
            for row in probe.reconstruction
        ),
    )


def _semantics(probe: Probe) -> Table:
    depth = max((len(row.accuracy) for row in probe.semantics), default=0)
    return Table(
        name="semantics",
        title="Probe: what hidden states know",
        caption=(
            "How often a linear probe reads the word, or the symbol of another set, that a byte is in off the states "
            "at its own position, on windows that it was not fitted on: the commonest 50 labels, after each layer; "
            "layer 0 is the embeddings. Chance is the commonest label's share."
        ),
        source="../probe.json",
        columns=(
            *_WHO,
            Column("given", "given", numeric=False),
            Column("at", "at bytes", numeric=False),
            Column("label", "label", numeric=False),
            Column("chance", "chance"),
            *(Column(f"layer_{layer}", f"layer {layer}") for layer in range(depth)),
            Column("positions", "positions"),
        ),
        rows=tuple(
            (
                *_who(row),
                words(row.given),
                words(row.at),
                words(row.label),
                number(row.chance, text.general),
                *(
                    number(row.accuracy[layer] if layer < len(row.accuracy) else None, text.general)
                    for layer in range(depth)
                ),
                number(row.positions, text.count),
            )
            for row in probe.semantics
        ),
    )


def _context(probe: Probe) -> Table:
    lengths = sorted({length for row in probe.context for length in row.lengths})
    return Table(
        name="context",
        title="Probe: effective context",
        caption=(
            "Loss in nats on a byte by how many bytes before it an AR model is given, in the order it was trained in; "
            "the effective length is the least whose loss is within 1 % of the longest's."
        ),
        source="../probe.json",
        columns=(
            *_WHO,
            Column("effective", "effective length, bytes"),
            *(Column(f"nats_{length}", f"given {length}") for length in lengths),
        ),
        rows=tuple(
            (
                *_who(row),
                number(row.effective),
                *(
                    number(dict(zip(row.lengths, row.nats, strict=True)).get(length), text.general)
                    for length in lengths
                ),
            )
            for row in probe.context
        ),
    )
