"""The entry point: parses the command line, runs one verb, and turns errors into one sentence and an exit code."""

import argparse
import os
import signal
import sys
import traceback
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from io import TextIOWrapper

from bytegap.cli import models, pipeline, tools
from bytegap.cli._options import Verb
from bytegap.errors import BytegapError, CommandError, file_error, nearest
from bytegap.extras import missing_extra, require
from bytegap.interrupts import send_dropped_again

GROUPS: tuple[tuple[str, tuple[Verb, ...]], ...] = (
    ("pipeline, in this order: each takes a STUDY.toml and does only what is not done yet", pipeline.VERBS),
    ("models: each takes a finished run's folder, out/STUDY/runs/ID", models.VERBS),
    ("tools", tools.VERBS),
)

RENAMED = {
    "tokens": "tokenize",
    "runs": "collect",
    "controls": "order-controls",
    "tune": "tuning-audit",
    "count": "flops",
    "sample": "generate",
    "harness": "lm-eval",
    "doctor": "check",
}
"""Earlier verb -> its name now."""

MOVED = {("fit", "--table"): "fit-table RUNS.csv", ("evaluate", "--baselines"): "baselines"}
"""(verb, flag) -> the verb that now does it."""

_START = """\
a first study:
  pip install -e '.[train,report,quickstart]'      in a clone of the repository: bytegap is not on PyPI yet
  bytegap quickstart                   runs the bundled study and writes out/quickstart/report/index.html
  bytegap init mine.toml               writes a study file to edit
  bytegap run mine.toml                runs it; or the verbs from corpus to report, one by one

`bytegap VERB --help` explains a verb, with an example and what it needs."""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return the exit code.

    0 done; 1 an audit found something wrong; 2 a mistake that the user can correct, in one sentence; 130 after Ctrl-C;
    141 standard output was closed; 143 after SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _on_sigterm)
    send_dropped_again()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names of files may hold bytes that are not UTF-8
            stream.reconfigure(errors="backslashreplace")
    parser = make_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        check_verb(arguments)
        return _run(parser.parse_args(arguments))
    except BytegapError as error:
        print(f"bytegap: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bytegap: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(options: Namespace) -> int:
    """Run the verb and return its exit code.

    What is missing or refused by the system becomes a BytegapError, unless it is our own mistake.
    """
    verb: Verb = options.verb
    require(f"bytegap {verb.name}", *verb.extras)
    _set_verbosity(options)
    try:
        return verb.run(options) or 0
    except ModuleNotFoundError as error:
        missing = missing_extra(f"bytegap {verb.name}", error)
        if missing is None:
            raise
        raise missing from None
    except OSError as error:
        refused = file_error(error)
        if refused is None:
            raise
        if "verbose" in vars(options):
            traceback.print_exc()
        raise refused from None


def make_parser() -> ArgumentParser:
    """The parser of every verb."""
    parser = ArgumentParser(
        prog="bytegap",
        usage="bytegap [-h] [--version] [-q | -v] VERB ...",
        description="Compute-matched scaling studies of byte-level and subword language models, autoregressive and "
        f"masked\ndiffusion, in bits per byte.\n\n{_listed()}\n\n{_START}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_verbosity(parser)
    verbs = parser.add_subparsers(prog="bytegap", required=True, metavar="VERB", help=SUPPRESS)
    for _, group in GROUPS:
        for verb in group:
            sub = verbs.add_parser(
                verb.name,
                description=verb.summary,
                epilog=verb.epilog,
                formatter_class=RawDescriptionHelpFormatter,
                allow_abbrev=False,
            )
            verb.add_arguments(sub)
            _add_verbosity(sub)
            sub.set_defaults(verb=verb)
    return parser


def _listed() -> str:
    """Every group of verbs, one sentence each."""
    return "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {verb.name:<15} {verb.summary}" for verb in verbs) for title, verbs in GROUPS
    )


class _Version(argparse.Action):
    """`--version`; looked up only when it is wanted."""

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from bytegap import __version__

        print(f"bytegap {__version__}")
        parser.exit()


def _add_verbosity(parser: ArgumentParser) -> None:
    """`-q` and `-v`, before the verb or after it."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument("-q", "--quiet", action="store_true", default=SUPPRESS, help="print only warnings and results")
    either.add_argument("-v", "--verbose", action="store_true", default=SUPPRESS, help="print details")


def _set_verbosity(options: Namespace) -> None:
    from bytegap.console import set_verbosity

    given = vars(options)
    set_verbosity("quiet" if "quiet" in given else "verbose" if "verbose" in given else "normal")


def check_verb(arguments: list[str]) -> None:
    """CommandError for an unknown verb, and for an earlier verb or flag; it names the one to use."""
    verb = next((word for word in arguments if not word.startswith("-")), "")
    if verb in RENAMED:
        raise CommandError(f"'{verb}' is now 'bytegap {RENAMED[verb]}'")
    for (owner, flag), new in MOVED.items():
        if verb == owner and flag in arguments:
            raise CommandError(f"'{owner} {flag}' is now 'bytegap {new}'")
    known = [each.name for _, group in GROUPS for each in group]
    if verb and verb not in known:
        raise CommandError(f"there is no verb '{verb}': {nearest(verb, known)}")


def _on_sigterm(*_: object) -> None:
    """Leave as after Ctrl-C, so that files and workers are closed; the default action would not."""
    print("bytegap: terminated; the same command continues where it stopped", file=sys.stderr)
    raise SystemExit(143)
