"""The verbs that stand apart from the pipeline: tables of anybody's runs, costs, baselines, and checks of a study."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bytegap.cli._options import (
    Verb,
    claim,
    flops,
    json_argument,
    open_study,
    out_argument,
    positive,
    study_argument,
)
from bytegap.errors import CommandError
from bytegap.extras import require
from bytegap.io.atomic import check_output


def _fit_table_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "table",
        type=Path,
        metavar="RUNS.csv",
        help="CSV or JSON lines, one run a row: its loss, and its flops, params and tokens",
    )
    parser.add_argument(
        "--columns", default="", metavar="OURS=THEIRS,...", help="other column names, such as 'params=Model Size'"
    )
    parser.add_argument(
        "--convention", choices=["6nd"], help="compute the missing one of flops, params, tokens by C = 6 N D"
    )
    parser.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="bytes=ARM,bpe=ARM",
        help="compare two arms of the column 'arm'; may be given several times, and every two pairs are compared",
    )
    parser.add_argument(
        "--drop-worst", type=int, default=0, metavar="K", help="refit without the K rows of largest residual"
    )
    parser.add_argument(
        "--bootstraps", type=int, default=4000, metavar="B", help="bootstrap resamples (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples (default: %(default)s)")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE.html",
        help="also write the figures as one page, with SVG, PNG and CSV files",
    )
    parser.add_argument(
        "--loss-name", default="loss", metavar="UNIT", help="what the page calls the loss, such as 'bits per byte'"
    )
    json_argument(parser)


def _fit_table(options: Namespace) -> None:
    from bytegap.fit import fit_table_command

    flags = ("columns", "convention", "pair", "drop_worst", "bootstraps", "seed", "json")
    page: Path | None = options.report
    if page is not None:
        require("fit-table --report", "report")
        check_output(page, options.table)
        if page.suffix not in {".html", ".htm"}:
            raise CommandError(f"--report {page}: the page is an HTML file: end its name in .html")
    own = fit_table_command.Options(**{flag: getattr(options, flag) for flag in flags})
    table = fit_table_command.run(options.table, own)
    if page is not None:
        from bytegap.fit.table_record import table_record
        from bytegap.report import table_page
        from bytegap.report.inputs import ArmTraits

        record = table_record(table, options.bootstraps)
        traits = {arm.name: ArmTraits(arm.tokenizer, arm.objective) for arm in record.arms}
        bytes_arms = frozenset(arm.name for arm in record.arms if arm.is_bytes)
        table_page.write(
            page, table_page.table_inputs(options.table.stem, record.fit, traits, bytes_arms, options.loss_name)
        )


def _audit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "tokenizer", type=Path, metavar="TOKENIZER", help="tokenizer.json, SentencePiece .model, .tiktoken, or a folder"
    )
    parser.add_argument(
        "--text", type=Path, nargs="+", default=[], metavar="FILE", help="the raw text: files that a corpus may have"
    )
    parser.add_argument(
        "--text-field", default="text", metavar="FIELD", help="of JSON and Parquet rows (default: %(default)s)"
    )
    parser.add_argument(
        "--table", type=Path, metavar="TABLE", help="bytes of each token, as .npz, .npy, .pt, .json or .csv"
    )
    parser.add_argument("--val-loss", type=claim, metavar="NATS", help="the claimed loss, in nats per token")
    parser.add_argument("--val-bpb", type=claim, metavar="BPB", help="the claimed bits per byte")
    parser.add_argument(
        "--pattern",
        metavar="PATTERN",
        help="how text is split for a .tiktoken file: r50k, cl100k, o200k or a regular expression",
    )
    parser.add_argument(
        "--write", type=Path, metavar="TABLE", help="write the true bytes of every id, as .npz, .npy, .json or .csv"
    )
    json_argument(parser)


def _audit(options: Namespace) -> int:
    from bytegap.audit import stage

    audited = stage.run(
        options.tokenizer,
        stage.AuditOptions(
            texts=options.text,
            text_field=options.text_field,
            table=options.table,
            val_loss=options.val_loss,
            val_bpb=options.val_bpb,
            pattern=options.pattern,
            write=options.write,
            as_json=options.json,
        ),
    )
    return 1 if audited.findings else 0


def _flops_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a study, a config.json, or a JSON list of shapes")
    out_argument(parser)
    parser.add_argument(
        "--context",
        type=positive,
        metavar="TOKENS",
        help="sequence length (default: a shape's own; a config's max_position_embeddings, at most 2048)",
    )
    json_argument(parser)


def _flops(options: Namespace) -> None:
    from bytegap.flops import stage

    stage.run(options.file, options.out, options.context, as_json=options.json)


def _baselines_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "files", type=Path, metavar="FILE", nargs="+", help="one STUDY.toml, for its test text; or any files"
    )
    out_argument(parser)
    json_argument(parser)


def _baselines(options: Namespace) -> None:
    from bytegap.baselines import stage

    studies = [file for file in options.files if file.suffix == ".toml"]
    if not studies:
        stage.of_files(options.files, as_json=options.json)
        return
    if len(options.files) > 1:
        raise CommandError(f"baselines takes one study or any files: name {studies[0]} alone, or leave it out")
    _, study_dir = open_study(Namespace(study=studies[0], out=options.out))
    stage.of_study(study_dir, as_json=options.json)


def _order_controls(options: Namespace) -> None:
    from bytegap.data import order_controls

    order_controls.run(*open_study(options))


def _tuning_audit_arguments(parser: ArgumentParser) -> None:
    study_argument(parser)
    parser.add_argument(
        "--at",
        type=flops,
        metavar="BUDGET",
        help="audit at this budget in FLOPs, any of an arm's (default: its smallest and its largest)",
    )
    parser.add_argument(
        "--arm",
        action="append",
        default=[],
        metavar="ARM",
        help="audit this arm; may be given several times (default: every arm, or every arm with the budget of --at)",
    )


def _tuning_audit(options: Namespace) -> None:
    from bytegap.launch import local
    from bytegap.plan import stage as plan
    from bytegap.runs import collect
    from bytegap.train.trainer import RunOptions
    from bytegap.tuning import stage as audit
    from bytegap.tuning.cells import NamedCells

    study, study_dir = open_study(options)
    plan.warn_if_stale(study, study_dir)
    while audit.extend_audit(
        study, study_dir, NamedCells(() if options.at is None else (options.at,), tuple(options.arm))
    ):
        local.run(study_dir, options=RunOptions(study.compute.micro_batch_size, study.logging))
    collect.run(study_dir, with_audit=True)


def _check(options: Namespace) -> None:
    from bytegap.check import stage

    stage.run(*open_study(options))


_FIT_TABLE_DETAILS = """\
Fits L = E + A / N^alpha + B / D^beta to a CSV of runs (one row a run; a column 'arm' compares several), with bootstrap
intervals, IsoFLOP minima where the runs share budgets, the compute frontier, and warnings about what the table cannot
identify.

With --pair bytes=ARM,bpe=ARM, any two arms are compared as a study's are: the overhead k at equal loss, the gap at
equal compute, the slope of k and the parity, each labelled estimated, censored (a bound) or extrapolated. Two pairs
give the interaction, ln k of the first less ln k of the second."""

_AUDIT_DETAILS = """\
Encodes the text as the tokenizer's file says, one document at a time, without special tokens around it, and compares:
the bytes of its tokens with those of the raw text, the table with the true bytes of every id, the claims with what
the text has. The true figure is the loss times the tokens, over ln 2 and the bytes of the raw text.

Each mistake has a name, which docs/audit.md explains:

  missing-space-piece    double-space       replacement-character
  special-tokens         constant-divisor   characters-for-bytes
  altered-text           lost-targets       wrong-length

With both claims, the bytes per token that they imply are compared with the text's. Give all digits that you have: they
say how exactly the claims are known.

Exit code 0: nothing wrong was found; 1: something was; 2: bad input."""

_FLOPS_DETAILS = """\
FILE is one of three:

  a study (.toml)        the sizes of every arm: from its plan.json, or those that a plan would have (after tokenize)
  a model's config.json  llama, mistral, qwen2 or qwen3, as Hugging Face writes it; counted as AR and as MDM
  a JSON list of shapes  [{"d_model": 256, "n_layers": 4, "vocab_size": 32003, "context": 1024}, ...], of bytegap's own
                         Transformer; "n_heads" and "d_ff" are optional

Conventions: attention maps in full, or only as far as each position attends (half, if causal); the output head at all
positions, at the supervised ones, or not at all; and 6nd, which is 6 x non-embedding parameters x tokens.

Writes nothing."""

_BASELINES_DETAILS = """\
Compressors are gzip -9, bzip2 -9, xz -9e, zstd -19 and --ultra -22, brotli -q 11 and PPMd variant H (7-Zip's) of orders
6 to 16. A study's test text is compressed in four ways, kept in baselines.json for the report:

  each window alone    nothing is known but the window
  each window, primed  after the training text: compare a model's score with this
  whole text alone     one file, as the tool writes it; earlier text helps, which no model is given
  whole text, primed   both"""

_TUNING_DETAILS = """\
Trains the best size of a cell, by validation loss, with learning rate, batch size and weight decay varied around the
shared rule, one at a time, until the best value of each is bracketed; estimates how much compute the rule costs the
arm. Audit the budgets at which you make a claim: by default each arm's smallest and largest, with --at and --arm any
cell. Run it after `bytegap run`.

A cell takes 12 settings from 2 seeds or more each: 24 runs of its budget at least, less those that the study has
already, and up to 32 seeds where seeds differ much. Runs that are still to be trained are trained first.

Writes the audit's runs to tuning.jsonl, to be kept with runs.jsonl, and what they show to audit.json: without runs/,
`bytegap collect --audit` makes the second from the first again."""

VERBS = (
    Verb(
        "fit-table",
        "Fit scaling laws to any table of runs (CSV or JSON lines), and compare its arms, without a study.",
        _fit_table,
        _fit_table_arguments,
        details=_FIT_TABLE_DETAILS,
        examples="bytegap fit-table runs.csv --convention 6nd\n"
        "bytegap fit-table runs.csv --columns 'params=Model Size'\n"
        "bytegap fit-table runs.csv --pair bytes=byte-mdm,bpe=bpe-mdm --pair bytes=byte-ar,bpe=bpe-ar",
    ),
    Verb(
        "audit",
        "Check a bits-per-byte figure of anybody's: tokenizer, table of bytes per token, and text.",
        _audit,
        _audit_arguments,
        details=_AUDIT_DETAILS,
        examples="bytegap audit tokenizer.json --text val.txt\n"
        "bytegap audit tokenizer.model --text val.jsonl --table token_bytes.npz --val-loss 2.0727 --val-bpb 1.2244\n"
        "bytegap audit tokenizer.json --write token_bytes.npz",
        also="A tokenizer.json or .tiktoken file and a table alone need no more; text and tables in .pt need the extra "
        "train, SentencePiece and tiktoken the extra tokenizers.",
    ),
    Verb(
        "flops",
        "Count the parameters and FLOPs of models, by term and under every convention.",
        _flops,
        _flops_arguments,
        details=_FLOPS_DETAILS,
        examples="bytegap flops config.json --context 1024\nbytegap flops mine.toml",
        also="A study needs the extra train.",
    ),
    Verb(
        "baselines",
        "Compress a study's test text, or any files, with gzip, xz, zstd, brotli and PPMd.",
        _baselines,
        _baselines_arguments,
        details=_BASELINES_DETAILS,
        examples="bytegap baselines mine.toml\nbytegap baselines speech.txt --json",
        extras=("baselines",),
    ),
    Verb(
        "order-controls",
        "Measure what each permutation does to a study's text: mutual information and locality lost.",
        _order_controls,
        study_argument,
        details="Writes order-controls.json.",
        examples="bytegap order-controls mine.toml",
    ),
    Verb(
        "tuning-audit",
        "Estimate how much compute the shared rule for learning rate, batch and weight decay costs.",
        _tuning_audit,
        _tuning_audit_arguments,
        details=_TUNING_DETAILS,
        examples="bytegap tuning-audit mine.toml\n"
        "bytegap tuning-audit mine.toml --at 2e11 --arm byte-mdm --arm bpe-mdm",
        extras=("train",),
    ),
    Verb(
        "check",
        "Check a study's folder for damaged, missing or stale files, and say how to repair it.",
        _check,
        study_argument,
        details="Writes nothing. Exit code 2 if a problem is found.",
        examples="bytegap check mine.toml",
        also="Without the extra train, checkpoints, temporary files and the age of the plan are not checked.",
    ),
)
