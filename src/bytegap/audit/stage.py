"""The verb `audit`: whether a bits-per-byte figure is true, from the tokenizer, the table and the text behind it.

Reads the tokenizer's file, the table and the text; writes a right table where one is asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bytegap.audit.byte_table import ByteTable, read_table, write_table
from bytegap.audit.claims import ClaimedNumber, check_claims, claimed_bpb, true_bpb
from bytegap.audit.table_mistakes import TableCheck, check_table
from bytegap.audit.text_count import TextCount, count_text
from bytegap.audit.text_encoder import TextEncoder, open_encoder
from bytegap.audit.text_mistakes import check_text
from bytegap.audit.token_vocabulary import TokenVocabulary, read_vocabulary
from bytegap.console import say, show, track, warn
from bytegap.errors import CommandError, counted
from bytegap.extras import missing_extra
from bytegap.io.atomic import check_output
from bytegap.io.paths import as_text
from bytegap.schema.audit import Finding, TokenizerAudit

_SHOWN_ENTRIES = 10
_MATERIAL_SHARE = 1e-3


@dataclass(frozen=True)
class AuditOptions:
    """What is audited besides the tokenizer."""

    texts: Sequence[Path] = ()
    """Files, as a corpus reads them."""
    text_field: str = "text"
    table: Path | None = None
    val_loss: ClaimedNumber | None = None
    """Nats per token."""
    val_bpb: ClaimedNumber | None = None
    pattern: str | None = None
    """How text is split into words for a .tiktoken file."""
    write: Path | None = None
    """Where to write the true bytes of every id."""
    as_json: bool = False


def run(tokenizer: Path, options: AuditOptions) -> TokenizerAudit:
    """Audit, and print what was found."""
    if not options.texts and (options.val_loss or options.val_bpb):
        raise CommandError("--val-loss and --val-bpb are about a text: name it with --text")
    if not options.texts and options.table is None and options.write is None:
        raise CommandError("name what to audit the tokenizer with: --text FILE, or --table TABLE")
    if options.write is not None:
        check_output(options.write, tokenizer, *options.texts, *([options.table] if options.table else []))
    vocabulary = read_vocabulary(tokenizer)
    table = None if options.table is None else read_table(options.table)
    audited = audit(vocabulary, options, table)
    if options.write is not None:
        write_table(options.write, [len(piece) for piece in vocabulary.token_bytes])
    if options.as_json:
        print(audited.model_dump_json(indent=1))
    else:
        _print(audited)
        if options.write is not None:
            say("audit", f"wrote the true bytes of {audited.vocab_size:,} ids to {options.write}")
    return audited


def audit(vocabulary: TokenVocabulary, options: AuditOptions, table: ByteTable | None) -> TokenizerAudit:
    """What the options name, audited; nothing is printed or written."""
    count: TextCount | None = None
    findings: list[Finding] = []
    notes: list[str] = []
    if options.texts:
        encoder = open_encoder(vocabulary, options.pattern)
        documents = track(_documents(options.texts, options.text_field), "encoding the text")
        count = count_text(documents, vocabulary, encoder)
        findings += check_text(count, vocabulary)
        notes += _notes(count, encoder, vocabulary)
    checked = TableCheck([], [], [], None) if table is None else check_table(table, vocabulary, count)
    findings += checked.findings
    notes += checked.notes
    loss, bpb = options.val_loss, options.val_bpb
    if count is not None:
        findings += _added_spaces(count, table)
        if loss is not None and bpb is not None:
            findings += check_claims(loss, bpb, count, vocabulary, checked.text_bytes)
    return TokenizerAudit(
        tokenizer=as_text(vocabulary.path),
        vocab_size=len(vocabulary.token_bytes),
        lossless=None if count is None else count.is_lossless,
        documents=None if count is None else count.documents,
        bytes=None if count is None else count.raw_bytes,
        tokens=None if count is None else count.tokens,
        bytes_per_token=count.raw_bytes / count.tokens if count is not None and count.tokens else None,
        table_bytes=checked.text_bytes,
        true_bpb=None if count is None else true_bpb(loss, bpb, count, checked.text_bytes),
        claimed_bpb=None if count is None else claimed_bpb(loss, bpb, count, checked.text_bytes),
        findings=tuple(findings),
        wrong_entries=tuple(checked.wrong_entries),
        notes=tuple(notes),
    )


def _documents(texts: Sequence[Path], text_field: str) -> Iterable[bytes]:
    """The documents of the files; one whose name says nothing may hold bytes that are not UTF-8, as loops read them."""
    try:
        from bytegap.data.corpora.files import Files, raw_bytes
        from bytegap.data.file_formats import has_known_ending
    except ModuleNotFoundError as error:
        raise missing_extra("reading a text", error) or error from None
    for path in texts:
        if path.is_file() and not has_known_ending(path):
            yield raw_bytes(path)
        else:
            yield from Files([str(path)], text_field).documents()


def _added_spaces(count: TextCount, table: ByteTable | None) -> Iterable[Finding]:
    """That a table counts the space before each document, where documents are so short that it matters."""
    is_counted = table is not None and table.leading_space is None
    if is_counted and count.documents > 1 and count.added_spaces > _MATERIAL_SHARE * count.raw_bytes:
        yield Finding(
            kind="double-space",
            detail="the table counts the space that the tokenizer puts before each of "
            f"{counted(count.added_spaces, 'document')}, which the text does not have: subtract one byte for each",
            tokens=count.added_spaces,
            bytes=count.added_spaces,
        )


def _notes(count: TextCount, encoder: TextEncoder, vocabulary: TokenVocabulary) -> Iterable[str]:
    yield from encoder.notes
    if count.added_spaces:
        yield (
            f"the tokenizer puts a space before {counted(count.added_spaces, 'document')}, which a sum over a table "
            "counts and the text does not have"
        )
    if encoder.template:
        names = " ".join(vocabulary.written[i] for i in encoder.template)
        yield f"the tokenizer puts {names} around every document by itself; these tokens are not counted"


def _print(audited: TokenizerAudit) -> None:
    table = Table(title=audited.tokenizer, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    rows: list[tuple[str, str | None]] = [
        ("vocabulary", f"{audited.vocab_size:,} ids"),
        ("lossless on the text", None if audited.lossless is None else "yes" if audited.lossless else "no"),
        ("documents", _number(audited.documents)),
        ("bytes of the raw text", _number(audited.bytes)),
        ("bytes by the table", _number(audited.table_bytes)),
        ("tokens", _number(audited.tokens)),
        ("bytes per token", None if audited.bytes_per_token is None else f"{audited.bytes_per_token:.6g}"),
        ("claimed bits per byte", None if audited.claimed_bpb is None else f"{audited.claimed_bpb:.6g}"),
        ("true bits per byte", None if audited.true_bpb is None else f"{audited.true_bpb:.6g}"),
    ]
    for name, value in rows:
        if value is not None:
            table.add_row(name, value)
    show(table)
    if audited.wrong_entries:
        _print_entries(audited)
    for note in audited.notes:
        say("audit", note)
    for finding in audited.findings:
        weight = (
            f" ({counted(finding.tokens, 'token')} of the text, {finding.bytes:+,} bytes)" if finding.tokens else ""
        )
        warn("audit", f"{finding.kind}: {finding.detail}{weight}")
    if not audited.findings:
        say("audit", "nothing wrong was found")


def _print_entries(audited: TokenizerAudit) -> None:
    """The wrong entries that the text has most of."""
    most = sorted(audited.wrong_entries, key=lambda entry: (-entry.occurrences, entry.id))[:_SHOWN_ENTRIES]
    title = f"wrong entries: {len(most)} of {len(audited.wrong_entries):,}; all with --json"
    table = Table("id", "token", "true bytes", "table", "in the text", title=title)
    for entry in most:
        table.add_row(str(entry.id), repr(entry.token), str(entry.true), f"{entry.table:g}", f"{entry.occurrences:,}")
    show(table)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:,.10g}"
