"""Where the numbers come from: the text, the vocabularies, the windows, the arithmetic, as a table of facts."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from bytegap.report import text
from bytegap.report.inputs import Inputs
from bytegap.report.tables import Column, Item, Table, words

Fact = tuple[str, str, str | float | int, str, str]
"""what, which, value, as shown, file"""

_PACKAGES = ("bytegap", "altair", "vl-convert-python", "pydantic")


def table(inputs: Inputs) -> Table:
    """A row a fact, each linking to its file."""
    facts = [
        *_corpus(inputs),
        *_tokens(inputs),
        *_windows(inputs),
        *_plan(inputs),
        *_fit(inputs),
        *_versions(),
    ]
    return Table(
        name="provenance",
        title="Provenance",
        caption="The text, the vocabularies, the scoring windows and the arithmetic behind every number above.",
        source="",
        columns=(
            Column("what", "what", numeric=False),
            Column("which", "which", numeric=False),
            Column("value", "value"),
            Column("file", "file", numeric=False),
        ),
        rows=tuple(
            (
                words(what),
                words(which),
                Item(value, shown),
                words(file, f"../{file}" if file else ""),
            )
            for what, which, value, shown, file in facts
        ),
    )


def _corpus(inputs: Inputs) -> Iterator[Fact]:
    if (corpus := inputs.corpus) is None:
        return
    file = "corpus/manifest.json"
    yield "corpus", "source", corpus.source, corpus.source, file
    for which, value in (
        ("documents read", corpus.documents_read),
        ("duplicates dropped", corpus.duplicates_dropped),
        ("empty dropped", corpus.empty_dropped),
    ):
        yield "corpus", which, value, text.whole(value), file
    for name, split in corpus.splits.items():
        yield "corpus", f"{name}, documents", split.documents, text.whole(split.documents), file
        yield "corpus", f"{name}, bytes", split.bytes, text.whole(split.bytes), file


def _tokens(inputs: Inputs) -> Iterator[Fact]:
    for item in inputs.tokens:
        what, file = f"tokens {item.name}", f"tokens/{item.name}/manifest.json"
        yield what, "kind", item.kind, item.kind, file
        for which, value in (
            ("vocabulary", item.vocabulary),
            ("training symbols", item.symbols),
            ("escaped bytes", item.escaped_bytes),
        ):
            yield what, which, value, text.whole(value), file


def _windows(inputs: Inputs) -> Iterator[Fact]:
    if (windows := inputs.windows) is None:
        return
    file = "tokens/windows.json"
    yield (
        "windows",
        "context, bytes",
        windows.context_bytes,
        text.whole(windows.context_bytes),
        file,
    )
    for name, symbols in windows.row_symbols.items():
        yield "windows", f"training row, {name} symbols", symbols, text.whole(symbols), file
    for split_name, split in windows.splits.items():
        yield "windows", f"{split_name}, windows", split.windows, text.whole(split.windows), file
        yield "windows", f"{split_name}, bytes", split.bytes, text.whole(split.bytes), file
        yield "windows", f"{split_name}, SHA-256", split.sha256, split.sha256[:12], file
        for name, scoring in split.tokens.items():
            bound = scoring.count_entropy_bpb
            yield "windows", f"{split_name}, {name} H(S | bytes), BPB", bound, text.bpb(bound), file


def _plan(inputs: Inputs) -> Iterator[Fact]:
    if (plan := inputs.plan) is None:
        return
    file = "plan.json"
    yield "plan", "runs", len(plan.runs), str(len(plan.runs)), file
    yield "plan", "rounds", plan.rounds, str(plan.rounds), file
    # The same for every arm by construction; were it not, each variant would show.
    for numerics in dict.fromkeys(spec.numerics for spec in plan.runs):
        for which, value in numerics.model_dump().items():
            yield "numerics", which, str(value), str(value), file


def _fit(inputs: Inputs) -> Iterator[Fact]:
    fit, file = inputs.fit, "fit.json"
    yield "fit", "FLOPs convention", fit.convention, fit.convention, file
    yield "fit", "bootstraps", fit.bootstraps, text.whole(fit.bootstraps), file
    for objective, noise in fit.noise_log_bpb.items():
        yield "fit", f"noise of log BPB, {objective}", noise, text.general(noise), file
    for floor in fit.floors:
        yield (
            f"tokens {floor.tokens}",
            "unigram, BPB",
            floor.unigram_bpb,
            text.bpb(floor.unigram_bpb),
            file,
        )
        yield (
            f"tokens {floor.tokens}",
            "bigram, BPB",
            floor.bigram_bpb,
            text.bpb(floor.bigram_bpb),
            file,
        )


def _versions() -> Iterator[Fact]:
    for name in _PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:  # run from a checkout
            continue
        yield "version", name, found, found, ""
