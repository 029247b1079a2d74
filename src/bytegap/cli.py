"""The command line: one verb a stage, each a few lines; heavy imports inside, so that `--help` loads no torch."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bytegap import cli_models
from bytegap.cli_models import positive
from bytegap.errors import BytegapError, FitError

if TYPE_CHECKING:
    from bytegap.store import Folder
    from bytegap.study import Study

EPILOG = """\
A study is one TOML file; studies/quickstart.toml is the one to copy. The verbs are the stages of one road and are run
in this order; each does only what is not done, and says what a changed input made stale:

  bytegap corpus  STUDY.toml    text, deduplicated and split by document
  bytegap tokens  STUDY.toml    symbols for every tokenizer; scoring windows common to all
  bytegap controls STUDY.toml   what each changed order does to the text, in numbers
  bytegap plan    STUDY.toml    every run, resolved and frozen (--dry-run shows it and writes nothing)
  bytegap train   STUDY.toml    every run that has no record yet
  bytegap runs    STUDY.toml    the table runs.jsonl (--audit holds plan and records against each other)
  bytegap fit     STUDY.toml    IsoFLOP minima, frontiers, what bytes and diffusion cost, with intervals
  bytegap report  STUDY.toml    one page that opens offline

`bytegap quickstart` walks the whole road; `bytegap tune`, after it, measures what the rule for learning rate and batch
loses every arm, for some eight times the study's compute, and `bytegap probe` asks the byte models what they know.
`bytegap fit --table RUNS.csv` fits anybody's runs, without a study; `bytegap count` says what a model costs. `bytegap
doctor` looks a study's folder over.

A finished run is a folder, out/STUDY/runs/ID. `bytegap evaluate` scores any file with it, `sample` draws from it,
`compress` and `decompress` use it as a codec, `export` writes it for others. `bytegap evaluate --baselines` says what
gzip, xz, zstd, brotli and PPMd make of the same text. `bytegap harness` puts models before downstream tasks.
"""

COUNT_EPILOG = """\
FILE is one of three:

  a study (.toml)        every arm's sizes: of its plan.json, else those that a plan would have (after `bytegap tokens`)
  a model's config.json  llama, mistral, qwen2 or qwen3, as Hugging Face writes it: counted as AR and as MDM
  a JSON list of shapes  [{"width": 256, "depth": 4, "vocabulary": 32003, "context": 1024}, ...], of bytegap's own
                         Transformer; "heads" and "hidden" are optional

Conventions: attention maps in full or only as far as each position attends (half, if causal); the head at all
positions, at the supervised ones, or not at all; and 6nd, which is 6 x non-embedding parameters x symbols.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb: 0 when done, 2 if the user must mend something, 130 after Ctrl-C, 141 unread, 143 after SIGTERM."""
    chosen = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        chosen.verb(chosen)
    except BytegapError as error:
        print(f"bytegap: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bytegap: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0


def _terminated(*_: object) -> None:
    """Leave as after Ctrl-C, everything under way being put away: a default SIGTERM would not."""
    print("bytegap: terminated; the same command continues where it stopped", file=sys.stderr)
    raise SystemExit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bytegap",
        description="What it costs to drop the tokenizer, and the causal order, in bits per byte.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, call: Callable[[argparse.Namespace], None], metavar: str = "STUDY.toml", text: str = "the study file"
    ) -> argparse.ArgumentParser:
        about = (call.__doc__ or "").strip()
        sub = verbs.add_parser(
            name, help=about.splitlines()[0].replace("%", "%%"), description=about.replace("%", "%%")
        )
        if name == "quickstart":
            sub.add_argument(
                "study",
                type=Path,
                metavar="STUDY.toml",
                nargs="?",
                default=Path("studies/quickstart.toml"),
                help="the study file (default: %(default)s)",
            )
        elif name == "fit":
            sub.add_argument("study", type=Path, metavar="STUDY.toml", nargs="?", help="the study file, or --table")
        else:
            sub.add_argument("study", type=Path, metavar=metavar, help=text)
        sub.add_argument(
            "--out", type=Path, default=Path("out"), help="where study folders live (default: %(default)s)"
        )
        sub.set_defaults(verb=call)
        return sub

    verb("corpus", _corpus)
    verb("tokens", _tokens)
    verb("controls", _controls)
    plan = verb("plan", _plan)
    plan.add_argument(
        "--dry-run", action="store_true", help="print the plan, what it costs and what it could find; write nothing"
    )
    plan.add_argument(
        "--simulate",
        type=Path,
        metavar="LAW.toml",
        help="draw studies from these laws, one table an arm ([arms.NAME] bpb, flops, parameters; noise): "
        "how often is the gap identified, how wide are its intervals",
    )
    plan.add_argument("--studies", type=positive, default=20, help="studies to draw (default: %(default)s)")
    plan.add_argument("--extend", action="store_true", help="add sizes where a trained grid's minimum lies at its edge")
    train = verb("train", _train)
    train.add_argument("--workers", type=int, help="processes side by side (default: the plan's)")
    train.add_argument("--shard", action="store_true", help="under torchrun: no device holds a whole model (FSDP2)")
    train.add_argument("--on", choices=["slurm"], help="submit a job a run, as the study's [launch] table says")
    runs = verb("runs", _runs)
    runs.add_argument(
        "--audit", action="store_true", help="FLOPs counted against planned, and every arm's optimisation"
    )
    fit = verb("fit", _fit)
    fit.add_argument("--table", type=Path, metavar="RUNS.csv", help="fit this table of runs in place of a study")
    of_table = fit.add_argument_group("with --table")
    of_table.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")
    of_table.add_argument("--columns", default="", metavar="OURS=THEIRS,...", help="other names: 'params=Model Size'")
    of_table.add_argument("--convention", choices=["6nd"], help="a missing one of flops, params, tokens: C = 6 N D")
    of_table.add_argument("--drop-worst", type=int, default=0, metavar="K", help="refit without the K worst rows")
    of_table.add_argument("--bootstraps", type=int, default=4000, metavar="B", help="resamples (default: %(default)s)")
    of_table.add_argument("--seed", type=int, default=0, help="of the resamples (default: %(default)s)")
    verb("report", _report)
    verb("tune", _tune)
    verb("probe", _probe)
    verb("doctor", _doctor)
    verb("quickstart", _quickstart)
    count = verb("count", _count, metavar="FILE", text="a study, a model's config.json, or a JSON list of shapes")
    count.formatter_class, count.epilog = argparse.RawDescriptionHelpFormatter, COUNT_EPILOG
    count.add_argument(
        "--context",
        type=positive,
        metavar="SYMBOLS",
        help="symbols a row (default: a shape's own; a config's max_position_embeddings, at most 2048)",
    )
    count.add_argument("--json", action="store_true", help="print one JSON document: every term, every convention")
    cli_models.add_verbs(verbs)
    return parser


def _open(chosen: argparse.Namespace) -> "tuple[Study, Folder]":
    from bytegap import store, study

    loaded = study.load(chosen.study)
    return loaded, store.Folder(chosen.out / loaded.name)


def _corpus(chosen: argparse.Namespace) -> None:
    """Prepare the text: duplicates dropped, split by document hash into train, validation and test."""
    from bytegap.corpus import stage

    stage.run(*_open(chosen))


def _tokens(chosen: argparse.Namespace) -> None:
    """Encode the training text for every tokenizer and cut the scoring windows common to all."""
    from bytegap.tokens import stage

    stage.run(*_open(chosen))


def _controls(chosen: argparse.Namespace) -> None:
    """Measure what every order of a study does to its text: pairs, mutual information, what is local and is lost."""
    from bytegap.controls import stage

    stage.run(*_open(chosen))


def _plan(chosen: argparse.Namespace) -> None:
    """Resolve and freeze every run: sizes, steps, learning rates, FLOPs."""
    from bytegap.fit.stage import fit_rows
    from bytegap.plan import simulate, stage

    study, folder = _open(chosen)
    if chosen.extend:
        stage.extend(study, folder)
    elif chosen.dry_run or chosen.simulate:
        world = simulate.load(chosen.simulate, study) if chosen.simulate else simulate.assumed(study)
        plan = stage.resolve(study, folder)
        if chosen.dry_run:
            stage.dry_run(stage.measured(plan, study, folder), folder)
        simulate.run(study, folder, plan, world, fit_rows, chosen.studies)
    else:
        stage.run(study, folder)


def _train(chosen: argparse.Namespace) -> None:
    """Train every planned run that has no record yet; interrupted, the same command continues."""
    from bytegap.plan import stage as plan
    from bytegap.train import cluster, stage, together

    study, folder = _open(chosen)
    plan.tell_if_edited(study, folder)
    if chosen.on:
        cluster.run(folder, study.launch, study.compute.rows_at_once, study.track)
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as torchrun sets it
        together.run(folder, sharded=chosen.shard, rows_at_once=study.compute.rows_at_once, track=study.track)
    else:
        stage.run(folder, chosen.workers, study.compute.rows_at_once, study.track)


def _runs(chosen: argparse.Namespace) -> None:
    """Collect the records into runs.jsonl and show them."""
    from bytegap.runs import stage

    _, folder = _open(chosen)
    stage.run(folder, with_audit=chosen.audit)


def _fit(chosen: argparse.Namespace) -> None:
    """Fit IsoFLOP parabolas and frontiers; say what bytes and diffusion cost, with 95 % intervals."""
    if (chosen.study is None) == (chosen.table is None):
        message = "fit takes either a STUDY.toml or --table RUNS.csv: name one of them"
        raise FitError(message)
    if chosen.table is None:
        from bytegap.fit import stage

        stage.run(*_open(chosen))
        return
    from bytegap.fit import table_stage

    flags = ("columns", "convention", "drop_worst", "bootstraps", "seed", "json")
    table_stage.run(chosen.table, table_stage.Options(**{flag: getattr(chosen, flag) for flag in flags}))


def _report(chosen: argparse.Namespace) -> None:
    """Write report/index.html, its figures and its tables."""
    from bytegap.report import stage

    stage.run(*_open(chosen))


def _tune(chosen: argparse.Namespace) -> None:
    """Audit the rule: learning rate and batch varied at each arm's smallest and largest budget, until bracketed."""
    from bytegap.plan import stage as plan
    from bytegap.runs import stage as runs
    from bytegap.train import stage as train

    study, folder = _open(chosen)
    while plan.tune(study, folder):
        train.run(folder, rows_at_once=study.compute.rows_at_once, track=study.track)
    runs.run(folder, with_audit=True)


def _probe(chosen: argparse.Namespace) -> None:
    """Ask finished byte models what they know of tokens, words and neighbours: segmentation, fragility, words."""
    from bytegap.probe import stage

    stage.run(*_open(chosen))


def _doctor(chosen: argparse.Namespace) -> None:
    """Look the study's folder over: checksums, leftovers, claims, plan against records, disk; says what to do."""
    from bytegap.doctor import stage

    _, folder = _open(chosen)
    stage.run(folder)


def _count(chosen: argparse.Namespace) -> None:
    """Parameters and FLOPs of models, by term and under every convention; writes nothing."""
    from bytegap.count import stage

    stage.run(chosen.study, chosen.out, chosen.context, as_json=chosen.json)


def _quickstart(chosen: argparse.Namespace) -> None:
    """Walk the whole road: corpus, tokens, controls where an order is changed, plan, train, runs, fit, report."""
    from bytegap.controls import stage as controls
    from bytegap.corpus import stage as corpus
    from bytegap.fit import stage as fit
    from bytegap.plan import stage as plan
    from bytegap.report import stage as report
    from bytegap.runs import stage as runs
    from bytegap.tokens import stage as tokens
    from bytegap.train import stage as train

    study, folder = _open(chosen)
    corpus.run(study, folder)
    tokens.run(study, folder)
    if any(arm.order.name != "identity" for arm in study.arms.values()):
        controls.run(study, folder)
    plan.run(study, folder)
    train.run(folder, rows_at_once=study.compute.rows_at_once, track=study.track)
    while plan.extend(study, folder):
        train.run(folder, rows_at_once=study.compute.rows_at_once, track=study.track)
    runs.run(folder, with_audit=True)
    fit.run(study, folder)
    report.run(study, folder)
